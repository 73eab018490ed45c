"""A wrapper: let every new size stay for some intervals, whatever the scheduler inside wants."""

from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import BatchSizeScheduler, Wrapping, cooling, hold

__all__ = ["Cooldown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown(Wrapping):
    """Replace the decisions of ``scheduler`` by holds for a while after each change of size.

    The size and the learning-rate factor both stay. A timetable that fires meanwhile is not heard, so wrap
    rules that react. The initial size has no cooldown. By name it is the field ``wrappers.cooldown``.

    Args:
        scheduler: the rule inside.
        intervals: how many intervals a new size stays at least, at least 0; 0 and 1 change nothing.

    >>> from adasearch.schedulers import SCHEDULERS
    >>> sorted(Cooldown(scheduler=SCHEDULERS["cabs"](), intervals=3).needs)
    ['grad_noise']
    """

    scheduler: BatchSizeScheduler
    intervals: int = 5

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(self.intervals >= 0, "intervals must be at least 0", intervals=self.intervals)

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Ask the scheduler inside, and hold instead during the cooldown."""
        decision = self.scheduler.decide(history, limits)
        wait = cooling(history, self.intervals)
        return hold(history[-1], f"{wait}; {decision.reason}") if wait else decision
