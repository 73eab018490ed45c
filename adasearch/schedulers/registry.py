"""Every batch-size scheduler by name, and how to build one from parameters."""

import dataclasses
import reprlib
from collections.abc import Mapping
from typing import cast

from adasearch.errors import InputError, require, unknown
from adasearch.records import Signals, Value
from adasearch.schedulers.accordion import Accordion
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.cabs import Cabs
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.cooldown import Cooldown
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.divebatch import DiveBatch
from adasearch.schedulers.fields import WRAPPERS, field_kinds, field_names, fits, wanted
from adasearch.schedulers.follow import Follow
from adasearch.schedulers.goodput import Goodput
from adasearch.schedulers.grow_only import GrowOnly
from adasearch.schedulers.increase_instead_of_decay import IncreaseInsteadOfDecay
from adasearch.schedulers.lr_tail import LrTail
from adasearch.schedulers.noise_scale import NoiseScale
from adasearch.schedulers.norm_target import NormTarget
from adasearch.schedulers.norm_test import NormTest
from adasearch.schedulers.plateau import Plateau
from adasearch.schedulers.ramp import Ramp
from adasearch.schedulers.seesaw import Seesaw
from adasearch.schedulers.simigrad import SimiGrad
from adasearch.user_code import load_own

__all__ = ["BASELINE", "SCHEDULERS", "field_defaults", "make_scheduler", "scheduler_class"]

SCHEDULERS: dict[str, type[BatchSizeScheduler]] = {
    "constant": Constant,
    "adabatch": AdaBatch,
    "increase_instead_of_decay": IncreaseInsteadOfDecay,
    "ramp": Ramp,
    "seesaw": Seesaw,
    "lr_tail": LrTail,
    "deba": Deba,
    "plateau": Plateau,
    "accordion": Accordion,
    "cabs": Cabs,
    "noise_scale": NoiseScale,
    "norm_test": NormTest,
    "norm_target": NormTarget,
    "divebatch": DiveBatch,
    "simigrad": SimiGrad,
    "goodput": Goodput,
}

BASELINE = "constant"
"""The scheduler that every other is compared with."""


def scheduler_class(name: str) -> type[BatchSizeScheduler]:
    """Return the class for a name of ours or for ``module:Class`` of the user's own.

    Raises:
        InputError: no such name, module or class, or the class is not a dataclass with ``decide``.
    """
    if name in SCHEDULERS:
        return SCHEDULERS[name]
    if ":" not in name:
        raise unknown("scheduler", name, SCHEDULERS)
    found = load_own("scheduler", name)
    if not (dataclasses.is_dataclass(found) and isinstance(found, type)):
        raise InputError(f"scheduler {name!r} must be a dataclass")
    if not found.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise InputError(f"scheduler {name!r} must be a frozen dataclass: what it knows is the history")
    for field in dataclasses.fields(found):
        if field.default is dataclasses.MISSING:
            raise InputError(f"scheduler {name!r} must have a default for its field {field.name!r}")
    for member in ("decide", "needs", "lr_schedules"):
        if not hasattr(found, member):
            raise InputError(f"scheduler {name!r} must have {member!r} (see adasearch.schedulers.base)")
    return cast(type[BatchSizeScheduler], found)


def make_scheduler(name: str, params: Mapping[str, object]) -> BatchSizeScheduler:
    """Build a scheduler from its name and fields, in the wrappers that ``params`` ask for.

    Raises:
        InputError: an unknown field, or a value that the scheduler refuses.

    >>> make_scheduler("cabs", {"decay": 0.3, "wrappers.cooldown": 4})
    Cooldown(scheduler=Cabs(scale=1.0, decay=0.3), intervals=4)
    """
    cls = scheduler_class(name)
    kinds = field_kinds(cls)
    for field, value in params.items():
        if field not in kinds:
            raise unknown(f"field of {name}", field, kinds)
        if not fits(kinds[field], value):
            raise InputError(
                f"scheduler {name}: {field} takes {wanted(kinds[field])} but got {reprlib.repr(value)}"
            )
    own = {field: value for field, value in params.items() if field not in WRAPPERS}
    wrappers = WRAPPERS | {field: value for field, value in params.items() if field in WRAPPERS}
    try:
        scheduler = _wrapped(cls(**own), wrappers)
    except (ValueError, TypeError) as error:
        raise InputError(f"scheduler {name}: {error}") from error
    strange = sorted(scheduler.needs - {field.name for field in dataclasses.fields(Signals)})
    if strange:
        raise InputError(f"scheduler {name} needs what is no field of Signals: {strange}")
    return scheduler


def _wrapped(scheduler: BatchSizeScheduler, wrappers: Mapping[str, object]) -> BatchSizeScheduler:
    intervals = cast(int, wrappers["wrappers.cooldown"])
    require(intervals >= 0, "wrappers.cooldown must be at least 0", intervals=intervals)
    if wrappers["wrappers.grow_only"]:
        scheduler = GrowOnly(scheduler=scheduler)
    beta2, decay = bool(wrappers["wrappers.beta2"]), bool(wrappers["wrappers.weight_decay"])
    if beta2 or decay:
        scheduler = Follow(scheduler=scheduler, beta2=beta2, weight_decay=decay)
    return Cooldown(scheduler=scheduler, intervals=intervals) if intervals else scheduler


def field_defaults(name: str) -> dict[str, Value]:
    """Return the defaults of a scheduler's own hyperparameters, by its name."""
    own = scheduler_class(name)()
    return {field: getattr(own, field) for field in field_names(type(own))}
