"""The intervals of a loop of one's own: what was counted and measured in each, and what was decided then."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Protocol

from adasearch.controller.arguments import number_of
from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.random_numbers import RandomNumbers
from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.controller.state import VERSION, ControllerState
from adasearch.controller.trained import Trained
from adasearch.controller.watch import Watch
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import BatchSizeScheduler, hold
from adasearch.schedulers.contract import decide
from adasearch.signals.interval import IntervalMeter
from adasearch.training.history import history_of, rows_of
from adasearch.training.optimizer import Update
from adasearch.training.processes import Processes

__all__ = ["IntervalListener", "Intervals"]


class IntervalListener(Protocol):
    """Who hears of a run's intervals, evaluates at their ends, and says when the run is over."""

    @property
    def budget(self) -> int:
        """Examples of the run; the interval that reaches them is the last."""
        ...

    def begins(self) -> None:
        """An interval begins."""

    def evaluate(self, examples_seen: int, *, wanted: bool) -> float | None:
        """An interval's steps are over: return the validation loss if it is wanted, or was due."""
        ...

    def ends(self, signals: Signals) -> str | None:
        """Say why nothing is decided after this interval; None if the scheduler is to be asked."""
        ...

    def decided(self, signals: Signals, decision: Decision, noise_form: str | None, passes: int) -> None:
        """An interval ended so."""


