"""Of several processes that begin the same run at once, each gets a trial of its own."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.records import StudyRecord, TrialRecord
from adasearch.runs.open_trial import open_trial
from adasearch.store import Store
from adasearch.store.trials import begin_trial
from tests.rows import STUDY, at_marks


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "results"))


def opened(store: Store, held: ExitStack, study: StudyRecord = STUDY, seed: int = 0) -> TrialRecord:
    def begin(number: int) -> TrialRecord:
        return begin_trial(study, phase="train", number=number, params={}, seed=seed, versions={})

    def continues(trial: TrialRecord) -> bool:
        return trial.seed == seed

    trial, intervals = open_trial(store, "train", begin, continues, study=study, held=held)
    assert intervals == []
    return trial


def test_a_trial_that_another_process_trains_is_left_to_it(store: Store) -> None:
    with ExitStack() as one, ExitStack() as other:
        assert opened(store, one).number == 0
        assert opened(Store(store.name), other).number == 1


def test_an_interrupted_trial_goes_on_and_another_run_does_not(store: Store) -> None:
    with ExitStack() as held:
        first = opened(store, held)
    with ExitStack() as held:
        assert opened(store, held, seed=1).number == 1
        assert opened(store, held) == first


def test_an_ended_trial_does_not_go_on(store: Store) -> None:
    with ExitStack() as held:
        store.write_trial(replace(opened(store, held), status="failed", error="no luck"))
    with ExitStack() as held:
        assert opened(store, held).number == 1


def test_a_number_that_another_process_took_and_left_meanwhile_is_not_taken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins and ends between this one's look at the trials and its lock."""
    looked = store.trials
    views: list[list[TrialRecord]] = [[]]
    with ExitStack() as held:
        opened(Store(store.name), held)
    monkeypatch.setattr(store, "trials", lambda folder: views.pop() if views else looked(folder))
    with ExitStack() as held:
        assert opened(store, held).number == 1


def test_of_other_trials_no_intervals_are_read(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as held:
        for seed in (0, 1):
            store.write_intervals(opened(store, held, seed=seed), at_marks((0.5, 1.0)))
    other = Path(store.name) / "train" / "intervals" / f"{STUDY.study}-train-1.parquet"
    other.write_bytes(b"damaged")

    with ExitStack() as held:
        first = begin_trial(STUDY, phase="train", number=0, params={}, seed=0, versions={})
        trial, intervals = open_trial(
            store, "train", lambda number: first, lambda each: each.seed == 0, study=STUDY, held=held
        )
    assert (trial.number, len(intervals)) == (0, 1)
    assert capsys.readouterr().err == ""
