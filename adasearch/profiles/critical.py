"""The critical batch of a network as it was measured: by branches of one run at several batch sizes.

At some marks of a run at the base size, its checkpoint goes on at multiples of that size, each with the
learning rate that the size calls for, and all see the same examples once more. The critical batch at a mark
is the largest size whose training loss then is at most ``TOLERANCE`` above that of every smaller one. So
do Merrill et al. ("Critical batch size revisited", arXiv 2505.23971), as summaries of the paper tell it:
multiples k, the learning rate times sqrt(k) for Adam and k for SGD, an exponential average of the loss with
0.5, and 0.01 nats. Their branches are 2 billion tokens long each; ours are as long as one and a half
trainings allow, since more would cost more than what is to be gained. How the loss is averaged in detail, the
marks, the powers of two, the lengths and the intervals of confidence are ours.

A branch ends where the intervals of the run at the base size end, too: all sizes divide an interval, so that
losses are of the same examples, and only their differences count.

Opens without torch and without ray.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from adasearch.profiles.profile import Setting
from adasearch.records import Params

__all__ = [
    "TOLERANCE",
    "CriticalPoint",
    "CriticalProfile",
    "ExcessLoss",
    "excess_loss",
    "smoothed",
]

TOLERANCE = 0.01
"""Nats of training loss that a size may lie above a smaller one; Merrill et al., as summaries tell it."""

DECAY = 0.5  # of the average of the loss over intervals, likewise
CONFIDENCE = 0.95


def smoothed(values: Sequence[float]) -> float:
    """Return the exponential average of a branch's losses, the last of which counts most.

    >>> smoothed([4.0, 1.0])  # (0.5 * 4 + 1) / 1.5
    2.0
    """
    return math.fsum(w * x for w, x in zip(_weights(len(values)), values, strict=True))


def _weights(count: int) -> list[float]:
    weights = [DECAY**age for age in range(count - 1, -1, -1)]
    return [each / math.fsum(weights) for each in weights]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcessLoss:
    """How far the loss of a size lies above the least one of a smaller size, after the same examples.

    Args:
        mark: examples at which the run was branched.
        batch_size: of the branch.
        mean: in nats, mean over seeds; None if a branch diverged. ``low`` and ``high`` are the ends of its
            95 % interval.
    """

    mark: int
    batch_size: int
    mean: float | None
    low: float | None
    high: float | None


def excess_loss(
    mark: int, losses: Sequence[tuple[int, Sequence[Sequence[float] | None]]]
) -> list[ExcessLoss]:
    """Return the excess of each size but the first at a mark.

    Args:
        mark: in examples.
        losses: sizes in rising order, each with the losses of its intervals by seed, None of a branch that
            diverged.

    The interval is Student's t over seeds. With one seed it is that of the smoothed difference, whose
    variance is half the mean square of the steps from one interval's difference to the next (von Neumann),
    so that a difference that grows steadily counts little as scatter; what another seed would give can lie
    further away.
    """
    known = [(size, [each for each in runs if each is not None]) for size, runs in losses]
    whole = {size: runs for size, runs in known if len(runs) == len(losses[0][1])}
    found = []
    for place, (size, _) in enumerate(losses[1:], start=1):
        smaller = [other for other, _ in losses[:place] if other in whole]
        if size not in whole or not smaller:
            found.append(ExcessLoss(mark=mark, batch_size=size, mean=None, low=None, high=None))
            continue
        best = min(smaller, key=lambda other: math.fsum(map(smoothed, whole[other])))
        differences = [
            [mine - theirs for mine, theirs in zip(run, other, strict=True)]
            for run, other in zip(whole[size], whole[best], strict=True)
        ]
        mean, half = _mean(differences)
        found.append(ExcessLoss(mark=mark, batch_size=size, mean=mean, low=mean - half, high=mean + half))
    return found


def _mean(differences: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the mean over seeds of smoothed differences, and half of its 95 % interval."""
    from scipy import stats  # takes a while to import

    ends = [smoothed(each) for each in differences]
    if len(ends) > 1:
        error, free = statistics.stdev(ends) / math.sqrt(len(ends)), len(ends) - 1
    else:
        (single,) = differences
        steps = [now - before for before, now in pairwise(single)]
        variance = math.fsum(step**2 for step in steps) / (2 * len(steps))
        error, free = math.sqrt(variance * math.fsum(w**2 for w in _weights(len(single)))), len(steps)
    return statistics.fmean(ends), error * float(stats.t.ppf((1 + CONFIDENCE) / 2, free))


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalPoint:
    """The critical batch at a mark.

    Args:
        mark: examples seen.
        batch_size: the largest size that costs no loss.
        low: the largest up to which no size costs any, with the interval's word.
        high: the largest that may cost none.
        excess: of each size but the base's.
        open_end: whether ``high`` is the largest size that was tried, so that it may lie above.
    """

    mark: int
    batch_size: int
    low: int
    high: int
    excess: tuple[ExcessLoss, ...]
    open_end: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticalProfile:
    """The critical batch over one run.

    Args:
        profile: its name; those of its runs in the store are ``<profile>-profile-<number>``.
        setting: what it is of.
        subset, seed: of the data, as a study has them.
        train_examples: in the training split.
        budget: examples of the run, which the learning rate follows.
        interval: examples.
        base_batch_size: of the run that is branched.
        coupling: "linear" or "sqrt", by which the learning rate follows the size.
        params: of the training.
        excess: by mark and size; empty if the run itself diverged.
        seeds: runs that were branched.
        diverged: of these.
    """

    profile: str
    setting: Setting
    subset: int | None
    seed: int
    train_examples: int
    budget: int
    interval: int
    base_batch_size: int
    coupling: str
    params: Params
    excess: tuple[ExcessLoss, ...]
    seeds: int
    diverged: int
    created_at: datetime

    @property
    def points(self) -> list[CriticalPoint]:
        """The critical batch at each mark."""
        by_mark: dict[int, list[ExcessLoss]] = {}
        for each in self.excess:
            by_mark.setdefault(each.mark, []).append(each)
        return [_point(self.base_batch_size, by_mark[mark]) for mark in sorted(by_mark)]

    @property
    def bounded(self) -> bool:
        """Whether sizes on either side of the critical batch were tried at every mark."""
        tried = [max(each.batch_size for each in point.excess) for point in self.points]
        return all(
            self.base_batch_size < point.batch_size < most
            for point, most in zip(self.points, tried, strict=True)
        )

    @property
    def ramp(self) -> str:
        """The curve as ``points`` of a ramp, such as "2x@12.5%, 4x@50%"; empty where it stays at the base.

        A size is taken from the mark on from which no later mark has a smaller critical batch, so that a
        mark that comes out too large by chance does not count. Doubling once the critical batch allows it is
        what Merrill et al. did, as summaries tell it.
        """
        turns = [
            f"{size // self.base_batch_size}x@{100 * mark / self.budget:.4g}%" for mark, size in self._turns
        ]
        return ", ".join(turns)

    def sizes(self, parts: int) -> list[int]:
        """Return the size that the ramp has in each of equal parts of the run, that at its middle."""
        middles = ((2 * part + 1) * self.budget / (2 * parts) for part in range(parts))
        return [
            max([size for mark, size in self._turns if mark <= middle], default=self.base_batch_size)
            for middle in middles
        ]

    @property
    def _turns(self) -> list[tuple[int, int]]:
        """The ramp's marks in examples, and the sizes from them on."""
        found, former = [], self.base_batch_size
        points = self.points
        for place, point in enumerate(points):
            size = min(each.batch_size for each in points[place:])
            if size > former:
                found.append((point.mark, size))
                former = size
        return found


def _point(base: int, excess: Sequence[ExcessLoss]) -> CriticalPoint:
    by_size = sorted(excess, key=lambda each: each.batch_size)
    free = [each.batch_size for each in by_size if each.mean is not None and each.mean <= TOLERANCE]
    may = [each.batch_size for each in by_size if each.low is not None and each.low <= TOLERANCE]
    low = base
    for each in by_size:
        if each.high is None or each.high > TOLERANCE:
            break
        low = each.batch_size
    high = max(may, default=base)
    return CriticalPoint(
        mark=by_size[0].mark,
        batch_size=max(free, default=base),
        low=low,
        high=high,
        excess=tuple(by_size),
        open_end=high == by_size[-1].batch_size,
    )