class Intervals:
    """Counts batches, and at the end of each interval asks the scheduler for the size of the next.

    Per batch: :meth:`begin`, and once it was used :meth:`end`.

    Attributes:
        history: a row for each interval that ended.
        decision: the one in force for batches not yet drawn.
        lr_scale: the factor on the learning rate for the batch at hand.
        initial_batch_size: that the run began with.
        steps: updates that were made.

    Args:
        scheduler: asked at the end of each interval.
        limits: sizes to keep to.
        examples: of an epoch.
        batch_size: to begin with.
        span: examples between two decisions.
        evaluate: returns the validation loss, if the scheduler needs it.
        sampler: told of each decision.
        meter: of the interval under way.
        update: whose learning rate the rows tell.
        processes: that must agree.
        watch: told what came of each batch and interval.
        trained: what the optimiser updates.
        random: the random numbers to come.
        listener: in place of ``evaluate``, and told of each interval.
        log: told of each interval and what was decided after it.
    """

    def __init__(
        self,
        scheduler: BatchSizeScheduler,
        limits: Limits,
        examples: int,
        *,
        batch_size: int,
        span: int,
        evaluate: Callable[[], float] | None,
        sampler: ResizableBatchSampler,
        meter: IntervalMeter,
        update: Update,
        processes: Processes,
        watch: Watch,
        trained: Trained,
        random: RandomNumbers,
        listener: IntervalListener | None = None,
        log: Callable[[Sequence[Signals], Decision], object] | None = None,
    ) -> None:
        self._scheduler, self._limits, self._examples = scheduler, limits, examples
        self.initial_batch_size = batch_size
        self._span = span
        self._evaluate = evaluate
        self._sampler, self._meter, self._update, self._processes = sampler, meter, update, processes
        self._watch, self._trained, self._random = watch, trained, random
        self._listener = listener
        self._log = log
        self._mark = 0  # in examples, at which the interval ends
        self.history: list[Signals] = []
        self.decision = Decision(
            batch_size=batch_size, lr_scale=1.0, action="hold", reason="initial batch size"
        )
        self.lr_scale = 1.0
        self.steps = 0

    @property
    def examples_seen(self) -> int:
        """Examples that the run has passed, with those that ``drop_last`` leaves out."""
        return self._sampler.position

    def begin(self, part: MicroBatch) -> None:
        """Begin a batch with its first part, and an interval with the first batch of a new size."""
        if not self._meter.running and part.batch_size == self.decision.batch_size:
            self._trained.look()
            self.lr_scale = self.decision.lr_scale
            mark = (self.examples_seen // self._span + 1) * self._span
            self._mark = max(mark, self._sampler.halved_by(part.batch_size))
            if self._listener is not None:
                self._listener.begins()
                self._mark = min(self._mark, self._listener.budget)
            steps = max(1, math.ceil((self._mark - self.examples_seen) / part.batch_size))
            self._meter.begin(steps, part.batch_size, self._sampler.passes(part.batch_size))
        elif not self._meter.running and self._sampler.batch_size != self.decision.batch_size:
            self._watch.say(
                f"the sampler was resized to {self._sampler.batch_size} beside the controller, which decided "
                f"{self.decision.batch_size}: such batches are not measured, and nothing is decided any more"
            )
        self._meter.begin_step(part.batch_size, part.passes, halved=part.halved)

    def end(self, batch_size: int, *, updated: bool, ends: bool, shown: int) -> None:
        """Count a batch.

        Args:
            batch_size: of it.
            updated: whether its update was made.
            ends: whether the interval may end with it.
            shown: this process's examples whose loss is in.
        """
        self.steps += updated
        self._watch.batch_ended(updated=updated)
        self._meter.end_step(batch_size, updated=updated, shown=shown)
        over = self.examples_seen >= self._mark and ends and not self._meter.waiting
        if self._meter.running and over:
            self._decide(batch_size)

    def _decide(self, batch_size: int) -> None:
        """Close the interval: add its row to the history and ask the scheduler."""
        measured = self._meter.finish()
        if (batches := measured.get("noise_count")) is not None:
            self._watch.noise_measured(batches)
        val_loss = self._val_loss()
        self.history.append(
            Signals(
                interval=len(self.history),
                epoch=self.examples_seen / self._examples,
                step=self.steps,
                examples_seen=self.examples_seen,
                initial_batch_size=self.initial_batch_size,
                batch_size=batch_size,
                lr=self._update.lr,
                lr_scale=self.lr_scale,
                val_loss=val_loss,
                **measured,
            )
        )
        over = None if self._listener is None else self._listener.ends(self.history[-1])
        if over is not None:
            self.decision = hold(self.history[-1], over)
        elif self._meter.empty:
            self.decision = hold(self.history[-1], "no parameter of the optimiser had a gradient")
        else:
            self.decision = decide(self._scheduler, self.history, self._limits)
        rows = ((row.batch_size, row.train_loss) for row in self.history[-2:])
        ends = [float(loss) / max(int(examples), 1) for loss, examples in self._meter.ends]
        self._watch.interval_ended(rows, ends, resized=self.decision.batch_size != batch_size)
        size, drawn = "the batch size", "how many batches were drawn (give all loaders the same num_workers)"
        self._processes.check_equal({size: self.decision.batch_size, drawn: self._sampler.drawn})
        self._sampler.resize(self.decision.batch_size)
        if self._listener is not None:
            passes = self._sampler.passes(batch_size)
            form = self._meter.form_of(batch_size, passes) if self.history[-1].noise_count else None
            self._listener.decided(self.history[-1], self.decision, form, passes)
        if self._log is not None:
            self._log(tuple(self.history), self.decision)

    def _val_loss(self) -> float | None:
        """Return the validation loss, if it is wanted."""
        wanted = "val_loss" in self._scheduler.needs
        if self._listener is None and (self._evaluate is None or not wanted):
            return None
        self._sampler.evaluating = True
        try:
            if self._listener is not None:
                return self._listener.evaluate(self.examples_seen, wanted=wanted)
            assert self._evaluate is not None
            returned = number_of(self._evaluate(), "what evaluate returns")
        finally:
            self._sampler.evaluating = False
        return self._processes.sum(returned) / self._processes.count

    def state_dict(self) -> ControllerState:
        """Return all that is needed to go on, the sampler's state with it."""
        interval = self._meter.state()
        return {
            "version": VERSION,
            "scheduler": repr(self._scheduler),
            "steps": self.steps,
            "examples_seen": self.examples_seen,
            "initial_batch_size": self.initial_batch_size,
            "lr_scale": self.lr_scale,
            "decision": asdict(self.decision),
            "history": rows_of(self.history),
            "interval": None if interval is None else {"mark": self._mark, **interval},
            "sampler": self._sampler.state_dict(),
            "random": self._random.state(),
        }

    def load_state_dict(self, state: ControllerState) -> None:
        """Go on where another loop's were."""
        self._sampler.restore(state["sampler"])
        self.steps = state["steps"]
        self.lr_scale = state["lr_scale"]
        self.decision = Decision(**state["decision"])
        self.history = history_of(state["history"])
        self.initial_batch_size = state["initial_batch_size"]
        interval = state["interval"]
        self._mark = 0 if interval is None else interval["mark"]
        self._meter.load(interval)
        self._random.load(state["random"])
