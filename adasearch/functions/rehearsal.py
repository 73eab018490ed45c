"""The first steps of a training function before any trial: what fails there would fail in all of them.

They also tell what a study must know beforehand: how many examples there are, and what evaluation finds.
"""

import json
import signal
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed as dist

from adasearch.callbacks import Say
from adasearch.data.spec import DataSpec
from adasearch.errors import InputError, one_line, place_in_user_code
from adasearch.functions.function_run import FunctionRun
from adasearch.functions.saved import SavedStates, Stateful
from adasearch.functions.source import function_of
from adasearch.functions.train_function import call
from adasearch.functions.watchdog import Watchdog
from adasearch.records import Limits, Params, Value
from adasearch.schedulers.registry import make_scheduler
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.memory import is_out_of_memory
from adasearch.training.randomness import random_state, restore_random
from adasearch.training.side_by_side import side_by_side
from adasearch.training.task import MAX_ERROR, FunctionTask, TrialTask

__all__ = ["FunctionRehearsal", "Learnt", "rehearse_function", "said_of"]

STEPS = 3  # two of one interval, whose second shows what DDP missed in the first, and one after a decision


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRehearsal:
    """What is tried: a function with its first parameters, and how its trials will be.

    ``objective`` is None where the function is to tell; ``device`` is used by one process alone.
    """

    function: str
    params: Params
    scheduler: str
    fields: Mapping[str, Value]
    epochs: float
    objective: str | None = None
    seed: int = 0
    workers: int = 1
    device: str = "cpu"
    silence_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What a function's first steps showed: examples to train on, and the names of what evaluation finds."""

    examples: int
    figures: tuple[str, ...]
    tests: bool
    resumes: bool


def rehearse_function(rehearsal: FunctionRehearsal) -> Learnt:
    """Take the first steps of a function.

    Raises:
        InputError: they fail; in one line with the place in the function.
    """
    together = rehearsal.workers > 1
    if together:
        said = side_by_side(f"{__name__}:said_of", rehearsal, rehearsal.workers)
    else:
        said = said_of(rehearsal)
    found: dict[str, Any] = json.loads(said) if said and said.startswith("{") else {"error": said}
    if "error" in found:
        among = f" among {rehearsal.workers} workers" if together else ""
        error = found["error"] or "it took too much memory or time"
        shown = error if len(error) <= MAX_ERROR else f"{error[:MAX_ERROR]}..."
        raise InputError(
            f"training function {rehearsal.function!r} with scheduler {rehearsal.scheduler!r} fails in the "
            f"first steps of every trial{among}: {shown}"
        )
    return Learnt(**{**found, "figures": tuple(found["figures"])})


def said_of(rehearsal: FunctionRehearsal) -> str:
    """Return what this process learnt, or what went wrong, as JSON."""
    before = random_state([])
    try:
        return json.dumps(asdict(_rehearsed(rehearsal)))
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises
        place = place_in_user_code(error)
        text = "it ran out of memory" if is_out_of_memory(error) else one_line(error)
        text = text.removeprefix("InputError: ")
        return json.dumps({"error": text if place is None else f"{text} ({place})"})
    finally:
        restore_random(before)


def _rehearsed(rehearsal: FunctionRehearsal) -> Learnt:
    world = dist.get_world_size() if dist.is_initialized() else 1
    function = function_of(rehearsal.function)
    scheduler = make_scheduler(rehearsal.scheduler, rehearsal.fields)
    size, lr = rehearsal.params["batch_size"], rehearsal.params["lr"]
    assert isinstance(size, int), "the space has looked at it"
    config = TrainConfig(
        architecture=rehearsal.function,
        scale="nano",
        seed=rehearsal.seed,
        hyperparameters=Hyperparameters(batch_size=size, lr=float(lr)),
        budget=STEPS * size,
        interval=(STEPS - 1) * size,
        evaluate_every=STEPS * size,
        test=True,
    )
    told = FunctionTask(
        params=rehearsal.params,
        epochs=rehearsal.epochs,
        objective=rehearsal.objective,
        phase="rehearsal",
        role="rehearsal",
    )
    with TemporaryDirectory() as own:
        folder = [own]
        if world > 1:
            dist.broadcast_object_list(folder)
        task = TrialTask(
            trial_id="rehearsal",
            config=config,
            scheduler=rehearsal.scheduler,
            scheduler_fields=rehearsal.fields,
            limits=Limits(smallest=size, largest=2 * size),
            data=DataSpec(source=rehearsal.function),
            checkpoints=f"{folder[0]}/checkpoints/rehearsal",
            function=told,
        )
        places: list[str] = []
        watchdog = Watchdog(rehearsal.silence_seconds, lambda place: _interrupt(places, place))
        saved = _Saved(task)
        device = torch.device(rehearsal.device if world == 1 else "cpu")
        run = _FirstSteps(
            task,
            scheduler,
            device,
            lambda _: True,
            saved=saved,
            halted=lambda: False,
            hear=watchdog.hear,
        )
        try:
            call(function, run)
        except KeyboardInterrupt:
            if places:
                minutes = rehearsal.silence_seconds / 60
                raise InputError(f"nothing was heard of it for {minutes:g} minutes (see --silence)") from None
            raise
        finally:
            watchdog.close()
        saved.check(task)
        if world > 1:
            dist.barrier()
    return Learnt(examples=run.examples, figures=run.figures, tests=run.tests, resumes=saved.resumes)


def _interrupt(places: list[str], place: str) -> None:
    places.append(place)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


class _FirstSteps(FunctionRun):
    """A run of a few steps, on however many examples there are."""

    examples = 0

    def _begin(self, examples: int) -> int:
        self.examples = examples
        return super()._begin(examples)

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of what the last evaluation found."""
        return tuple(self._values or ())

    @property
    def tests(self) -> bool:
        """Whether the function has a test of its own."""
        return self._test is not None


class _Saved(SavedStates):
    """Checkpoints of a rehearsal, which are looked at."""

    def __init__(self, task: TrialTask) -> None:
        super().__init__(Checkpoints(task.checkpoints, every=1), [])

    @property
    def resumes(self) -> bool:
        """Whether a trial that is cut can go on."""
        return bool(self._objects)

    def check(self, task: TrialTask) -> None:
        """Check that what was written can be read and taken.

        Raises:
            InputError: it cannot.
        """
        said: list[str] = []
        say: Say = said.append
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.barrier()  # rank 0 has written it
        again = SavedStates(Checkpoints(task.checkpoints, stored=1, say=say), [])
        if self._objects and said:
            raise InputError(
                f"{said[0]}: what the objects of trial.checkpoint() keep in their state must be tensors, "
                "numbers, texts, and lists and dictionaries of them"
            )
        objects: Mapping[str, Stateful] = self._objects
        again.hand_over(objects)
        again.restore(None)
