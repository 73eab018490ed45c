"""One live search per study, on one machine."""

import os
import signal
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.errors import AdasearchError, StoreError
from adasearch.store import Store
from adasearch.store.locks import StudyLocked
from tests.rows import STUDY
from tests.store.held import TRIAL, holder


def test_study_is_held_by_one_process_and_free_once_that_was_killed(store: Store, results: Path) -> None:
    with holder(str(results)) as process:
        with pytest.raises(StudyLocked) as caught, store.locks.hold("held"):
            pytest.fail("the lock was given twice")
        assert f"process {process.pid}" in str(caught.value)
        assert f"host {os.uname().nodename}" in str(caught.value)
        assert "study held" in str(caught.value)
        with store.locks.hold("another"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        with store.locks.hold("held"):
            pass


@pytest.mark.parametrize("taken_by_another", [True, False])
def test_holder_whose_lock_was_deleted_writes_nothing_more(
    full: Store, results: Path, taken_by_another: bool
) -> None:
    lock, row = (
        results / STUDY.study / ".lock",
        results / STUDY.study / "trials" / f"{TRIAL.trial_id}.parquet",
    )
    before = row.read_bytes()
    with full.locks.hold(STUDY.study):
        full.write_trial(TRIAL)
        lock.unlink()
        with Store(str(results)).locks.hold(STUDY.study) if taken_by_another else nullcontext():
            changed = replace(TRIAL, status="failed", error="by two")
            with pytest.raises(StoreError, match=rf"the lock on {STUDY.study} is lost: {lock} "):
                full.write_trial(changed)
            with pytest.raises(StoreError, match="is lost"):
                full.write_intervals(TRIAL, [])
    assert row.read_bytes() == before
    full.write_trial(TRIAL)


def test_trial_that_is_over_takes_its_own_lock_along(full: Store) -> None:
    with full.locks.hold(f"{STUDY.study}/checkpoints/{TRIAL.trial_id}"):
        full.remove_checkpoints(TRIAL)
        full.write_trial(TRIAL)


def test_renamed_folder_is_not_made_anew_by_who_holds_a_study_of_it(full: Store, results: Path) -> None:
    with full.locks.hold(STUDY.study):
        results.rename(results.with_name("moved"))
        with pytest.raises(StoreError, match=rf"{results} was removed or renamed"):
            full.write_trial(TRIAL)
        assert not results.exists()


def test_lock_is_given_again_after_an_error_under_it(store: Store) -> None:
    with pytest.raises(KeyError, match="mine"), store.locks.hold("study"):
        raise KeyError("mine")
    with store.locks.hold("study"), pytest.raises(StudyLocked), store.locks.hold("study"):
        pass


def test_lock_whose_holder_is_not_known_yet_is_refused_all_the_same(store: Store, results: Path) -> None:
    with store.locks.hold("study"):
        (results / "study" / ".owner").unlink()
        with pytest.raises(StudyLocked, match="it has just begun"), store.locks.hold("study"):
            pass


def test_lock_that_cannot_be_written_names_the_folder(store: Store, results: Path) -> None:
    results.mkdir()
    (results / "study").write_text("a file")
    with pytest.raises(AdasearchError, match="cannot lock") as caught, store.locks.hold("study"):
        pass
    assert str(results / "study") in str(caught.value)


def test_lock_leaves_nothing_that_readers_see(full: Store) -> None:
    with full.locks.hold(STUDY.study):
        assert full.studies() == [STUDY]
        assert full.trials(STUDY.study) == [TRIAL]
