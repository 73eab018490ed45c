"""Every batch-size scheduler by name, and how to build one from parameters.

To add a method: one file here, one line in ``SCHEDULERS``, one YAML in ``search_spaces/schedulers``, one
table test.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from typing import cast

from adasearch.errors import InputError, unknown
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.deba import Deba

__all__ = ["SCHEDULERS", "BatchSizeScheduler", "decide", "make_scheduler", "scheduler_class"]

SCHEDULERS: dict[str, type[BatchSizeScheduler]] = {
    "constant": Constant,
    "adabatch": AdaBatch,
    "deba": Deba,
}


def scheduler_class(name: str) -> type[BatchSizeScheduler]:
    """Return the class for a name of ours or for ``module:Class`` of the user's own.

    Raises:
        InputError: no such name, module or class, or the class is not a dataclass with ``decide``.
    """
    if name in SCHEDULERS:
        return SCHEDULERS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise unknown("scheduler", name, SCHEDULERS)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever the user's module does when it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"scheduler {name!r} cannot be imported: {reason}") from error
    if not (dataclasses.is_dataclass(found) and isinstance(found, type)):
        raise InputError(f"scheduler {name!r} must be a dataclass")
    for field in dataclasses.fields(found):
        if field.default is dataclasses.MISSING:
            raise InputError(f"scheduler {name!r} must have a default for its field {field.name!r}")
    for wanted in ("decide", "needs", "lr_schedules"):
        if not hasattr(found, wanted):
            raise InputError(f"scheduler {name!r} must have {wanted!r} (see adasearch.schedulers.base)")
    return cast(type[BatchSizeScheduler], found)


def make_scheduler(name: str, params: Mapping[str, object]) -> BatchSizeScheduler:
    """Build a scheduler from its name and fields.

    Raises:
        InputError: an unknown field, or a value that the scheduler refuses.
    """
    cls = scheduler_class(name)
    for field in params:
        if field not in field_names(cls):
            raise unknown(f"field of {name}", field, field_names(cls))
    try:
        return cls(**params)
    except (ValueError, TypeError) as error:
        raise InputError(f"scheduler {name}: {error}") from error


def field_names(cls: type[BatchSizeScheduler]) -> list[str]:
    """Return the names of a scheduler's hyperparameters."""
    return [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]


def decide(scheduler: BatchSizeScheduler, history: list[Signals], limits: Limits) -> Decision:
    """Ask ``scheduler`` and check its answer, so that a fault is reported as that scheduler's.

    Raises:
        ValueError: the size lies outside the limits, or the reason is empty.
    """
    decision = scheduler.decide(history, limits)
    name = type(scheduler).__name__
    if not limits.admit(decision.batch_size):
        raise ValueError(f"scheduler {name} returned batch_size={decision.batch_size}, outside {limits}")
    if not decision.reason:
        raise ValueError(f"scheduler {name} returned a decision without a reason")
    return decision
