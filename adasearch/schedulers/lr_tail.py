"""The batch that fits a learning-rate schedule, by ``eta_t / sqrt(tail_t)`` (Li, Bu, Xu; arXiv 2607.27731).

With eta the run's learning rate and ``tail_t`` its sum from step t to the last. Minimising the noise term
``sum_t eta_t^2 / (B_t tail_t)`` of a bound for the last iterate at a fixed number of examples gives this
shape; it is that of Li, Bu and Xu (arXiv 2607.27731), of whom only notes were at hand (their further factor,
the whole integral of eta, is the same at all steps). Nothing is measured, and the size may fall as well as
grow.

In our runs eta is given over the share x of the examples, not over steps. Then, with ``dt = dx / B``,
``sqrt(tail) = (1 - x) / (2 c)`` for ``B = c eta / sqrt(tail)``, and so [derived]::

    B(x) proportional to eta(x) / (1 - x)

cut to the limits, at the constant that makes as many steps as a constant batch of ``mean_batch_size`` takes
for the budget: equal examples and equal steps. A constant rate gives ``mean / (2 (1 - x))``, which grows
late; a linear decay to 0 a constant batch; a cosine, after a slight rise, a falling one.

The first interval has the run's initial size, like that of every scheduler. Each later one takes the size
that brings the steps to the plan at its end, so that what whole sizes leave over is carried on. At the end
the number of steps is the plan's to one step, plus what one unit of size makes out in the last interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, aim, hold
from adasearch.schedulers.run_plan import NO_PLAN, LrCurve, RunPlan

__all__ = ["LrTail", "planned_steps"]

CELLS = 2000  # of the budget, for its integrals
HALVINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class LrTail:
    """Follow the run's learning rate over the root of its rest.

    Args:
        mean_batch_size: examples per step over the whole run, at least 1; 0 is the initial size.
    """

    mean_batch_size: int = 0

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES
    needs_plan: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        whole = isinstance(self.mean_batch_size, int) and self.mean_batch_size >= 0
        require(
            whole,
            "mean_batch_size must be at least 1, or 0 for the initial size,",
            mean_batch_size=self.mean_batch_size,
        )

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Hold, since the run's learning-rate schedule is not known."""
        return hold(history[-1], NO_PLAN)

    def decide_planned(self, history: Sequence[Signals], limits: Limits, plan: RunPlan) -> Decision:
        """Take the size that brings the number of steps to the plan at the next interval's end."""
        last = history[-1]
        mean = min(max(self.mean_batch_size or last.initial_batch_size, limits.smallest), limits.largest)
        mark = plan.next_mark(last.examples_seen)
        if mark <= last.examples_seen:
            return hold(last, f"the budget of {plan.budget} examples is used")
        seen = [0, *(row.examples_seen for row in history)]
        taken = sum(
            (now - before) / row.batch_size
            for (before, now), row in zip(pairwise(seen), history, strict=True)
        )
        wanted = plan.budget / mean * planned_steps(plan.curve, limits, mean, mark / plan.budget)
        steps = max(1.0, wanted - taken)
        size = (mark - last.examples_seen) / steps
        reason = f"{steps:.1f} steps to {mark} examples, of {plan.budget / mean:.0f} in all"
        return aim(last, size, limits, reason)


def planned_steps(curve: LrCurve, limits: Limits, mean: int, progress: float) -> float:
    """Return the share of the run's steps that is due at a share of its examples, both in [0, 1]."""
    shares = _shares(curve, limits.smallest / mean, limits.largest / mean)
    place = progress * CELLS
    cell = min(int(place), CELLS - 1)
    return shares[cell] + (place - cell) * (shares[cell + 1] - shares[cell])


@lru_cache(maxsize=256)
def _shares(curve: LrCurve, smallest: float, largest: float) -> tuple[float, ...]:
    """Return the share of the steps at the borders of ``CELLS`` equal parts of the examples.

    ``smallest`` and ``largest`` are the limits over the mean size, at most and at least 1.
    """
    middles = [(cell + 0.5) / CELLS for cell in range(CELLS)]
    shape = [curve.factor(x) / (1 - x) for x in middles]

    def steps(scale: float) -> list[float]:  # of each cell, the whole run having one at the mean size
        return [1 / min(max(scale * each, smallest), largest) / CELLS for each in shape]

    low, high = -60.0, 60.0  # powers of two; the number of steps falls as the scale rises
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if math.fsum(steps(2.0**middle)) > 1 else (low, middle)
    made = steps(2.0**high)
    total = math.fsum(made)
    return tuple(each / total for each in accumulate(made, initial=0.0))
