"""Where a run is branched to measure its critical batch, at which sizes and how long; all of it is ours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.errors import InputError
from adasearch.records import Limits

__all__ = ["COST", "MARKS", "PARTS", "BranchPlan", "branch_plan"]

COST = 1.5  # trainings that all takes at most
MARKS = (1, 2, 4, 6)  # eighths of the run at which it is branched
PARTS = 8  # intervals of a branch; each has a step of the largest size at least
MOST_DOUBLINGS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchPlan:
    """Where a run is branched, at which sizes, and how long.

    Args:
        budget: of the run, in examples.
        sizes: that of the run itself, and those of its branches, each twice the one before.
        interval: examples, a multiple of the largest size.
        marks: intervals after which it is branched.
    """

    budget: int
    sizes: tuple[int, ...]
    interval: int
    marks: tuple[int, ...]

    @property
    def end(self) -> int:
        """Intervals of the run itself, which stands for its own branch at the last mark."""
        return self.marks[-1] + PARTS

    @property
    def branches(self) -> list[tuple[int, int]]:
        """Mark and size of each branch, in order."""
        return [(mark, size) for mark in self.marks for size in self.sizes[1:]]

    @property
    def runs(self) -> int:
        """How many runs all are: the run itself, and its branches."""
        return 1 + len(self.branches)

    @property
    def intervals(self) -> int:
        """How many intervals all runs have of their own."""
        return self.end + len(self.branches) * PARTS

    @property
    def trainings(self) -> float:
        """What all takes, in trainings of the whole length; at most ``COST``."""
        return self.intervals * self.interval / self.budget


def branch_plan(batch_size: int, limits: Limits, budget: int) -> BranchPlan:
    """Return the plan with the most sizes that ``COST`` trainings of ``budget`` examples allow.

    >>> plan = branch_plan(32, Limits(smallest=16, largest=512), 40_000)
    >>> plan.sizes, plan.interval, plan.marks, round(plan.trainings, 2)
    ((32, 64, 128, 256), 256, (19, 38, 76, 114), 1.4)

    Raises:
        InputError: the limits allow no branch, or the run is too short for one.
    """
    sizes = [batch_size << double for double in range(MOST_DOUBLINGS + 1)]
    sizes = [size for size in sizes if limits.admit(size)]
    if len(sizes) < 2:
        raise InputError(
            f"--kind critical needs sizes of at least twice the batch of {batch_size}, but --largest is "
            f"{limits.largest}"
        )
    for count in range(len(sizes), 1, -1):
        interval = _interval(budget, sizes[:count])
        if interval:
            first = budget // 8 // interval
            marks = tuple(first * mark for mark in MARKS)
            return BranchPlan(budget=budget, sizes=tuple(sizes[:count]), interval=interval, marks=marks)
    least = math.ceil(_branches(2) * PARTS * sizes[1] / _left())
    raise InputError(
        f"--kind critical needs a run of at least {least} examples at a batch of {batch_size} but got "
        f"{budget}: give more --epochs, or a smaller --set train/batch_size"
    )


def _left() -> float:
    """Return the share of a training that is left for branches, the last of which is the run's own."""
    return COST - MARKS[-1] / 8


def _branches(sizes: int) -> int:
    return 1 + len(MARKS) * (sizes - 1)


def _interval(budget: int, sizes: Sequence[int]) -> int:
    """Return the examples of an interval if branches at all sizes share what is left; 0 if too few."""
    share = math.floor(_left() * budget / (_branches(len(sizes)) * PARTS))
    return share // sizes[-1] * sizes[-1]
