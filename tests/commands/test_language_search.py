"""The demo of language models in small, through the real command line and on real Ray Train workers."""

import math
import re
from pathlib import Path

import pytest

from adasearch.store import Store
from tests.commands.test_search import Finished, run

pytestmark = pytest.mark.ray

MAKEFILE = Path(__file__).parents[2] / "Makefile"
SMALL = ["--subset", "64", "--sequence-length", "32", "--budget", "4096tokens", "--interval", "512tokens"]
SMALL += ["--evaluate-every", "1024tokens", "--trials", "2", "--results", "results"]


def demo() -> list[str]:
    """Return the command of ``make demo-language`` without what makes it long."""
    (found,) = re.findall(r"^demo-language:.*\n((?:\t.*\n)+)", MAKEFILE.read_text(), flags=re.MULTILINE)
    words = found.replace("\\\n", " ").split()[1:]
    long = {"--subset", "--budget", "--interval", "--evaluate-every", "--trials", "--results"}
    kept = [word for before, word in zip(["", *words], words, strict=False) if not {before, word} & long]
    return [*kept, *SMALL]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """The demo with one worker a trial."""
    folder = tmp_path_factory.mktemp("language")
    done = run(*demo(), cwd=folder)
    assert done.code == 0, done.err
    return folder, done


def test_demo_says_what_it_reads_and_prints_its_table(searched: tuple[Path, Finished]) -> None:
    _, done = searched
    assert re.search(r"documents, bytes: [\d,]+ training, [\d,]+ validation, [\d,]+ test tokens", done.out)
    for scheduler in ("constant", "deba", "noise_scale"):
        assert re.search(rf"^gpt +{scheduler} ", done.out, flags=re.MULTILINE)


def test_rows_hold_losses_with_their_standard_errors(searched: tuple[Path, Finished]) -> None:
    folder, _ = searched
    store = Store(str(folder / "results"))
    assert [study.scheduler for study in store.studies()] == ["constant", "deba", "noise_scale"]
    for study in store.studies():
        assert (study.task, study.objective, study.sequence_length) == ("language", "loss", 32)
        for trial in store.trials(study.study):
            assert trial.objective == "loss"
            if trial.status != "complete":
                continue
            assert 2 < trial.known_error < math.log(256) + 0.2
            assert trial.val_error_se is not None
            assert 0 < trial.val_error_se < 0.5
            rows = store.intervals(study.study, [trial.trial_id])[trial.trial_id]
            for row in rows:
                if row.val_error is None:
                    continue
                assert row.metrics["bits_per_byte"] == pytest.approx(row.val_error / math.log(2))
                assert row.val_error == row.signals.val_loss
            assert trial.examples_seen >= 128


def test_confirmation_measures_the_test_split(searched: tuple[Path, Finished]) -> None:
    folder, _ = searched
    done = run("confirm", "--seeds", "2", "--results", "results", cwd=folder)
    assert done.code == 0, done.err
    store = Store(str(folder / "results"))
    trials = [
        each for study in store.studies() for each in store.trials(study.study) if each.phase == "confirm"
    ]
    assert trials
    for trial in trials:
        assert trial.status == "complete"
        assert trial.test_error is not None
        assert 2 < trial.test_error < 6


def test_two_workers_share_a_trial_and_a_network_of_ones_own_is_searched(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\n\n"
        "def bigrams(vocabulary, sequence_length):\n"
        "    return nn.Sequential(nn.Embedding(vocabulary, 8), nn.Linear(8, vocabulary))\n"
    )
    command = "search --architecture nets:bigrams --dataset python_source --scheduler noise_scale".split()
    done = run(*command, *SMALL, "--workers", "2", "--no-baseline", cwd=tmp_path)
    assert done.code == 0, done.err
    store = Store(str(tmp_path / "results"))
    (study,) = store.studies()
    trials = store.trials(study.study)
    assert {trial.workers for trial in trials} == {2}
    assert "complete" in {trial.status for trial in trials}
