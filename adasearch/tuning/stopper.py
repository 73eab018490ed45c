"""Early stopping: successive halving on the non-dominated rank of (validation error, seconds).

Asynchronous, as in ASHA (Li et al., arXiv 1810.05934), with two differences: rungs are counted in examples,
and a trial is ranked by how many others at its rung are at least as good in both objectives and better in
one, so that a slow, accurate trial and a fast, poorer one can both go on.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from itertools import groupby

from adasearch.records import SECONDS, IntervalRecord, StudyRecord
from adasearch.studies.settings import rungs_of

__all__ = ["RECALLED", "Rungs", "ranks_of"]

MIN_TRIALS_AT_RUNG = 4  # trials at a rung before it stops any; fewer say little about what is good

RECALLED = ("examples_seen", "val_error", "decided", "train_seconds", "modelled_seconds")
"""The columns of an ended trial's intervals that its place at the rungs follows from."""

Objectives = tuple[float, float]


class Rungs:
    """The rungs of one study: which point each trial had at each.

    A trial enters a rung with its first evaluated interval at or after the mark; the better half by rank
    goes on, ties with the last of it included.
    """

    def __init__(self, study: StudyRecord) -> None:
        self._clock = study.clock
        self._points: dict[int, dict[str, Objectives]] = {mark: {} for mark in rungs_of(study)}

    def enter(self, trial_id: str, intervals: Sequence[IntervalRecord]) -> bool:
        """Enter the rungs that the last of a trial's intervals reaches; return whether the trial goes on."""
        last = intervals[-1]
        if last.val_error is None or not last.decided:  # at its end, or about to fail: it is not stopped
            return True
        reached = self._reached(trial_id, last.signals.examples_seen)
        if not reached:
            return True
        point = (last.val_error, self._spent(intervals))
        goes_on = True
        for points in reached:
            points[trial_id] = point
            goes_on &= _in_better_half(point, list(points.values()))
        return goes_on

    def recall(self, trial_id: str, columns: Mapping[str, Sequence[float | None]]) -> None:
        """Enter the rungs that an ended trial reached when it ran, without asking whether it went on.

        ``columns`` are those of ``RECALLED``, one value for each of its intervals.
        """
        spent = 0.0
        times = columns[SECONDS[self._clock]]
        rows = zip(*(columns[name] for name in RECALLED[:3]), times, strict=True)
        for seen, error, decided, seconds in rows:
            spent += math.inf if seconds is None else seconds
            if error is not None and seen is not None and decided is not False:
                for points in self._reached(trial_id, seen):
                    points[trial_id] = (error, spent)

    def _reached(self, trial_id: str, seen: float) -> list[dict[str, Objectives]]:
        return [points for mark, points in self._points.items() if seen >= mark and trial_id not in points]

    def _spent(self, intervals: Sequence[IntervalRecord]) -> float:
        return sum(record.seconds(self._clock) for record in intervals)


def _in_better_half(point: Objectives, points: Sequence[Objectives]) -> bool:
    if len(points) < MIN_TRIALS_AT_RUNG:
        return True
    ranks = ranks_of(points)
    ordered = sorted(ranks[each] for each in points)
    return ranks[point] <= ordered[(len(ordered) - 1) // 2]


def ranks_of(points: Sequence[Objectives]) -> dict[Objectives, int]:
    """Return by how many of the others each point is dominated: no worse in both, better in one.

    >>> ranks_of([(0.1, 5.0), (0.2, 5.0), (0.1, 4.0), (0.1, 5.0)])
    {(0.1, 4.0): 0, (0.1, 5.0): 1, (0.2, 5.0): 3}
    """
    ranks: dict[Objectives, int] = {}
    seconds: list[float] = []  # in order, of the points before: none of them has the greater error
    for point, alike in groupby(sorted(points)):
        ranks[point] = bisect_right(seconds, point[1])
        for _, spent in alike:
            insort(seconds, spent)
    return ranks
