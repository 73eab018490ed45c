"""The first steps of a trial on made-up data, before any trial: what fails here would fail in all of them.

They go through all that a run goes through: forward and backward passes in the precision asked for, the
scheduler's signals and its decision, the optimiser, evaluation, a checkpoint and back, and for several
workers DDP, between as many processes of this machine. What tells nothing of the trials, which may have other
machines, is passed over: too little memory here, or too little time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any

from torch import distributed as dist

from adasearch.errors import InputError, one_line, place_in_user_code
from adasearch.networks.language import LANGUAGE
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import Limits, Value
from adasearch.schedulers.registry import make_scheduler
from adasearch.tasks.base import Task
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.config import TrainConfig
from adasearch.training.loop import train
from adasearch.training.memory import is_out_of_memory
from adasearch.training.randomness import random_state, restore_random
from adasearch.training.side_by_side import side_by_side
from adasearch.training.task import MAX_ERROR, DivergedError

__all__ = ["OURS", "Rehearsal", "error_of", "rehearse"]

OURS = frozenset({*ARCHITECTURES, *LANGUAGE})
"""Networks that are tested in all that a search may ask of them."""

SHARE = 4  # examples of a worker: enough for two halves that BatchNorm can take
STEPS = 3  # two of one interval, whose second shows what DDP missed in the first, and one after a decision

HINTS = {
    "Expected to have finished reduction": "with several workers the loss must reach every trained parameter "
    "in every step: take the others out of the network, or set their requires_grad to False",
    "sparse": "build the embedding with sparse=False",
    "vmap": "leave --per-example out, or take out of the network what cannot be mapped over examples",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What is tried: a run's configuration, of which spans and batch size are set here, and what it needs."""

    config: TrainConfig
    scheduler: str
    fields: Mapping[str, Value]
    task: Task[Any]
    workers: int


def rehearse(rehearsal: Rehearsal) -> None:
    """Take the first steps.

    Raises:
        InputError: they fail; in one line with the place in the user's own code, and what to change where
            that is known.
    """
    together = rehearsal.workers > 1
    alone = f"{__name__}:error_of"
    error = side_by_side(alone, rehearsal, rehearsal.workers) if together else error_of(rehearsal)
    if error is not None:
        hint = next((f"; {hint}" for text, hint in HINTS.items() if text in error), "")
        among = f" among {rehearsal.workers} workers" if together else ""
        what = f"architecture {rehearsal.config.architecture!r} with scheduler {rehearsal.scheduler!r}"
        shown = error if len(error) <= MAX_ERROR else f"{error[:MAX_ERROR]}..."
        raise InputError(f"{what} fails in the first steps of every trial{among}: {shown}{hint}")


def error_of(rehearsal: Rehearsal) -> str | None:
    """Return what went wrong in this process, in one line."""
    before = random_state([])
    try:
        _train(rehearsal)
    except DivergedError:  # on examples that show nothing
        return None
    except Exception as error:  # noqa: BLE001 - whatever a network or a scheduler makes of it
        if is_out_of_memory(error):
            return None
        place = place_in_user_code(error)
        return one_line(error) if place is None else f"{one_line(error)} ({place})"
    finally:
        restore_random(before)
    return None


def _train(rehearsal: Rehearsal) -> None:
    world = dist.get_world_size() if dist.is_initialized() else 1
    size = SHARE * world
    config = replace(
        rehearsal.config,
        hyperparameters=replace(rehearsal.config.hyperparameters, batch_size=size),
        budget=STEPS * size,
        interval=2 * size,
        evaluate_every=STEPS * size,
        precision="float32" if rehearsal.config.precision == "tf32" else rehearsal.config.precision,
    )
    scheduler = make_scheduler(rehearsal.scheduler, rehearsal.fields)
    limits = Limits(smallest=size, largest=2 * size)
    data = rehearsal.task.made_up(2 * STEPS * size, SHARE)
    said: list[str] = []
    with TemporaryDirectory() as own:
        folder = [own]
        if world > 1:
            dist.broadcast_object_list(folder)
        for stored in (0, 1):  # from the start, and from the checkpoint
            checkpoints = Checkpoints(folder[0], every=1, stored=stored, say=said.append)
            for _ in train(config, scheduler, limits, data, checkpoints=checkpoints):
                pass
        if world > 1:
            dist.barrier()
    if said:
        raise TypeError(
            f"{said[0]}: what the network keeps in its state must be tensors, numbers, texts, and lists and "
            "dictionaries of them"
        )
