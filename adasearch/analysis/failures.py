"""What ended trials: equal errors together, the most frequent first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.records import TrialRecord

__all__ = ["Failure", "cause_of", "failures"]

SHOWN = 20  # kinds of failures
MAX_CHARACTERS = 400  # of an error
MARK = "; traceback: "  # what a trial's error says behind the error itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error, how many trials it ended, one of them, and where its traceback lies; None without one."""

    error: str
    count: int
    trial_id: str
    traceback: str | None

    def __str__(self) -> str:
        where = f"; traceback: {self.traceback}" if self.traceback else ""
        return f"{self.count} × {self.error}, such as {self.trial_id}{where}"


def cause_of(trial: TrialRecord) -> str:
    """Return what ended a failed trial, without what is its own: where its traceback lies.

    It ends with the place in the user's own code, if it was raised there.
    """
    return (trial.error or "no error was stored").partition(MARK)[0]


def failures(trials: Sequence[TrialRecord]) -> list[Failure]:
    """Return the errors that ended trials, the most frequent first; at most ``SHOWN``."""
    first: dict[str, TrialRecord] = {}
    count: Counter[str] = Counter()
    for trial in trials:
        if trial.status == "failed":
            error = cause_of(trial)
            error = error if len(error) <= MAX_CHARACTERS else f"{error[:MAX_CHARACTERS]}…"
            first.setdefault(error, trial)
            count[error] += 1
    return [
        Failure(
            error=error,
            count=times,
            trial_id=first[error].trial_id,
            traceback=(first[error].error or "").partition(MARK)[2] or None,
        )
        for error, times in count.most_common(SHOWN)
    ]
