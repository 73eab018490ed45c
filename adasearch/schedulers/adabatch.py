"""AdaBatch: grow the batch every few epochs (Devarakonda, Naumov, Garland; arXiv 1712.02029).

Every ``period`` epochs ``B <- growth * B``, and the learning rate is multiplied by
``lr_decay * new/old``: lr_decay is the factor of the fixed-batch run (0.375), so doubling gives 0.75 and
the ratio of learning rate to batch stays on the path of the small-batch run.

Where we differ from the authors' script: new/old is the growth really achieved, so at the cap the learning
rate decays by ``lr_decay`` alone (the script compensates the cap in its accumulation branch only); a period
that ends inside an interval fires at that interval's end; no micro-batch is dropped at an epoch's end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import change, hold, periods, reachable

__all__ = ["AdaBatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaBatch:
    """Multiply the batch every ``period`` epochs and keep the learning rate per example on its path.

    Args:
        period: epochs between growths, greater than 0. The authors' CIFAR script uses 20 of 100 epochs.
        growth: factor on the batch, greater than 1.
        lr_decay: factor on the learning rate that the fixed-batch run would apply at each period, in (0, 1].

    >>> AdaBatch(period=0)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: period must be greater than 0 but got period=0
    """

    period: float = 20
    growth: float = 2.0
    lr_decay: float = 0.375

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = frozenset({"constant"})

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(0 < self.period < math.inf, "period must be greater than 0", period=self.period)
        require(1 < self.growth < math.inf, "growth must be greater than 1", growth=self.growth)
        require(0 < self.lr_decay <= 1, "lr_decay must lie in (0, 1]", lr_decay=self.lr_decay)

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Fire once each time the number of whole periods rises between two intervals."""
        last = history[-1]
        before, now = periods(history, self.period)
        if now == before:
            return hold(last, f"period {now + 1} of {self.period:g} epochs not over")
        size = reachable(last.batch_size, last.batch_size * self.growth, limits)
        lr_scale = last.lr_scale * self.lr_decay * size / last.batch_size
        reason = f"period {now} of {self.period:g} epochs over"
        if size == last.batch_size:
            reason += f", but {size} is the largest size: the learning rate decays alone"
        return change(last, size, reason, lr_scale=lr_scale)
