from dataclasses import replace

import pytest

from adasearch.records import Cause, TrialRecord
from adasearch.studies.retry import nothing_completed, tell_retried, with_retried
from tests.rows import STUDY, trial_of

SAME = "ValueError: bad (nets.py, line 12, in forward)"


def failed(number: int, error: str = SAME, cause: Cause = "raised", phase: str = "search") -> TrialRecord:
    trial = trial_of(STUDY, number, status="failed", phase=phase)
    return replace(trial, error=f"{error}; traceback: x/errors/{trial.trial_id}.txt", cause=cause)


COMPLETE = trial_of(STUDY, 7, val_error=0.1, seconds=1.0)


@pytest.mark.parametrize(
    ("trials", "wanted", "again"),
    [
        ([failed(0)], None, [0]),  # everything failed
        ([failed(0), failed(1, "other")], None, [0, 1]),
        ([failed(0), failed(1), COMPLETE], None, [0, 1]),  # several, all by the same error
        ([failed(0), COMPLETE], None, []),
        ([failed(0), failed(1, "other"), COMPLETE], None, []),
        ([failed(0), failed(1, "other"), COMPLETE], True, [0, 1]),
        ([failed(0), failed(1)], False, []),
        ([failed(0, "nan", "diverged")], None, []),  # it would diverge again
        ([failed(0, "nan", "diverged"), failed(1), failed(2), COMPLETE], None, [1, 2]),
        ([failed(0, "nan", "diverged")], True, [0]),
        ([failed(0, phase="confirm"), COMPLETE], None, []),  # of another phase
        ([COMPLETE], None, []),
        ([], None, []),
    ],
)
def test_failed_trials_are_tried_again_where_all_failed_or_all_alike(
    trials: list[TrialRecord], wanted: bool | None, again: list[int]
) -> None:
    taken = with_retried(trials, "search", wanted)
    assert [trial.trial_id for trial in taken] == [trial.trial_id for trial in trials]
    assert [trial.number for trial in taken if trial.status == "running"] == again
    for trial in taken:
        assert trial.status != "running" or (trial.error, trial.cause, trial.ended_at) == (None, None, None)


def test_what_is_tried_again_is_told_and_what_could_be() -> None:
    said: list[str] = []
    stored = [failed(0), failed(1)]
    tell_retried("s", stored, with_retried(stored, "search", None), said.append)
    tell_retried("s", stored, with_retried(stored, "search", False), said.append)
    tell_retried("s", [COMPLETE], [COMPLETE], said.append)
    assert said == [
        f"s: 2 failed trials, all by {SAME}: they are tried again",
        "s: 2 failed trials stay so; --retry-failed tries them again",
    ]


def test_nothing_completed_is_told_with_an_error() -> None:
    assert nothing_completed("s", [COMPLETE, failed(0)]) is None
    assert nothing_completed("s", [trial_of(STUDY, 0, status="running")]) is None
    why = nothing_completed("s", [failed(0), trial_of(STUDY, 1, status="pruned")])
    assert why == f"s: nothing completed, 1 of 2 trials failed, such as {failed(0).trial_id}: {SAME}"
