"""Seesaw: share a learning-rate decay between rate and batch (arXiv 2510.14717).

At each point where a schedule would multiply the learning rate by a < 1::

    lr <- sqrt(a) * lr,   B <- B / a

Known: this rule, that it is derived for Adam (``lr / sqrt(B)`` falls by a, as in the run with the full
decay), and that it holds up to the critical batch size. For SGD it is lr/B that counts, which falls here by
``a^1.5``: use increase_instead_of_decay there.

The decay points are a list of epochs or, as in the paper, the run's own schedule: wherever it has fallen by
a further factor a since its peak, the batch takes 1/a, and the rate, which the schedule lowers by itself, is
multiplied by ``sqrt(B/B0)``. Between two points ours goes on falling with the schedule where theirs is level.

Ours: growth that the limits forbid is left to the learning rate: it is multiplied by ``a * sqrt(new/old)``
with the size really reached, which is sqrt(a) where new/old is 1/a, and the full a at the cap. A point inside
an interval takes effect at that interval's end; two in one interval take effect together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import InputError, require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import (
    LR_SCHEDULES,
    change,
    hold,
    milestones_of,
    milestones_reached,
    nearest,
    reachable,
)
from adasearch.schedulers.run_plan import NO_PLAN, RunPlan

__all__ = ["Seesaw"]

SCHEDULE = "schedule"
MAX_POINTS = 100  # a schedule that ends at 0 falls by any factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Seesaw:
    """Multiply the learning rate by sqrt(a) and the batch by 1/a at each decay point.

    Args:
        milestones: the decay points: rising epochs, greater than 0, as text: "30, 60, 80"; or "schedule",
            each fall of the run's own learning-rate schedule by ``decay``, which then must not be "constant".
        decay: a, the schedule's factor on the learning rate, in [0.01, 1).

    >>> Seesaw(decay=2)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: decay must lie in [0.01, 1) but got decay=2
    """

    milestones: str = "30, 60, 80"
    decay: float = 0.5

    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        if not self.needs_plan:
            try:
                milestones_of(self.milestones)
            except InputError as error:
                raise InputError(f"{error}, or {SCHEDULE!r} for the run's own decay") from error
        require(0.01 <= self.decay < 1, "decay must lie in [0.01, 1)", decay=self.decay)

    @property
    def lr_schedules(self) -> frozenset[str]:
        """Those that fall by themselves where the rule rides them, else the one that does not."""
        constant = frozenset({"constant"})
        return LR_SCHEDULES - constant if self.needs_plan else constant

    @property
    def needs_plan(self) -> bool:
        """Whether it rides the run's own schedule."""
        return self.milestones == SCHEDULE

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Apply the rule once for each decay point that the last interval reached."""
        if self.needs_plan:
            return hold(history[-1], NO_PLAN)
        last, epochs = history[-1], milestones_of(self.milestones)
        reached = milestones_reached(history, epochs)
        if reached == 0:
            later = [epoch for epoch in epochs if epoch > last.epoch]
            return hold(last, f"next decay point at epoch {later[0]:g}" if later else "no decay point left")
        decay = self.decay**reached
        size = reachable(last.batch_size, last.batch_size / decay, limits)
        reason = f"{reached} decay point{'s' * (reached > 1)} reached by epoch {last.epoch:g}: a={decay:g}"
        if size == last.batch_size:
            reason += f", but {size} is the largest size: the learning rate decays alone"
        return change(last, size, reason, lr_scale=last.lr_scale * decay * math.sqrt(size / last.batch_size))

    def decide_planned(self, history: Sequence[Signals], limits: Limits, plan: RunPlan) -> Decision:
        """Take the size that belongs to how far the schedule has fallen."""
        last = history[-1]
        progress = last.examples_seen / plan.budget
        factor = plan.curve.factor(progress) if progress >= plan.curve.peak else 1.0
        points = math.floor(math.log(factor) / math.log(self.decay) + 1e-9) if factor > 0 else MAX_POINTS
        points = min(points, MAX_POINTS)
        reason = f"schedule at {factor:.3g}: {points} decay point{'s' * (points != 1)} of a={self.decay:g}"
        size = max(nearest(last.initial_batch_size / self.decay**points, limits), last.batch_size)
        return change(last, size, reason, lr_scale=math.sqrt(size / last.initial_batch_size))
