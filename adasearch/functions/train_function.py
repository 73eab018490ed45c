"""A trial of a training function of the user's own, run from its newest checkpoint to its end."""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from adasearch.callbacks import Say, say_nothing
from adasearch.errors import InputError, LoopWarning
from adasearch.functions.function_run import FunctionRun
from adasearch.functions.saved import SavedStates
from adasearch.functions.source import digest_of, function_of
from adasearch.functions.trial import Trial
from adasearch.functions.watchdog import Watchdog, interruptible
from adasearch.records import IntervalRecord
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.registry import make_scheduler
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.memory import PeakMemory
from adasearch.training.randomness import seed_random
from adasearch.training.task import DivergedError, Outcome, TrialTask, failed

__all__ = ["call", "train_function"]


def train_function(
    task: TrialTask,
    device: torch.device,
    on_interval: Callable[[IntervalRecord], bool],
    *,
    scheduler: BatchSizeScheduler | None = None,
    halted: Callable[[], bool] = lambda: False,
    say: Say = say_nothing,
    stuck: Callable[[Outcome], None] | None = None,
) -> Outcome | None:
    """Let a training function run a trial; return how it ended, or None if it was told to stop.

    Args:
        task: with what its function is told.
        device: to train on.
        on_interval: hears of each interval and says whether to go on; with several workers on all alike.
        scheduler: in place of the task's.
        halted: asked before each batch whether to stop; all ranks must be told the same.
        say: is told why a checkpoint is passed over, and what the function does beside its controller.
        stuck: is called, from another thread, with how the trial ends where nothing was heard of it for
            long; None interrupts the main thread.

    Raises:
        StoreError: a checkpoint cannot be written or read.
        InputError: the function is not there, or not what the search was made with, or it ended too early.
    """
    told = task.function
    assert told is not None, "the task is of no function"
    memory = PeakMemory(device)
    function = function_of(task.config.architecture)
    if told.code is not None and told.code != digest_of(task.config.architecture):
        raise InputError(f"{task.config.architecture} here is another than the one that is searched")
    scheduler = scheduler or make_scheduler(task.scheduler, task.scheduler_fields)
    checkpoints = Checkpoints(task.checkpoints, every=task.checkpoint_every, stored=task.stored, say=say)
    run: FunctionRun
    found: list[Outcome] = []

    def silent(place: str) -> None:
        found.append(_silence(run, told.silence_seconds, place))
        if stuck is not None:
            stuck(found[0])
        else:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    watchdog = Watchdog(told.silence_seconds, silent)
    config = replace(task.config, device_batch=None, memory_limit=None)  # may change between two attempts
    run = FunctionRun(
        task,
        scheduler,
        device,
        on_interval,
        saved=SavedStates(
            checkpoints, [config, str(sorted(told.params.items())), scheduler, task.limits, str(told.code)]
        ),
        halted=halted,
        hear=watchdog.hear,
    )
    try:
        with _warnings_told(say):
            call(function, run)
    except KeyboardInterrupt:
        if found:
            return found[0]
        raise
    finally:
        watchdog.close()
    if run.stopped:
        return None
    if run.broken is not None:
        return failed(DivergedError(run.broken))
    return Outcome(status="complete", peak_memory_bytes=memory.read_largest())


@contextmanager
def _warnings_told(say: Say) -> Iterator[None]:
    """Tell what a controller warns of: on a worker nobody would see it.

    Python says what a line warns of once in a process, and a worker trains one trial after another.
    """
    former = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **given: Any) -> None:
        if issubclass(category, LoopWarning):
            say(str(message))
        else:
            former(message, category, *place, **given)

    with warnings.catch_warnings():
        warnings.simplefilter("always", LoopWarning)
        warnings.showwarning = show
        yield


def call(function: Callable[[Trial], object], run: FunctionRun) -> None:
    """Call a training function with its trial, and check that it trained to the trial's end.

    Raises:
        InputError: it did not.
        RuntimeError: it ended the process.
    """
    seed_random(run.task.config.seed)
    try:
        with interruptible():
            try:
                function(Trial(run))
            except StopIteration:  # of next() on trial.batches(loader), where another loop would have ended
                if not run.over:
                    raise
            run.finish()
    except SystemExit as error:
        raise RuntimeError(f"the training function called sys.exit({error.code!r})") from error


def _silence(run: FunctionRun, seconds: float, place: str) -> Outcome:
    limit = f"{seconds / 60:g} minutes (see --silence)"
    what = "it did not return after its trial was over" if run.over else "no batch, no evaluation"
    return Outcome(
        status="failed",
        error=f"nothing was heard of the training function for {limit}: {what}",
        cause="raised",
        traceback=place,
    )
