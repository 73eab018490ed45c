"""The scheduler of a loop of one's own, if the loop can have the signals that it needs."""

import dataclasses
from collections.abc import Mapping

from adasearch.errors import InputError
from adasearch.records import Signals, Value
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.registry import make_scheduler
from adasearch.schedulers.run_plan import wants_plan
from adasearch.signal_sets import MEASURED

__all__ = ["missing_signals", "scheduler_of"]

FREE = frozenset(field.name for field in dataclasses.fields(Signals) if field.default is dataclasses.MISSING)


def scheduler_of(
    scheduler: str | BatchSizeScheduler, fields: Mapping[str, Value], *, evaluated: bool
) -> BatchSizeScheduler:
    """Return the scheduler that is given, or is built from a name and fields.

    Raises:
        InputError: an unknown name or field, fields without a name, a signal that is not to be had, or a
            rule that follows a learning-rate schedule, which only a search's run knows.
    """
    if not isinstance(scheduler, str) and fields:
        raise InputError("fields belong to a scheduler given by name, not to one that is built already")
    built = make_scheduler(scheduler, fields) if isinstance(scheduler, str) else scheduler
    if wants_plan(built):
        raise InputError(
            f"scheduler {type(built).__name__} follows the plan of a run (length and learning rate), which"
            " the controller does not know; a searched run's sizes are at hand as the points of a ramp"
        )
    missing = missing_signals(built.needs, evaluated=evaluated)
    if missing:
        raise InputError(f"scheduler {type(built).__name__} needs {missing}")
    return built


def missing_signals(needs: frozenset[str], *, evaluated: bool) -> str | None:
    """Return which of ``needs`` a loop of one's own does not have, and what to do about it.

    >>> missing_signals(frozenset({"grad_norm", "train_loss"}), evaluated=False)
    >>> missing_signals(frozenset({"val_loss"}), evaluated=False)
    'val_loss: give evaluate=, a function that returns the validation loss'
    """
    measured = {*MEASURED, "val_loss"}
    unknown = needs - FREE - measured
    if unknown:
        known = ", ".join(sorted(measured))
        return f"{', '.join(sorted(unknown))}, which the controller cannot measure; it measures {known}"
    if "val_loss" in needs and not evaluated:
        return "val_loss: give evaluate=, a function that returns the validation loss"
    return None
