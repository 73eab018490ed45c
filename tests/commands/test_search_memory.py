"""Memory that runs out on one of two real workers: the trial goes on with smaller passes."""

import time
from pathlib import Path

import pytest

from adasearch.store import Store
from tests import own_memory
from tests.commands.test_search import run

pytestmark = [pytest.mark.ray, pytest.mark.soak]


def test_trial_goes_on_from_its_checkpoint_with_half_the_device_batch(tmp_path: Path) -> None:
    """32 examples are 16 on each worker; from the 13th step on the second one can take 8."""
    (tmp_path / "own_memory.py").write_text(Path(own_memory.__file__).read_text())
    words = "search --architecture own_memory:make --scheduler constant --dataset digits --subset 320"
    words += " --epochs 3 --interval 0.25 --workers 2 --trials 1 --checkpoint-every 1 --attempts 1"
    words += " --set train/batch_size=32 --set train/lr=0.01"
    began = time.monotonic()
    done = run(*words.split(), cwd=tmp_path, env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert done.code == 0, done.err
    store = Store(str(tmp_path / "results"))
    (study,) = store.studies()
    (trial,) = store.trials(study.study)
    assert trial.status == "complete", trial.error
    intervals = store.intervals(study.study)[trial.trial_id]
    assert [record.signals.interval for record in intervals] == list(range(12))
    # Three steps an interval: four whole ones before memory ran out, in passes of 16.
    assert [record.passes for record in intervals] == [1] * 4 + [2] * 8
    assert [record.device_batch for record in intervals[4:]] == [8] * 8
    assert time.monotonic() - began < 180
