"""Which steps of an interval are measured."""

import math

__all__ = ["COSTLY_SHARE", "COSTLY_STEPS", "SAMPLED_STEPS", "costly_stride_of", "stride_of"]

SAMPLED_STEPS = 16
"""Steps of an interval, evenly spaced, whose statistics are averaged at most.

From 17 steps on measuring costs half of what it would at every step, or less. With 16 of 32 steps at batch 32
a mean norm is off by about half of what it changes from one interval to the next
(``benchmarks/sampling_error.py``). The mean gradient takes every step: leaving some out would leave out
examples."""

COSTLY_STEPS = 4
"""The same for statistics that take extra passes, or one more reduction of a gradient.

They take 2 % of an interval of 128 steps of the lightest network (``benchmarks/README.md``)."""

COSTLY_SHARE = 10
"""And these at every tenth step at most, once in a shorter interval.

A light network's pass costs nearly as much for half of a batch."""


def stride_of(steps: int) -> int:
    """Return the distance between two measured steps in an interval of about so many.

    >>> [stride_of(steps) for steps in (5, 16, 17, 128)]
    [1, 1, 2, 8]
    """
    return max(1, math.ceil(steps / SAMPLED_STEPS))


def costly_stride_of(steps: int) -> int:
    """Return the distance between two measured steps that take extra passes, or one more reduction.

    >>> [costly_stride_of(steps) for steps in (5, 40, 41, 128)]
    [10, 10, 11, 32]
    """
    return max(COSTLY_SHARE, math.ceil(steps / COSTLY_STEPS))
