"""A fixed batch size: the baseline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold

__all__ = ["Constant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """Keep the initial batch size for the whole run.

    >>> last = Signals(interval=0, epoch=1.0, step=10, examples_seen=320, initial_batch_size=32,
    ...                batch_size=32, lr=0.1, lr_scale=1.0, train_loss=2.0)
    >>> Constant().decide([last], Limits(smallest=16, largest=64)).batch_size
    32
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Hold, always."""
        return hold(history[-1], "constant batch size")
