from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.commands._on_ray import options_as_before
from adasearch.runtime import RunOptions
from adasearch.store import Store
from tests.rows import STUDY, interval_at, trial_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A study whose one ended trial ran in passes of 48 examples, and one that failed in passes of 8."""
    store = Store(str(tmp_path))
    store.write_study(STUDY)
    for number, status, passes in ((0, "complete", 48), (1, "failed", 8)):
        trial = trial_of(STUDY, number, status=status)  # type: ignore[arg-type]
        store.write_intervals(trial, [replace(interval_at(0), device_batch=passes)])
        store.write_trial(trial)
    return store


def test_a_study_that_goes_on_keeps_the_size_of_its_passes(store: Store) -> None:
    stored = store.trials(STUDY.study)
    assert options_as_before(RunOptions(), stored, store, STUDY.study).device_batch == 48
    given = RunOptions(device_batch=16)
    assert options_as_before(given, stored, store, STUDY.study) == given


def test_a_study_without_an_ended_trial_finds_the_size_anew(store: Store) -> None:
    failed = [each for each in store.trials(STUDY.study) if each.status == "failed"]
    assert options_as_before(RunOptions(), failed, store, STUDY.study) == RunOptions()
