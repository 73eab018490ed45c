"""What a scheduler would have decided on the signals of a stored run: decisions, not outcomes."""

from collections.abc import Sequence
from dataclasses import replace

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.contract import decide

__all__ = ["virtual_decisions"]


def virtual_decisions(
    history: Sequence[Signals], scheduler: BatchSizeScheduler, limits: Limits
) -> list[Decision]:
    """Return one decision per row, the scheduler's own sizes and factors taking the place of the run's.

    Raises:
        ValueError: the scheduler broke its contract, or a signal is missing.
    """
    decisions: list[Decision] = []
    seen: list[Signals] = []
    for row in history:
        size, factor = row.initial_batch_size, 1.0
        if decisions:
            size, factor = decisions[-1].batch_size, decisions[-1].lr_scale
        lr = row.lr if factor == row.lr_scale else row.lr / row.lr_scale * factor
        seen.append(replace(row, batch_size=size, lr_scale=factor, lr=lr))
        decisions.append(decide(scheduler, seen, limits))
    return decisions
