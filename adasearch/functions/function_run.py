"""A training function's run under way: its intervals, its evaluations, its end."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from adasearch.controller.controller import BatchSizeController
from adasearch.controller.loaders import examples_of
from adasearch.errors import InputError
from adasearch.functions.evaluation import LOSS, Evaluate, figures_of, objective_in
from adasearch.functions.loop_check import LoopCheck
from adasearch.functions.saved import SavedStates, Stateful
from adasearch.records import Decision, IntervalRecord, Signals
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.training.processes import Processes
from adasearch.training.randomness import seed_random
from adasearch.training.stopwatch import Stopwatch
from adasearch.training.task import TrialTask

__all__ = ["FunctionRun"]

T = TypeVar("T")


class FunctionRun:
    """Hears of the intervals of a trial's controller; one that is over yields no further batch.

    Attributes:
        task: the trial.
        function: what of it is a training function's.
        device: to train on.
        world: number of processes.
        rank: of this one.
        over: whether the budget is used, a value is not finite, or somebody stopped the run.
        stopped: whether somebody did.
        broken: which value is not finite, where one is.
        intervals: that ended, in this process.

    Args:
        on_interval: hears of each interval and says whether to go on.
        scheduler: of the trial.
        saved: its checkpoints.
        halted: asked before each batch whether to stop; all workers alike.
        hear: told that the function lives.
    """

    def __init__(
        self,
        task: TrialTask,
        scheduler: BatchSizeScheduler,
        device: torch.device,
        on_interval: Callable[[IntervalRecord], bool],
        *,
        saved: SavedStates,
        halted: Callable[[], bool],
        hear: Callable[[], None],
    ) -> None:
        assert task.function is not None
        self.task, self.function, self.device = task, task.function, device
        self._processes = Processes(device)
        self.world, self.rank = self._processes.count, self._processes.rank
        self._scheduler = scheduler
        self._on_interval, self._saved, self._halted, self.hear = on_interval, saved, halted, hear
        self._clock = Stopwatch(device)
        self._controller: BatchSizeController | None = None
        self._model: nn.Module | None = None
        self._device_batch = task.limits.largest
        self._evaluated = saved.evaluated
        self._values: Mapping[str, float] | None = None
        self._test_error: float | None = None
        self._pending: IntervalRecord | None = None
        self._iterating = False
        self._check = LoopCheck(task.config.budget, task.function)
        self.over = self.stopped = False
        self.broken: str | None = None
        self.intervals = 0

    # What the user's function calls

    def controller(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        data: Any,
        *,
        evaluate: Evaluate,
        test: Evaluate | None,
        device_batch: int | None,
        **settings: Any,
    ) -> BatchSizeController:
        """Return the controller; see :meth:`Trial.controller`."""
        if self._controller is not None:
            raise InputError("trial.controller() was called before: a trial has one, and its optimizer")
        for name, value in (("evaluate", evaluate), ("test", test)):
            if not callable(value) and not (name == "test" and value is None):
                raise InputError(f"{name} must be a function but is of type {type(value).__name__}")
        examples = self._begin(examples_of(data))
        config = self.task.config
        share = math.ceil(self.task.limits.largest / self.world)
        if device_batch is None and config.device_batch is not None and config.device_batch < share:
            device_batch = config.device_batch
        if device_batch is not None:
            self._device_batch = device_batch
        self._evaluate, self._test, self._model = evaluate, test, model
        self._controller = BatchSizeController(
            model,
            optimizer,
            data,
            self._scheduler,
            batch_size=config.hyperparameters.batch_size,
            limits=self.task.limits,
            interval=self.interval / examples,
            device_batch=device_batch,
            seed=config.seed,
            epochs=self.function.epochs,
            evaluate=lambda: math.nan,  # never asked: this listener evaluates
            listener=self,
            timed=lambda: self._clock.section("measure"),
            **settings,
        )
        self._saved.restore(self._controller)
        return self._controller

    def _begin(self, examples: int) -> int:
        """Take in how many examples there are to train on."""
        known = self.function.examples
        if known is not None and examples != known:
            raise InputError(
                f"the training data have {examples} examples, but the study was made with {known}: they must "
                "be the same in every trial"
            )
        self.budget, self.interval = self.task.config.budget, self.task.config.interval
        return examples

    def checkpoint(self, objects: Mapping[str, Stateful]) -> bool:
        """Take in what a checkpoint holds; see :meth:`Trial.checkpoint`."""
        if self._iterating:
            raise InputError("trial.checkpoint() was called within the loop: hand all over before it")
        self._saved.hand_over(objects)
        return self._saved.restore(self._controller)

    def batches(self, loader: Iterable[T]) -> Iterator[T]:
        """Yield what the loader does; see :meth:`Trial.batches`."""
        if self._controller is None:
            raise InputError("trial.batches() was called before trial.controller()")
        controller = self._controller
        self._check.begins(controller, loader, over=self.over, stopped=self.stopped)
        return self._batches(controller, loader)

    def _batches(self, controller: BatchSizeController, loader: Iterable[T]) -> Iterator[T]:
        if not self.over and not self._iterating:
            self._saved.check_restored()
            if self.world > 1:  # dropout differs between workers, the weights do not
                seed_random(self.task.config.seed + self.rank)
            self._start()
        self._iterating = True
        self._deliver()  # what a loop that was left early had in hand
        while not self.over:
            seen = controller.examples_seen, controller.epoch
            for item in controller.batches(loader):
                if self._halted():
                    self.over = self.stopped = True
                    return
                self._check.goes_on(controller)
                self.hear()
                yield item
                self._deliver()
                if self.over:
                    return
            self._deliver()
            if seen == (controller.examples_seen, controller.epoch) and not self.over:
                raise InputError("the loader hands out nothing")

    def finish(self) -> None:
        """Take in that the function returned.

        Raises:
            InputError: it did so before the trial was over.
        """
        self._deliver()
        if self.over:
            return
        if self._controller is None:
            raise InputError("the training function returned without trial.controller(): nothing was trained")
        examples = self._controller.examples_seen
        if not examples:
            raise InputError("the training function trained nothing: iterate over trial.batches(loader)")
        raise InputError(
            f"the training function returned after {examples} of {self.budget} examples: iterate over "
            "trial.batches(loader) until it ends"
        )

    # What its controller calls

    def begins(self) -> None:
        """Refuse a loop that no search could end, and one that goes on after its end."""
        if not self._iterating:
            raise InputError(
                "iterate over trial.batches(loader): there the search hears of intervals and ends the trial"
            )
        if self.over:
            raise InputError("the trial is over: return when trial.batches(loader) ends")

    def evaluate(self, examples_seen: int, *, wanted: bool) -> float | None:
        """Evaluate if that is due or wanted; return the validation loss."""
        self._train.__exit__(None, None, None)
        self._values = None
        end = examples_seen >= self.budget
        if end or wanted or self.task.config.evaluates(self._evaluated, examples_seen):
            self._evaluated = examples_seen
            with self._clock.section("eval"):
                self._values = self._found(self._evaluate)
        self._test_error = None
        if end and self.task.config.test:
            with self._clock.section("eval"):
                found = self._found(self._test or self._evaluate)
                self._test_error = found[objective_in(self.function.objective, found)]
        self._resize = self._clock.section("resize")
        self._resize.__enter__()
        if self._values is None:
            return None
        return self._values.get(LOSS, self._values[objective_in(self.function.objective, self._values)])

    def ends(self, signals: Signals) -> str | None:
        """Say that the budget is used, or which value is not finite."""
        objective = self.function.objective or LOSS
        found = {"train_loss": signals.train_loss, "val_loss": signals.val_loss}
        if self._values is not None:
            found[objective] = self._values[objective_in(self.function.objective, self._values)]
        broken = [f"{name} is {each}" for name, each in found.items() if each and not math.isfinite(each)]
        if broken:
            self.broken = f"{broken[0]} in interval {signals.interval} (step {signals.step})"
            return broken[0]
        return "end of the budget" if signals.examples_seen >= self.budget else None

    def decided(self, signals: Signals, decision: Decision, noise_form: str | None, passes: int) -> None:
        """Keep the interval until the function's own step is over."""
        self._resize.__exit__(None, None, None)
        seconds = self._clock.read()
        figures = dict(self._values or {})
        objective = objective_in(self.function.objective, figures) if figures else LOSS
        value = figures.pop(objective, None)
        se = figures.pop(f"{objective}_se", None)
        self.hear()
        self._pending = IntervalRecord(
            signals=signals,
            decision=decision,
            device_batch=self._device_batch,
            passes=passes,
            val_error=value,
            val_error_se=se,
            train_seconds=seconds.get("train", 0.0) + seconds.get("resize", 0.0),
            measure_seconds=seconds.get("measure", 0.0),
            resize_seconds=seconds.get("resize", 0.0),
            eval_seconds=seconds.get("eval", 0.0),
            noise_form=noise_form,
            test_error=self._test_error,
            decided=not (self.broken or signals.examples_seen >= self.budget),
            metrics={name: each for name, each in figures.items() if math.isfinite(each)},
        )

    def _start(self) -> None:
        self._train = self._clock.section("train")
        self._train.__enter__()

    def _deliver(self) -> None:
        """Hand over the interval that ended with the function's last step, if one did."""
        record, self._pending = self._pending, None
        if record is None:
            return
        assert self._controller is not None
        over = not record.decided
        if not over:
            seconds = self._saved.save_if_due(self._controller, self._evaluated, self)
            record = replace(record, checkpoint_seconds=seconds)
        self.intervals += 1
        goes_on = self._on_interval(record)
        self.stopped = not goes_on and not over
        self.over = over or self.stopped
        if not self.over:
            self._start()

    def _found(self, evaluate: Evaluate) -> dict[str, float]:
        assert self._model is not None
        self.hear()
        found = figures_of(evaluate, self.function.objective, self._model, self._processes)
        self.hear()
        return found
