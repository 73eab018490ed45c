"""DiveBatch: grow with the gradient diversity (Chen, Wang, Sundaram; arXiv 2509.16173).

At each epoch's end, over its N examples with gradients g_i::

    Delta = sum_i |g_i|^2 / |sum_i g_i|^2,   B <- min(max(delta * N * Delta, B), B_max)

rounded down; never smaller. Known from code taken as the authors': this rule, delta 1e-4, sizes from 128 to
2048, a resize every few epochs. They rescale the learning rate in some runs by a law that is not known.

Derived, so that no pass over all examples is needed: G is the mean of the N gradients and Sigma their
covariance, so ``sum_i |g_i|^2 = N * (|G|^2 + tr(Sigma))`` and ``|sum_i g_i|^2 = N^2 * |G|^2``, hence ::

    N * Delta = 1 + tr(Sigma) / |G|^2

one more than McCandlish's noise scale, whatever N is. Both parts are unbiased for any batch, so growth does
not change the method's own signal.

Where we differ: the parts are means over the intervals of the period, of more than 100 the last 100 (the
weights move meanwhile, as they do in theirs); the default delta is ours, as on this scale 1e-4 would hardly
ever reach 16; |G|^2 not greater than 0 means hold, where theirs takes an undefined diversity for the largest
batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold, periods, resize, smooth, unusable
from adasearch.schedulers.coupling import Coupling, couple, require_coupling
from adasearch.signal_sets import MOMENTS

__all__ = ["DiveBatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiveBatch:
    """Grow to ``delta`` times the diversity of the period's gradients.

    Args:
        delta: size per unit of ``N * Delta``, greater than 0.
        period: epochs between decisions, greater than 0.
        coupling: how the learning rate follows the size, see :mod:`adasearch.schedulers.coupling`.

    >>> DiveBatch(delta=0)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: delta must be greater than 0 but got delta=0
    """

    delta: float = 0.1
    period: float = 1.0
    coupling: Coupling = "none"

    needs: ClassVar[frozenset[str]] = MOMENTS
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(0 < self.delta < math.inf, "delta must be greater than 0", delta=self.delta)
        require(0 < self.period < math.inf, "period must be greater than 0", period=self.period)
        require_coupling(self.coupling)

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
        return couple(self.coupling, history, wish)

    def _by_diversity(self, history: Sequence[Signals], limits: Limits) -> Decision:
        last = history[-1]
        rows = [row for row in history if row.epoch > last.epoch - self.period + 1e-9]
        noise, square = (max(smooth(rows, name, 1.0), 0.0) for name in ("grad_noise", "grad_sq_norm"))
        if square == 0:
            return hold(last, "no diversity: the period's mean |G|^2 is not greater than 0")
        wanted = self.delta * (1 + noise / square)
        reason = f"{self.delta:g} * diversity {1 + noise / square:.4g} = {wanted:.4g}"
        if wanted < last.batch_size + limits.multiple_of:
            return hold(last, f"{reason}, which is no larger size")
        return resize(last, wanted, limits, reason)
