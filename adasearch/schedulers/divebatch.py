"""DiveBatch: grow with the gradient diversity (Chen, Wang, Sundaram; arXiv 2509.16173).

At each epoch's end, over its N examples with gradients g_i::

    Delta = sum_i |g_i|^2 / |sum_i g_i|^2,   B <- min(max(delta * N * Delta, B), B_max)

rounded down; never smaller. Known from code taken as the authors': this rule, delta 1e-4, sizes from 128 to
2048, a resize every few epochs. They rescale the learning rate in some runs by a law that is not known.

Both sums run along the epoch's training there, so the gradients are of different weights and cancel in the
second one. No pass over all examples is needed: with G a step's mean gradient, Sigma the covariance of its
examples' gradients and m the mean of all steps' gradients, ``sum_i |g_i|^2`` is ``N * mean(|G|^2 +
tr(Sigma))`` and ``|sum_i g_i|^2`` is ``N^2 * |m|^2``, hence, whatever N is::

    N * Delta = mean(|G|^2 + tr(Sigma)) / |m|^2

exactly where a period is one interval. Of a period of several intervals only the norms of their means are
known; their mean, weighted by examples, is at least the whole one's norm, so that the diversity is at most
under-estimated.

``diversity`` "noise_scale", which is ours, takes all gradients as if the weights had stood still: then it is
``1 + mean tr(Sigma) / mean |G|^2``, one more than McCandlish's noise scale. Both parts are unbiased for any
batch, so growth does not change that signal. The two may differ by far (1279 against 22 in six epochs of a
small network). Versions up to 0.2.0 knew the latter only.

Where we differ: of a period of more than 100 intervals the last 100 count; the default delta is ours, since
on the code's own scale 1e-4 would hardly ever reach 16; a norm not greater than 0 means hold, where theirs
takes an undefined diversity for the largest batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, TAIL, hold, periods, read, resize, smooth, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, needs_of, require_of
from adasearch.signal_sets import MOMENTS

__all__ = ["DiveBatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiveBatch:
    """Grow to ``delta`` times the diversity of the period's gradients.

    Args:
        delta: size per unit of ``N * Delta``, greater than 0.
        period: epochs between decisions, greater than 0.
        diversity: "period", of the gradients along the period's training, or "noise_scale", of gradients at
            one place.
        coupling: how the learning rate follows the size, see :mod:`adasearch.schedulers.coupling`.
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the coupling's noise is: "raw", "preconditioned" or "auto".

    >>> DiveBatch(delta=0)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: delta must be greater than 0 but got delta=0
    """

    delta: float = 0.1
    period: float = 1.0
    diversity: Literal["period", "noise_scale"] = "period"
    coupling: Coupling = "none"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(0 < self.delta < math.inf, "delta must be greater than 0", delta=self.delta)
        require(0 < self.period < math.inf, "period must be greater than 0", period=self.period)
        known = self.diversity in ("period", "noise_scale")
        require(known, "diversity must be 'period' or 'noise_scale'", diversity=self.diversity)
        require_of(self)

    @property
    def needs(self) -> frozenset[str]:
        """The moments of the examples' gradients, along a period their mean's norm, and the coupling's."""
        along = {"mean_grad_norm"} if self.diversity == "period" else frozenset()
        return MOMENTS | along | needs_of(self)

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Grow if the diversity of the period that has just ended asks for more."""
        last = history[-1]
        bad = unusable([last], sorted(self.needs))
        if bad:
            return hold(last, bad)
        before, now = periods(history, self.period)
        if now == before:
            wish = hold(last, f"period {now + 1} of {self.period:g} epochs not over")
        else:
            wish = self._by_diversity(history, limits)
        return coupled(self, history, wish)

    def _by_diversity(self, history: Sequence[Signals], limits: Limits) -> Decision:
        last = history[-1]
        start = next((k for k, row in enumerate(history) if row.epoch > last.epoch - self.period + 1e-9), 0)
        rows = history[max(start, len(history) - TAIL) :]
        noise, square = (max(smooth(rows, name, 1.0), 0.0) for name in ("grad_noise", "grad_sq_norm"))
        if self.diversity == "noise_scale":
            over, under = noise + square, square
        else:
            over, under = noise + square, _mean_norm_square(history, len(rows))
        if not 0 < under < math.inf:
            return hold(last, "no diversity: the period's mean gradient is 0 or no number")
        wanted = self.delta * (over / under)
        reason = f"{self.delta:g} * diversity {over / under:.4g} = {wanted:.4g}"
        if wanted < last.batch_size + limits.multiple_of:
            return hold(last, f"{reason}, which is no larger size")
        return resize(last, wanted, limits, reason)


def _mean_norm_square(history: Sequence[Signals], count: int) -> float:
    """Return the squared norm of the mean gradient over the last intervals, weighted by their examples."""
    marks = [0, *(row.examples_seen for row in history)][-count - 1 :]
    norms = read(history[-count:], "mean_grad_norm")
    weighed = [
        (now - before, norm)
        for (before, now), norm in zip(pairwise(marks), norms, strict=True)
        if math.isfinite(norm)
    ]
    norm = sum(examples * norm for examples, norm in weighed) / max(sum(each for each, _ in weighed), 1)
    return norm * norm
