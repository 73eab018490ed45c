"""The course of a run that is known before it starts: its learning rate, its budget and its intervals.

A rule that follows from the course has, beside ``decide``, what :class:`PlannedScheduler` says; whoever
trains asks for the rule by :func:`planned`.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import BatchSizeScheduler, Wrapping

__all__ = [
    "NO_PLAN",
    "LrCurve",
    "Planned",
    "PlannedScheduler",
    "RunPlan",
    "merged",
    "planned",
    "unreached",
    "wants_plan",
]

NO_PLAN = "no plan of the run was given"
"""The reason of a hold by a rule that needs one."""

ONE_CYCLE_RISE = 0.3  # share of what follows the warm-up


@dataclass(frozen=True, slots=True, kw_only=True)
class LrCurve:
    """The factor on the learning rate over a run.

    Args:
        lr_schedule: a name of ``LR_SCHEDULES``.
        warmup: share of the budget over which the factor rises linearly from 0, in [0, 1).
        lr_decay: factor of each stage of "staircase".
        lr_stages: equal stages of "staircase".
        lr_final: what "linear" and "wsd" end at.
        wsd_decay: share of the budget that "wsd" decays over, at the end.
    """

    lr_schedule: str
    warmup: float = 0.0
    lr_decay: float = 0.1
    lr_stages: int = 3
    lr_final: float = 0.0
    wsd_decay: float = 0.2

    def factor(self, progress: float) -> float:
        """Return the factor at ``progress`` = examples seen / budget, in [0, 1].

        After a linear warm-up, p being the share of the rest: "constant" 1; "cosine" ``(1 + cos(pi p)) / 2``;
        "linear" a fall from 1 to ``lr_final``; "one_cycle" a linear rise from 0.04 over the first 30 % and a
        cosine fall to 0. Of the whole budget, warm-up included: "step" 1, 0.1, 0.01 with drops at one half
        and three quarters; "staircase" ``lr_decay ** k`` in the k-th of ``lr_stages`` equal parts, as in
        AdaBatch's constant runs; "wsd" (warm-up, stable, decay) 1, and a linear fall to ``lr_final`` over the
        last ``wsd_decay``.

        >>> [round(LrCurve(lr_schedule="cosine").factor(p), 2) for p in (0.0, 0.5, 1.0)]
        [1.0, 0.5, 0.0]
        >>> [LrCurve(lr_schedule="step", warmup=0.1).factor(p) for p in (0.05, 0.4, 0.6, 0.8)]
        [0.5, 1.0, 0.1, 0.01]
        >>> [LrCurve(lr_schedule="staircase", lr_decay=0.5, lr_stages=4).factor(p) for p in (0, 0.25, 0.6, 1)]
        [1.0, 0.5, 0.25, 0.125]
        >>> [round(LrCurve(lr_schedule="wsd", lr_final=0.1).factor(p), 2) for p in (0.5, 0.8, 0.9, 1.0)]
        [1.0, 1.0, 0.55, 0.1]
        """
        if progress < self.warmup:
            return progress / self.warmup
        now = min(progress, 1.0)
        p = (now - self.warmup) / (1 - self.warmup)
        if self.lr_schedule == "cosine":
            return (1 + math.cos(math.pi * p)) / 2
        if self.lr_schedule == "linear":
            return 1 - (1 - self.lr_final) * p
        if self.lr_schedule == "wsd":
            return 1 - (1 - self.lr_final) * max(0.0, 1 - (1 - now) / self.wsd_decay)
        if self.lr_schedule == "step":
            return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01
        if self.lr_schedule == "staircase":
            return self.lr_decay ** min(math.floor(progress * self.lr_stages), self.lr_stages - 1)
        if self.lr_schedule == "one_cycle":
            rise = ONE_CYCLE_RISE
            if p < rise:
                return 0.04 + 0.96 * p / rise
            return (1 + math.cos(math.pi * (p - rise) / (1 - rise))) / 2
        return 1.0

    @property
    def peak(self) -> float:
        """The progress from which on the factor never rises again."""
        rise = ONE_CYCLE_RISE if self.lr_schedule == "one_cycle" else 0.0
        return self.warmup + rise * (1 - self.warmup)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A run's budget and interval in examples, and the curve of its learning rate."""

    budget: int
    interval: int
    curve: LrCurve

    def next_mark(self, examples_seen: int) -> int:
        """Return the number of examples at which the interval that begins now is due to end."""
        return min((examples_seen // self.interval + 1) * self.interval, self.budget)


@runtime_checkable
class PlannedScheduler(Protocol):
    """A rule that decides by the run's plan, always or by its fields; without one it holds and says so."""

    @property
    def needs_plan(self) -> bool:
        """Whether it does with the fields that it has."""
        ...

    def decide_planned(self, history: Sequence[Signals], limits: Limits, plan: RunPlan) -> Decision:
        """Return the size for the next interval."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Wrapping):
    """A scheduler that was told its run's plan."""

    scheduler: BatchSizeScheduler
    plan: RunPlan

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Ask the scheduler inside by the plan."""
        return cast(PlannedScheduler, self.scheduler).decide_planned(history, limits, self.plan)


def planned(scheduler: BatchSizeScheduler, plan: RunPlan) -> BatchSizeScheduler:
    """Return the scheduler, told the plan of its run where it, or what it wraps, decides by one."""
    if isinstance(scheduler, PlannedScheduler) and scheduler.needs_plan:
        return Planned(scheduler=scheduler, plan=plan)
    if wants_plan(scheduler):
        inside: Any = scheduler
        return cast(
            BatchSizeScheduler, dataclasses.replace(inside, scheduler=planned(inside.scheduler, plan))
        )
    return scheduler


def unreached(scheduler: object, budget: int, epochs: float) -> str | None:
    """Return what of a scheduler's timetable, or of what it wraps, lies beyond a run; None without any.

    A scheduler of one's own may have a method ``unreached``, too.
    """
    if scheduler is None:
        return None
    tell = getattr(scheduler, "unreached", None)
    if callable(tell):
        found: str | None = tell(budget, epochs)
        return found
    return unreached(getattr(scheduler, "scheduler", None), budget, epochs)


def merged(scheduler: object, interval: int, budget: int) -> str | None:
    """Return what of a scheduler's timetable, or of what it wraps, is too dense for decisions; None without.

    A scheduler of one's own may have a method ``merged``, too.
    """
    if scheduler is None:
        return None
    tell = getattr(scheduler, "merged", None)
    if callable(tell):
        found: str | None = tell(interval, budget)
        return found
    return merged(getattr(scheduler, "scheduler", None), interval, budget)


def wants_plan(scheduler: object) -> bool:
    """Tell whether a scheduler, or what it wraps, decides by the run's plan."""
    if isinstance(scheduler, PlannedScheduler):
        return scheduler.needs_plan
    inside = getattr(scheduler, "scheduler", None)
    return dataclasses.is_dataclass(scheduler) and inside is not None and wants_plan(inside)
