"""Looking at pairs of runs before all of them are made, and stopping as soon as the answer is clear.

At each look a share of the level is spent, ``alpha * t**2`` in all up to the share ``t`` of the pairs that
may be made (the power family of Kim and DeMets 1987 with exponent 2), and the tests of a look are made at
what is spent there alone. By the union bound the chance of any false answer to one question is at most alpha
whatever the looks have in common, a little more careful than group-sequential boundaries are.
"""

from typing import Literal

from adasearch.analysis.estimates import LEVEL
from adasearch.analysis.paired_tests import TIME_MARGIN, Paired

__all__ = ["SequentialAnswer", "answer", "level_at", "looks"]

LOOKS = (4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Pairs after which one may look; below four a t test rests on the normal distribution alone."""

SequentialAnswer = Literal["gain", "no gain", "worse", "unlikely"]


def looks(most: int) -> list[int]:
    """Return after how many pairs to look, of ``most`` that may be made.

    >>> looks(12), looks(5), looks(3)
    ([4, 6, 8, 12], [4, 5], [3])
    """
    return [*(each for each in LOOKS if each < most), most]


def level_at(pairs: int, most: int) -> float:
    """Return the level of the tests at the look after so many pairs.

    >>> [round(level_at(pairs, 12), 4) for pairs in looks(12)]
    [0.0056, 0.0069, 0.0097, 0.0278]
    >>> round(sum(level_at(pairs, 12) for pairs in looks(12)), 10)
    0.05
    """
    planned = looks(most)
    before = max((each for each in planned if each < pairs), default=0)
    return float(LEVEL * ((pairs / most) ** 2 - (before / most) ** 2))


def answer(row: Paired, level: float, *, give_up: bool = False) -> SequentialAnswer | None:
    """Return what is clear at a level of a candidate against its reference; None if nothing is yet.

    A gain is less time at an error that is lower or equal within the margin, or a lower error in a time that
    is equal or less. No gain is an error that is not lower within the margin and a time that is equal within
    five percent or longer, or a time that is longer by more than that, whatever the error. Worse is a higher
    error beyond the margin.

    To ``give_up`` is to call a gain unlikely where on the mean so far the error is higher beyond the margin,
    or neither error nor time is lower. No gain is told by it, so that the level of those told stays. Ours.
    """
    if row.p_error is None or row.p_equal_error is None or row.p_time is None or row.p_equal_time is None:
        return None
    assert row.log_speed is not None
    faster = row.log_speed.mean > 0 and row.p_time < level
    slower = row.log_speed.mean < 0 and row.p_time < level
    lower = row.error.mean < 0 and row.p_error < level
    higher = row.error.mean > 0 and row.p_error < level
    equal_error, equal_time = row.p_equal_error < level, row.p_equal_time < level
    if higher and not equal_error and row.error.mean > row.error_margin:
        return "worse"
    if (faster and (equal_error or lower)) or (lower and not equal_error and (equal_time or faster)):
        return "gain"
    far_slower = slower and not equal_time and row.log_speed.mean < -TIME_MARGIN
    if far_slower or (equal_error and (equal_time or slower)):
        return "no gain"
    better = row.error.mean < 0 or row.log_speed.mean > 0
    return "unlikely" if give_up and (row.error.mean > row.error_margin or not better) else None
