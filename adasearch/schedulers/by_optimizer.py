"""What of a scheduler depends on the optimiser that it is to run with."""

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

from adasearch.errors import InputError
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.follow import followed_of
from adasearch.signal_sets import PRECONDITIONED

__all__ = ["OPTIMIZERS", "OptimizerKind", "fitted", "settled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerKind:
    """What schedulers must know of an optimiser.

    Args:
        name: for messages.
        second_moments: whether it divides every parameter's gradient by Adam's root of second moments.
        betas: whether it has a beta2, of some parameters at least.
    """

    name: str
    second_moments: bool
    betas: bool


OPTIMIZERS = {
    "sgd": OptimizerKind(name="sgd", second_moments=False, betas=False),
    "adamw": OptimizerKind(name="adamw", second_moments=True, betas=True),
    "muon": OptimizerKind(name="muon", second_moments=False, betas=True),  # none of its matrices
}
"""Those that a search trains with."""


def fitted(scheduler: BatchSizeScheduler, optimizer: OptimizerKind) -> BatchSizeScheduler:
    """Return the scheduler as it runs with an optimiser: noise "auto" is raw or preconditioned from here on.

    Raises:
        InputError: the scheduler needs what this optimiser does not have.
    """
    found = settled(scheduler, second_moments=optimizer.second_moments)
    lacking = sorted(found.needs & PRECONDITIONED)
    if lacking and not optimizer.second_moments:
        raise InputError(
            f"scheduler {_inner(found)} needs {', '.join(lacking)}, of gradients over Adam's second moments, "
            f"which optimizer {optimizer.name!r} does not have for all parameters; take noise 'raw', or adamw"
        )
    if followed_of(found).beta2 and not optimizer.betas:
        raise InputError(
            f"wrappers.beta2 lets AdamW's beta2 follow the size, but optimizer {optimizer.name!r} has none"
        )
    return found


def settled(scheduler: BatchSizeScheduler, *, second_moments: bool) -> BatchSizeScheduler:
    """Return a scheduler, or what it wraps, with noise "auto" made raw or preconditioned."""
    own: Any = scheduler
    inside = getattr(scheduler, "scheduler", None)
    if dataclasses.is_dataclass(scheduler) and inside is not None:
        found = settled(inside, second_moments=second_moments)
        return cast(BatchSizeScheduler, dataclasses.replace(own, scheduler=found))
    if getattr(scheduler, "noise", None) != "auto":
        return scheduler
    if second_moments:
        coupling = "adascale_root" if own.coupling == "adascale" else own.coupling
        divided = dataclasses.replace(own, noise="preconditioned", coupling=coupling)
        if divided.needs & PRECONDITIONED:
            return cast(BatchSizeScheduler, divided)
    return cast(BatchSizeScheduler, dataclasses.replace(own, noise="raw"))


def _inner(scheduler: Any) -> str:
    inside = getattr(scheduler, "scheduler", None)
    return type(scheduler).__name__ if inside is None else _inner(inside)
