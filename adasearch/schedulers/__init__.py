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
from collections.abc import Mapping
from typing import cast

from adasearch.errors import InputError, unknown
from adasearch.plugins import load_object
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.accordion import Accordion
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.cabs import Cabs
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.divebatch import DiveBatch
from adasearch.schedulers.goodput import Goodput
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


def scheduler_class(name: str) -> type[BatchSizeScheduler]:
    """Return the class for a name of ours or for ``module:Class`` of the user's own.

    Raises:
        InputError: no such name, module or class, or the class is not a dataclass with ``decide``.
    """
    if name in SCHEDULERS:
        return SCHEDULERS[name]
    if ":" not in name:
        raise unknown("scheduler", name, SCHEDULERS)
    found = load_object(name, "scheduler")
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
