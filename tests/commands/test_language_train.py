"""``adasearch train`` and ``rerun`` of a language model: what they print, and what is kept."""

import math
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from adasearch.cli.main import cli
from adasearch.store import Store

TEXT = "the quick brown fox jumps over the lazy dog; " * 400
SMALL = "--sequence-length 32 --subset 120 --budget 7680tokens --interval 1920tokens".split()


def adasearch(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a run with the noise scale printed; its results lie in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fox.txt").write_text(TEXT)
    fields = ["--set", "train/batch_size=6", "--set", "train/optimizer=adamw", "--evaluate-every", "60ex"]
    command = ["train", "--architecture", "gpt_rms_rotary", "--dataset", "text:fox.txt"]
    return adasearch(*command, "--scheduler", "noise_scale", *SMALL, *fields)


def test_run_is_told_in_tokens_and_losses(trained: str) -> None:
    lines = re.findall(
        r"^tokens +([\d,]+)  batch +([\d,]+)  lr \S+  loss (\S+)  val loss +(\S+)", trained, re.M
    )
    seen, sizes, losses, held_out = zip(*lines, strict=True)
    assert len(lines) == 4
    assert sizes[0] == "192"
    assert [int(each.replace(",", "")) % 32 for each in seen] == [0] * 4
    assert int(seen[-1].replace(",", "")) >= 7680
    assert float(losses[-1]) < float(losses[0])
    bits = re.findall(r"\((\S+) bits a byte\)", trained)
    assert [float(each) for each in bits] == pytest.approx(
        [float(each) / math.log(2) for each in held_out], rel=1e-3
    )
    assert re.search(rf"-train-0: loss {held_out[-1]} in [\d.]+ s of training", trained)
    assert "1 document, bytes: 16,201 training, 900 validation, 900 test tokens" in trained
    (trial,) = Store("results").trials("train")
    study = Store("results").train_study(trial)
    assert study is not None
    assert (study.source, study.sequence_length) == ("text:fox.txt", 32)


def test_run_is_repeated_bit_for_bit_and_from_where_its_text_has_moved(trained: str, tmp_path: Path) -> None:
    (trial,) = Store("results").trials("train")
    (tmp_path / "fox.txt").rename(tmp_path / "moved.txt")
    moved = str(tmp_path / "moved.txt")
    assert "equal in all 4 intervals" in adasearch("rerun", trial.trial_id, "--images", moved)
    (tmp_path / "moved.txt").write_text(TEXT.replace("dog", "cat"))
    done = CliRunner().invoke(cli, ["rerun", trial.trial_id, "--images", moved])
    assert "was searched on data with fingerprint" in str(done.exception)
