"""What a loop of one's own can have: a scheduler whose signals are measured there, and sizes it can draw."""

import dataclasses
from collections.abc import Mapping

from torch.optim import Optimizer

from adasearch.errors import InputError, require
from adasearch.records import Limits, Signals, Value
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.by_optimizer import OptimizerKind
from adasearch.schedulers.registry import make_scheduler
from adasearch.schedulers.run_plan import wants_plan
from adasearch.signal_sets import GROUPED, MEASURED, PRECONDITIONED
from adasearch.signals.preconditioner import has_second_moments

__all__ = ["check_whole", "kind_of", "limits_for", "missing_signals", "scheduler_of"]

FREE = frozenset(field.name for field in dataclasses.fields(Signals) if field.default is dataclasses.MISSING)


def scheduler_of(
    scheduler: str | BatchSizeScheduler, fields: Mapping[str, Value], *, evaluated: bool
) -> BatchSizeScheduler:
    """Return the scheduler that is given, or is built from a name and fields.

    Raises:
        InputError: an unknown name or field, fields without a name, a signal that is not to be had, or a
            rule that follows a learning-rate schedule, which only a search's run knows.
    """
    if not isinstance(fields, Mapping):
        raise InputError(f"fields must be a mapping of names but is of type {type(fields).__name__}")
    if not isinstance(scheduler, str) and fields:
        raise InputError("fields belong to a scheduler given by name, not to one that is built already")
    built = make_scheduler(scheduler, fields) if isinstance(scheduler, str) else scheduler
    if isinstance(built, type) or not (hasattr(built, "decide") and hasattr(built, "needs")):
        held = f"the class {built.__name__}" if isinstance(built, type) else f"of type {type(built).__name__}"
        raise InputError(f"scheduler must be a name or a scheduler that is built, but is {held}")
    if wants_plan(built):
        raise InputError(
            f"scheduler {type(built).__name__} follows the plan of a run (length and learning rate), which"
            " the controller does not know; a searched run's sizes are at hand as the points of a ramp"
            " (adasearch export --as ramp)"
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
    measured = {*MEASURED, *PRECONDITIONED, "val_loss"}
    unknown = needs - FREE - measured
    if unknown:
        known = ", ".join(sorted(measured))
        return f"{', '.join(sorted(unknown))}, which the controller cannot measure; it measures {known}"
    if "val_loss" in needs and not evaluated:
        return "val_loss: give evaluate=, a function that returns the validation loss"
    return None


def kind_of(optimizer: Optimizer) -> OptimizerKind:
    """Return what schedulers must know of an optimiser."""
    inner: Optimizer = getattr(optimizer, "optimizer", optimizer)  # of accelerate's wrapper
    return OptimizerKind(
        name=type(inner).__name__,
        second_moments=has_second_moments(inner),
        betas=any("betas" in group for group in inner.param_groups),
    )


def check_whole(scheduler: BatchSizeScheduler, device_batch: int | None, *, shared: bool) -> None:
    """Refuse what would cut batches into parts; ``shared`` tells whether several processes share them.

    Raises:
        InputError: a device batch, or in one process a scheduler that needs the noise between examples.
    """
    require(device_batch is None, "whole_batches takes no device_batch", device_batch=device_batch)
    needs = sorted(scheduler.needs & GROUPED)
    if needs and not shared:
        raise InputError(
            f"scheduler {type(scheduler).__name__} needs {', '.join(needs)}, measured between parts of each "
            "batch in one process, so it cannot have whole_batches=True"
        )


def limits_for(limits: Limits | None, examples: int, processes: int, *, drop_last: bool) -> Limits:
    """Return the limits if the sampler can draw every size in them; None stands for those of a search.

    Raises:
        InputError: it cannot, or there are too few examples for those of a search.
    """
    if limits is None:
        try:
            return Limits.default(examples, processes)
        except ValueError as error:
            raise InputError(
                f"{examples} examples are too few for the default limits; give limits="
            ) from error
    enough = limits.smallest >= processes
    require(enough, f"limits.smallest must be at least {processes}, 1 per process,", smallest=limits.smallest)
    full = not drop_last or limits.largest <= examples
    require(full, f"with drop_last limits.largest must be at most {examples}", largest=limits.largest)
    return limits
