"""A ramp: a fixed timetable of batch sizes, by formula or as a list.

With B0 the initial size, step j of n takes effect at ``start + (end - start) * (j-1)/(n-1)`` epochs (the
first at start, the last at end), and from it on the size is ::

    geometric   B0 * growth^(j/n)
    linear      B0 * (1 + (growth - 1) * j/n)

    power       B0 * (t_j / start)^exponent, t_j the epoch of the step

rounded to the nearest size that the limits allow. This is the open-loop timetable of common practice (batch
"warm-up"), no single paper's rule; one late step is the late switch of arXiv 2602.14208. Exponents of the
examples seen that were published for the best or the critical batch: 0.38 (Power Lines), 0.47 (critical
batch, arXiv 2505.23971 and others), 0.57 (Step Law), 2/3 (BST, arXiv 2603.21191). The size follows
from the last row alone, so a resumed run finds its place by itself. A step inside an interval takes effect
at that interval's end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from adasearch.errors import few, require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, aim, hold, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, needs_of, require_of
from adasearch.schedulers.points import points_of
from adasearch.schedulers.run_plan import NO_PLAN, RunPlan

__all__ = ["Ramp"]

SHAPES = ("geometric", "linear", "power")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Go from the initial size to ``growth`` times as much, in steps at fixed epochs.

    Args:
        start: epoch of the first step, at least 0.
        end: epoch of the last step, at least ``start``; without effect if there is one step.
        steps: number of steps, 1 to 1000.
        shape: "geometric", equal factors; "linear", equal additions; or "power" of the examples seen, which
            needs ``start`` greater than 0 and takes ``exponent`` in place of ``growth``.
        growth: last size over initial size, in (0, 10000]; below 1 the ramp falls.
        exponent: of the shape "power", in [-4, 4].
        points: if not empty, used instead of all of the above: "64@50000, 128*0.75@200000" keeps the
            initial size for 50,000 examples, then takes 64, and from 200,000 examples on 128 and three
            quarters of the learning rate. A point without a factor keeps the one before it. One size with
            falling factors is a decay of the learning rate in place of growth. "2x@25%" is twice the initial
            size from a quarter of the run on.
        coupling: how the learning rate follows the size, see :mod:`adasearch.schedulers.coupling`.
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the coupling's noise is: "raw", "preconditioned" or "auto".

    >>> Ramp(start=10, end=5)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: end must be at least start but got start=10, end=5
    """

    start: float = 10.0
    end: float = 40.0
    steps: int = 4
    shape: Literal["geometric", "linear", "power"] = "geometric"
    growth: float = 16.0
    exponent: float = 0.5
    points: str = ""
    coupling: Coupling = "none"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(0 <= self.start < math.inf, "start must be at least 0", start=self.start)
        require(
            self.start <= self.end < math.inf, "end must be at least start", start=self.start, end=self.end
        )
        whole = isinstance(self.steps, int) and 1 <= self.steps <= 1000
        require(whole, "steps must lie in [1, 1000]", steps=self.steps)
        require(self.shape in SHAPES, f"shape must be one of {[*SHAPES]}", shape=self.shape)
        started = self.shape != "power" or self.start > 0
        require(started, "shape 'power' needs start greater than 0", start=self.start)
        require(-4 <= self.exponent <= 4, "exponent must lie in [-4, 4]", exponent=self.exponent)
        require(0 < self.growth <= 10_000, "growth must lie in (0, 10000]", growth=self.growth)
        require_of(self)
        factors = any(point.lr_scale is not None for point in points_of(self.points))
        require(
            not factors or self.coupling == "none",
            "points with factors on the learning rate need coupling 'none'",
            coupling=self.coupling,
        )

    @property
    def needs(self) -> frozenset[str]:
        """What the coupling reads."""
        return needs_of(self)

    @property
    def needs_plan(self) -> bool:
        """Whether points lie at shares of the run."""
        return "%" in self.points

    def unreached(self, budget: int, epochs: float) -> str | None:
        """Return what of the timetable lies beyond a run of ``budget`` examples or ``epochs``, if any.

        >>> Ramp(points="64@500, 128@2000").unreached(1000, 5.0)
        '1 of 2 points never taken (128@2000): the run ends at 1000 examples'
        """
        if self.points.strip():
            words = self.points.replace(",", " ").split()
            points = zip(words, points_of(self.points, budget=budget), strict=True)
            late = [word for word, point in points if point.mark >= budget]
            what, every, end = "points", len(words), f"{budget} examples"
        else:
            late = [f"epoch {time:g}" for time in self._times if time >= epochs - 1e-9]
            what, every, end = "steps", self.steps, f"epoch {epochs:g}"
        if not late:
            return None
        return f"{len(late)} of {every} {what} never taken ({few(late, 3)}): the run ends at {end}"

    def merged(self, interval: int, budget: int) -> str | None:
        """Return how many points are skipped, as one of the same interval of so many examples comes later.

        >>> Ramp(points="64@100, 96@300, 128@500").merged(400, 1000)
        '1 of 3 points never taken: the next one lies in the same interval of 400 examples'
        """
        points = points_of(self.points, budget=budget) if self.points.strip() else []
        skipped = len(points) - len({max(1, math.ceil(point.mark / interval)) for point in points})
        if not skipped:
            return None
        return (
            f"{skipped} of {len(points)} points never taken: the next one lies in the same interval of "
            f"{interval} examples"
        )

    @property
    def _times(self) -> list[float]:
        """The epochs of the steps."""
        return [self.start + (self.end - self.start) * j / max(self.steps - 1, 1) for j in range(self.steps)]

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Take the size that the timetable names for the last row's epoch or examples."""
        return hold(history[-1], NO_PLAN) if self.needs_plan else self._at(history, limits, 10**12)

    def decide_planned(self, history: Sequence[Signals], limits: Limits, plan: RunPlan) -> Decision:
        """Take the size that the points name for the share of the run that is over."""
        return self._at(history, limits, plan.budget)

    def _at(self, history: Sequence[Signals], limits: Limits, budget: int) -> Decision:
        last = history[-1]
        bad = unusable([last], sorted(self.needs))
        if bad:
            return hold(last, bad)
        if self.points.strip():
            decision = self._by_points(last, limits, budget)
        else:
            wanted, reason = self._by_formula(last)
            decision = aim(last, wanted, limits, reason)
        return coupled(self, history, decision)

    def _by_points(self, last: Signals, limits: Limits, budget: int) -> Decision:
        points = points_of(self.points, initial=last.initial_batch_size, budget=budget)
        passed = [point for point in points if point.mark <= last.examples_seen]
        reason = f"{len(passed)} of {len(points)} points passed at {last.examples_seen} examples"
        wanted = [last.initial_batch_size, *(point.batch_size for point in passed)][-1]
        factors = [point.lr_scale for point in passed if point.lr_scale is not None]
        decision = aim(last, wanted, limits, reason)
        return replace(decision, lr_scale=factors[-1]) if factors else decision

    def _by_formula(self, last: Signals) -> tuple[float, str]:
        times = self._times
        done = sum(time <= last.epoch + 1e-9 for time in times)
        share = done / self.steps
        if self.shape == "power":
            factor = (times[done - 1] / self.start) ** self.exponent if done else 1.0
        else:
            factor = self.growth**share if self.shape == "geometric" else 1 + (self.growth - 1) * share
        return last.initial_batch_size * factor, f"{done} of {self.steps} steps done at epoch {last.epoch:g}"
