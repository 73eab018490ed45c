"""Means with their intervals: how they are had, and how tables hold and write them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adasearch.objective import ERROR, is_fraction

__all__ = ["LEVEL", "Estimate", "alike", "estimate", "flat", "written", "written_objective"]

LEVEL = 0.05  # of the tests, and 1 - LEVEL of the intervals
RESAMPLES = 9999


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its bootstrap interval; one value alone has none."""

    mean: float
    low: float | None = None
    high: float | None = None

    def exp(self) -> "Estimate":
        """Return a mean of logarithms as one of ratios."""
        low, high = (None if end is None else math.exp(end) for end in (self.low, self.high))
        return Estimate(math.exp(self.mean), low, high)


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of values and its bootstrap interval.

    >>> estimate([0.5]), estimate([2.0, 2.0])
    (Estimate(mean=0.5, low=None, high=None), Estimate(mean=2.0, low=2.0, high=2.0))
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    if alike(values):
        return Estimate(mean, mean, mean)
    from scipy.stats import bootstrap  # takes a while to import, and most commands need none of it

    found = bootstrap(
        (np.asarray(values),), np.mean, n_resamples=RESAMPLES, confidence_level=1 - LEVEL, rng=0
    ).confidence_interval
    return Estimate(mean, float(found.low), float(found.high))


def alike(values: Sequence[float]) -> bool:
    """Tell whether values differ by no more than rounding."""
    return float(np.ptp(values)) < 1e-12


def flat(name: str, value: Estimate | None, *, mean: str = "") -> dict[str, float | None]:
    """Return a mean and its interval as columns of their own; ``mean`` is what the mean's adds to the name.

    >>> flat("speedup", Estimate(1.5, 1.2)), flat("error", None)["error_low"]
    ({'speedup': 1.5, 'speedup_low': 1.2, 'speedup_high': None}, None)
    """
    ends = (None, None, None) if value is None else (value.mean, value.low, value.high)
    return dict(zip((f"{name}{mean}", f"{name}_low", f"{name}_high"), ends, strict=True))


def written(
    value: Estimate | None, factor: float, unit: str, *, digits: int = 1, sign: str = ""
) -> str | None:
    """Write a mean and its interval; None where there is none.

    >>> written(Estimate(0.1, 0.08, 0.13), 100, "%"), written(Estimate(0.01), 100, "pp", sign="+")
    ('10.0 % [8.0, 13.0]', '+1.0 pp')
    """
    if value is None:
        return None
    text = f"{factor * value.mean:{sign}.{digits}f} {unit}".replace(" x", "x").rstrip()
    if value.low is None or value.high is None:
        return text
    return f"{text} [{factor * value.low:{sign}.{digits}f}, {factor * value.high:{sign}.{digits}f}]"


def written_objective(
    value: Estimate | None, objective: str = ERROR, *, difference: bool = False
) -> str | None:
    """Write a mean of an objective, or of a difference of it, and its interval.

    >>> written_objective(Estimate(0.1)), written_objective(Estimate(0.01), difference=True)
    ('10.0 %', '+1.0 pp')
    >>> written_objective(Estimate(2.5, 2.25, 2.75), "loss")
    '2.5000 [2.2500, 2.7500]'
    """
    sign = "+" if difference else ""
    if is_fraction(objective):
        return written(value, 100, "pp" if difference else "%", sign=sign)
    return written(value, 1, "", digits=4, sign=sign)
