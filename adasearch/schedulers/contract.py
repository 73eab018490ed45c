"""An answer of a scheduler, asked for and checked."""

import math

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import BatchSizeScheduler

__all__ = ["decide", "fault_in"]


def decide(scheduler: BatchSizeScheduler, history: list[Signals], limits: Limits) -> Decision:
    """Ask ``scheduler`` and check its answer, so that a fault is reported as that scheduler's.

    Raises:
        ValueError: the answer breaks a rule, see :func:`fault_in`.
    """
    decision = scheduler.decide(history, limits)
    fault = fault_in(decision, history[-1].batch_size, limits)
    if fault:
        raise ValueError(f"scheduler {scheduler!r} {fault}")
    return decision


def fault_in(decision: object, old: int, limits: Limits) -> str | None:
    """Return which rule a decision breaks that follows the size ``old``, or None.

    >>> wish = Decision(batch_size=48, lr_scale=1.0, action="hold", reason="why")
    >>> fault_in(wish, 32, Limits(smallest=16, largest=64))
    "called 32 to 48 'hold', not 'grow'"
    """
    if not isinstance(decision, Decision):
        return f"must return a Decision but returned type {type(decision).__name__}"
    size, scale = decision.batch_size, decision.lr_scale
    if not (isinstance(size, int) and limits.admit(size)):
        return f"chose batch_size={size!r}, outside {limits} or no whole number"
    right = "hold" if size == old else "grow" if size > old else "shrink"
    if decision.action != right:
        return f"called {old} to {size} {decision.action!r}, not {right!r}"
    if not decision.reason.strip():
        return "gave no reason for its decision"
    if not 0 < scale < math.inf:
        return f"chose lr_scale={scale!r}, which is not finite and greater than 0"
    return None
