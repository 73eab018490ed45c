"""A wrapper: never shrink, whatever the scheduler inside wants."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import BatchSizeScheduler, Wrapping

__all__ = ["GrowOnly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowOnly(Wrapping):
    """Raise the smallest size that ``scheduler`` may choose to the one in force.

    The scheduler decides within the narrower limits, so its learning-rate factor fits the size it gets.
    By name it is the field ``wrappers.grow_only``.

    Args:
        scheduler: the rule inside.

    >>> from adasearch.schedulers import SCHEDULERS
    >>> sorted(GrowOnly(scheduler=SCHEDULERS["cabs"]()).needs)
    ['grad_noise']
    """

    scheduler: BatchSizeScheduler

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Ask the scheduler inside for a size from the present one up."""
        return self.scheduler.decide(
            history, dataclasses.replace(limits, smallest=max(limits.smallest, history[-1].batch_size))
        )
