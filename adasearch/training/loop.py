"""One training run as a generator of interval records, and a trial as a run with its checkpoints.

Tune, the store, a notebook and a test consume the same records; stopping early is stopping to iterate.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import torch

from adasearch.callbacks import Say, say_nothing
from adasearch.records import Decision, IntervalRecord, Limits, Signals
from adasearch.schedulers.base import BatchSizeScheduler, hold
from adasearch.schedulers.by_optimizer import OPTIMIZERS, fitted
from adasearch.schedulers.contract import decide
from adasearch.schedulers.follow import followed_of
from adasearch.schedulers.registry import make_scheduler
from adasearch.schedulers.run_plan import planned
from adasearch.tasks.base import Data
from adasearch.training.checkpoint import Checkpoints, RunState
from adasearch.training.config import TrainConfig
from adasearch.training.memory import PeakMemory, default_limit
from adasearch.training.run import Halted, Run
from adasearch.training.task import DivergedError, Outcome, TrialTask, failed

__all__ = ["train", "train_trial"]


def train(
    config: TrainConfig,
    scheduler: BatchSizeScheduler,
    limits: Limits,
    data: Data,
    *,
    device: torch.device | str = "cpu",
    checkpoints: Checkpoints | None = None,
    halted: Callable[[], bool] = lambda: False,
) -> Iterator[IntervalRecord]:
    """Train and yield one record per interval, until the budget is used.

    With ``checkpoints`` the run begins at the newest one, and yields the intervals from there on, equal to
    those of a run that was not cut (bit for bit on a CPU with as many workers).

    An interval ends at the first step at or after its mark of examples and has at least one step. The last
    interval decides nothing. With several processes every rank yields equal signals and decisions.
    ``halted`` is asked before each step whether the run shall stop; all ranks must be told the same.

    Raises:
        Halted: the run was told to stop within an interval, of which nothing is left.
        DivergedError: after yielding the interval whose training or validation loss is NaN or infinite.
        ValueError: the initial batch size lies outside the limits, the network has no gradients per example
            although they were asked for, the scheduler needs what the optimiser does not have, or it broke
            its contract.
    """
    hyper = config.hyperparameters
    if not limits.admit(hyper.batch_size):
        raise ValueError(f"the initial batch_size={hyper.batch_size} lies outside {limits}")
    scheduler = fitted(scheduler, OPTIMIZERS[hyper.optimizer])
    rule = planned(scheduler, config.plan)
    run = Run(config, rule.needs, data.to(torch.device(device)), torch.device(device), followed_of(rule))
    history: list[Signals] = []
    decision = Decision(batch_size=hyper.batch_size, lr_scale=1.0, action="hold", reason="initial batch size")
    evaluated = 0
    same = replace(config, device_batch=None, memory_limit=None)  # they may change between two attempts
    identity = [same, scheduler, limits, data.fingerprint]
    former = checkpoints.load(run, identity) if checkpoints else None
    if former is not None:
        history, decision, evaluated = list(former.history), former.decision, former.evaluated
    while run.examples_seen < config.budget:
        batch_size, lr_scale = decision.batch_size, decision.lr_scale
        mark = min((run.examples_seen // config.interval + 1) * config.interval, config.budget)
        before = run.step
        measured = run.steps_until(mark, batch_size, lr_scale, halted)
        over = run.examples_seen >= config.budget
        found = test = None
        wanted = "val_loss" in rule.needs
        if over or wanted or config.evaluates(evaluated, run.examples_seen):
            evaluated = run.examples_seen
            with run.clock.section("eval"):
                found = run.evaluate("val")
        if over and config.test:
            with run.clock.section("eval"):
                test = run.evaluate("test")
        signals = Signals(
            interval=len(history),
            epoch=run.examples_seen / len(data.train),
            step=run.updates,
            examples_seen=run.examples_seen,
            initial_batch_size=hyper.batch_size,
            batch_size=batch_size,
            lr=run.lr,
            lr_scale=lr_scale,
            val_loss=None if found is None else found.loss,
            **measured,
        )
        history.append(signals)
        losses = {"train_loss": signals.train_loss, "val_loss": signals.val_loss}
        broken = [f"{name} is {loss}" for name, loss in losses.items() if loss and not math.isfinite(loss)]
        with run.clock.section("resize"):
            ended = broken[0] if broken else "end of the budget" if over else None
            decision = _decision(run, rule, history, limits) if ended is None else hold(signals, ended)
        if checkpoints and not (over or broken) and checkpoints.due(len(history), run):
            progress = RunState(history=tuple(history), decision=decision, evaluated=evaluated)
            with run.clock.section("checkpoint"):
                checkpoints.save(run, progress, identity)
        seconds = run.clock.read()
        yield IntervalRecord(
            signals=signals,
            decision=decision,
            device_batch=run.passes.device_batch,
            passes=run.passes.count(batch_size),
            val_error=None if found is None else found.objective,
            train_seconds=seconds["train"] + seconds["resize"],
            measure_seconds=seconds.get("measure", 0.0)
            + _extra_seconds(seconds, signals.noise_count, run.step - before),
            resize_seconds=seconds["resize"],
            eval_seconds=seconds.get("eval", 0.0),
            noise_form=run.meter.form if signals.noise_count else None,
            compile_seconds=seconds.get("compile", 0.0),
            checkpoint_seconds=seconds.get("checkpoint"),
            out_of_memory=run.passes.shrunk,
            test_error=None if test is None else test.objective,
            decided=not (over or broken),
            val_error_se=None if found is None else found.objective_se,
            metrics={} if found is None else found.metrics,
        )
        if broken:
            raise DivergedError(f"{broken[0]} in interval {signals.interval} (step {signals.step})")


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


def _decision(run: Run, rule: BatchSizeScheduler, history: list[Signals], limits: Limits) -> Decision:
    """Ask the scheduler, in every process; they saw the same signals, so different answers are a bug."""
    found = decide(rule, history, limits)
    size, factor = "the batch size", "the learning rate's factor"
    run.processes.check_equal({size: found.batch_size, factor: found.lr_scale})
    return found


def _extra_seconds(seconds: Mapping[str, float], halved: int, steps: int) -> float:
    """Return how much longer the steps took that ran as two halves, beside the interval's other steps.

    Where there are no others it is the time of their second halves, which is no less.
    """
    halves = seconds.get("halves", 0.0)
    others = steps - halved
    whole = seconds["whole"] / others * halved if others and "whole" in seconds else halves / 2
    return max(0.0, halves - whole)
