"""What ended trials: equal errors together, the most frequent first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.errors import ended_by, parts_of
from adasearch.records import TrialRecord

__all__ = ["Failure", "failures"]

SHOWN = 20  # kinds of failures
MAX_CHARACTERS = 400  # of an error


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


def failures(trials: Sequence[TrialRecord], results: str) -> list[Failure]:
    """Return the errors that ended trials of a results folder, the most frequent first; at most ``SHOWN``."""
    first: dict[str, TrialRecord] = {}
    count: Counter[str] = Counter()
    for trial in trials:
        if trial.status == "failed":
            error = parts_of(trial.error)[0]
            error = error if len(error) <= MAX_CHARACTERS else f"{error[:MAX_CHARACTERS]}…"
            first.setdefault(error, trial)
            count[error] += 1
    return [
        Failure(
            error=error,
            count=times,
            trial_id=first[error].trial_id,
            traceback=parts_of(ended_by(first[error].error, results))[1],
        )
        for error, times in count.most_common(SHOWN)
    ]
