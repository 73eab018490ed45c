"""What the noise scale says beforehand: the most that a schedule saves, and the cheapest constant batch.

Both are McCandlish's model (arXiv 1812.06162) with N(s) the noise scale at progress s in [0, 1]: a unit of
progress takes ``1 + N/B`` steps, and ``B + N`` examples, in units that do not matter here. It assumes plain
stochastic gradient noise and a learning rate that is tuned at every size, and it is a model: under Adam it
can mislead (Merrill et al., arXiv 2505.23971).

**A schedule against the best constant batch** [derived]. Of a constant batch the excess over the least number
of steps times the excess over the least number of examples is 1. The best varying batch is proportional to
``sqrt(N(s))`` and makes the product ::

    gamma = mean(sqrt N)^2 / mean(N)

1 where N is constant. At equal examples it saves ``1 - gamma`` of the excess steps. Where a step takes ``a +
b B`` seconds it saves at most ``(1 - sqrt(gamma)) / 2`` of the seconds, reached where fixed and proportional
cost balance. Estimates of N that scatter make gamma smaller, and the ceiling comes out too high, not too low.

**The constant batch**: with ``t(B)`` the seconds of a step, training takes ``t(B) (1 + mean(N) / B)``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.profiles.modelled_time import SpeedCurve

__all__ = ["ConstantBatch", "constant_batch", "excess_steps_saved", "seconds_saved"]

BAND = 1.05
"""What the sizes of a band cost at most over the best one. Ours."""

GRID = 200  # sizes looked at between the smallest and the largest profiled


def seconds_saved(gamma: float) -> float:
    """Return the greatest share of the seconds that any schedule saves over the best constant batch.

    >>> [round(100 * seconds_saved(gamma), 1) for gamma in (1.0, 0.9, 0.71)]
    [0.0, 2.6, 7.9]
    """
    return (1 - math.sqrt(gamma)) / 2


def excess_steps_saved(gamma: float) -> float:
    """Return the greatest share of the steps beyond the least number that is saved at equal examples."""
    return 1 - gamma


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantBatch:
    """The constant batch that costs least by the model.

    Args:
        best: its size, inside the profiled sizes.
        low, high: ends of the band around it that costs at most 5 % more.
        default: the user's own size.
        cost: seconds at ``default`` over those at ``best``, at least 1.
        open_end: whether ``high`` is the largest profiled size, so that larger ones might do as well.
    """

    best: int
    low: int
    high: int
    default: int
    cost: float
    open_end: bool


def constant_batch(curve: SpeedCurve, noise: Sequence[float], default: int) -> ConstantBatch:
    """Return the best constant batch for a speed curve and the noise scale at equal steps of progress.

    >>> flat = SpeedCurve(sizes=(1, 1024), step_seconds=(1.001, 2.024), measure_seconds={})  # 1 + B/1000
    >>> constant_batch(flat, [250.0], 32).best  # sqrt(a / b * N) = sqrt(1000 * 250) = 500
    500
    """
    mean = math.fsum(noise) / len(noise)
    first, last = curve.sizes[0], curve.sizes[-1]

    def seconds(size: int) -> float:
        return curve.step(size) * (1 + mean / size)

    grid = {round(first * (last / first) ** (k / GRID)) for k in range(GRID + 1)}
    best = min(sorted(grid), key=seconds)
    near = range(max(first, best - max(2, best // 20)), min(last, best + max(2, best // 20)) + 1)
    best = min(near, key=seconds)  # the grid's steps are a few percent of a size
    within = [size for size in sorted(grid | {best}) if seconds(size) <= BAND * seconds(best)]
    return ConstantBatch(
        best=best,
        low=within[0],
        high=within[-1],
        default=default,
        cost=max(1.0, seconds(default) / seconds(best)),
        open_end=within[-1] == last,
    )
