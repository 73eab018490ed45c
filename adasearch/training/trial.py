"""A trial trained from its newest checkpoint to its end, in this process or on a worker group."""

from collections.abc import Callable
from dataclasses import replace

import torch

from adasearch.callbacks import Say, say_nothing
from adasearch.records import IntervalRecord
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.registry import make_scheduler
from adasearch.tasks.base import Data
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.loop import train
from adasearch.training.memory import PeakMemory, default_limit
from adasearch.training.run import Halted
from adasearch.training.task import DivergedError, Outcome, TrialTask, failed

__all__ = ["train_trial"]


def train_trial(
    task: TrialTask,
    data: Data,
    device: torch.device,
    on_interval: Callable[[IntervalRecord], bool],
    *,
    scheduler: BatchSizeScheduler | None = None,
    threads: int | None = None,
    halted: Callable[[], bool] = lambda: False,
    say: Say = say_nothing,
) -> Outcome | None:
    """Train a trial; return how it ended, or None if it was told to stop.

    Args:
        task: what to train; without a memory limit it gets this process's share of the machine.
        data: the task's, with its test split if it asks for that.
        device: to train on.
        on_interval: hears of each interval and says whether to go on; with several workers on all alike.
        scheduler: in place of the task's.
        threads: CPUs of the machine that this process has; None for all.
        halted: asked before each step whether to stop; all ranks must be told the same.
        say: is told why a checkpoint is passed over.

    Raises:
        StoreError: a checkpoint cannot be written or read.
        PassTooLarge: one of several workers ran out of memory.
    """
    memory = PeakMemory(device)
    config = task.config
    if config.memory_limit is None:
        config = replace(config, memory_limit=default_limit(threads))
    checkpoints = Checkpoints(task.checkpoints, every=task.checkpoint_every, stored=task.stored, say=say)
    scheduler = scheduler or make_scheduler(task.scheduler, task.scheduler_fields)
    try:
        for record in train(
            config, scheduler, task.limits, data, device=device, checkpoints=checkpoints, halted=halted
        ):
            if not on_interval(record):
                return None
    except Halted:
        return None
    except DivergedError as error:  # on all ranks alike: the loss was reduced before
        return failed(error)
    return Outcome(status="complete", peak_memory_bytes=memory.read_largest())
