"""What it took to reach an error that was fixed in advance."""

import math
from collections.abc import Sequence
from statistics import median

from adasearch.records import IntervalRecord

__all__ = ["NOT_REACHED", "median_reached", "to_target"]

NOT_REACHED = "not reached"


def to_target(
    intervals: Sequence[IntervalRecord], target: float | None, clock: str
) -> tuple[float, float, float]:
    """Return seconds, examples and steps of a run up to the first evaluation at ``target`` or below."""
    spent = 0.0
    for record in intervals:
        spent += record.seconds(clock)
        if target is not None and record.val_error is not None and record.val_error <= target:
            return spent, record.signals.examples_seen, record.signals.step
    return math.inf, math.inf, math.inf


def median_reached(values: Sequence[float]) -> float | str | None:
    """Return the median; ``NOT_REACHED`` unless more than half of the values are finite, None of none.

    >>> median_reached([1.0, 3.0]), median_reached([1.0, 2.0, math.inf]), median_reached([1.0, math.inf])
    (2.0, 2.0, 'not reached')
    """
    if not values:
        return None
    middle = sorted(values)[len(values) // 2] if math.inf in values else median(values)
    return middle if math.isfinite(middle) else NOT_REACHED
