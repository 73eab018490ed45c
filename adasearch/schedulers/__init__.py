"""Every batch-size scheduler by name, and how to build one from parameters.

To add a method: one file here, one line in ``SCHEDULERS``, one YAML in ``search_spaces/schedulers``, one
table test. What several methods share is a wrapper (:mod:`~adasearch.schedulers.cooldown`,
:mod:`~adasearch.schedulers.grow_only`) or a field (:mod:`~adasearch.schedulers.coupling`).

Left out, since they could not be offered honestly:

* Critical batch size by branched runs (Merrill et al., arXiv 2505.23971): its signal is a set of further
  trainings from a checkpoint, which no interval of one run can give.
* Raising the batch as the full gradient's norm falls (Umeda and Iiduka, arXiv 2508.05302): factors, spacing
  of the levels and the estimate of the norm are not known to us.
* AdaBatchGrad (Ostroukhov et al., arXiv 2402.05264): an optimiser with a step size of its own; its batch
  tests are those of ``norm_test``.
* The norm test for local SGD (Lau et al., arXiv 2406.13936): workers here average at every step.
* Noise scales in another norm (Naganuma et al., arXiv 2602.03001) or of normalisation layers alone (Gray et
  al., arXiv 2411.00999): signals that are not measured here, and rules not known to us.
* DYNAMIX (arXiv 2510.08522): a policy learned by reinforcement; without its weights there is no rule.
* Batches by gradient angle (Xu et al., ACL 2020): it decides while a step's gradient is accumulated, not
  between intervals.
* Enlarging for a gain in throughput in reinforcement learning (arXiv 2608.29296): it needs the number of
  samples to a target, which is known only afterwards; ``goodput`` models that loss instead.
* LEGW and AdaScale change the learning rate, not the batch: the one is a warm-up, the other a ``coupling``.

A switch late in training (arXiv 2602.14208) is a ``ramp`` with one step.
"""

import dataclasses
import math
import reprlib
from collections.abc import Mapping
from typing import cast, get_type_hints

from adasearch.errors import InputError, unknown
from adasearch.kinds import fits, wanted
from adasearch.own import load_own
from adasearch.records import Decision, Limits, Signals, Value
from adasearch.schedulers.accordion import Accordion
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.base import BatchSizeScheduler, require
from adasearch.schedulers.cabs import Cabs
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.cooldown import Cooldown
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.divebatch import DiveBatch
from adasearch.schedulers.goodput import Goodput
from adasearch.schedulers.grow_only import GrowOnly
from adasearch.schedulers.increase_instead_of_decay import IncreaseInsteadOfDecay
from adasearch.schedulers.noise_scale import NoiseScale
from adasearch.schedulers.norm_test import NormTest
from adasearch.schedulers.plateau import Plateau
from adasearch.schedulers.ramp import Ramp
from adasearch.schedulers.seesaw import Seesaw
from adasearch.schedulers.simigrad import SimiGrad

__all__ = ["SCHEDULERS", "BatchSizeScheduler", "decide", "make_scheduler", "scheduler_class"]

SCHEDULERS: dict[str, type[BatchSizeScheduler]] = {
    "constant": Constant,
    "adabatch": AdaBatch,
    "increase_instead_of_decay": IncreaseInsteadOfDecay,
    "ramp": Ramp,
    "seesaw": Seesaw,
    "deba": Deba,
    "plateau": Plateau,
    "accordion": Accordion,
    "cabs": Cabs,
    "noise_scale": NoiseScale,
    "norm_test": NormTest,
    "divebatch": DiveBatch,
    "simigrad": SimiGrad,
    "goodput": Goodput,
}

WRAPPERS: dict[str, Value] = {"wrappers.cooldown": 0, "wrappers.grow_only": False}
"""What may wrap a scheduler, as fields beside its own, and the value that stands for no wrapper."""


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
    return Cooldown(scheduler=scheduler, intervals=intervals) if intervals else scheduler


def field_names(cls: type[BatchSizeScheduler]) -> list[str]:
    """Return the names of a scheduler's own hyperparameters."""
    return [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]


def field_defaults(name: str) -> dict[str, Value]:
    """Return the defaults of a scheduler's own hyperparameters, by its name."""
    own = scheduler_class(name)()
    return {field: getattr(own, field) for field in field_names(type(own))}


def field_kinds(cls: type[BatchSizeScheduler]) -> dict[str, object]:
    """Return the declared kind of every field that a scheduler may be given, those of ``WRAPPERS`` last."""
    hints = get_type_hints(cls)
    own = {name: hints[name] for name in field_names(cls)}
    # A constant size has nothing to wrap, and every scheduler's search shares the one constant study.
    return own if cls is Constant else own | {name: type(default) for name, default in WRAPPERS.items()}


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
