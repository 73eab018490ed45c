"""An adaptive batch size for a PyTorch loop of one's own, without Ray.

The controller owns sampler, gradient meter, history, scheduler and the coupling of the learning rate. Five
lines change in an ordinary loop::

    controller = BatchSizeController(model, optimizer, data, "deba", batch_size=64)
    loader = DataLoader(data, batch_sampler=controller.sampler)
    for epoch in range(controller.epoch, 20):
        for inputs, labels in controller.batches(loader):
            controller.step(loss_function(model(inputs), labels))

A decision takes effect on the next batch not yet drawn. A loader with worker processes draws ahead; those
batches are trained at the size and learning rate of before, and belong to no interval: each row of the
history tells of one size. The learning-rate factor holds for the length of the optimiser's own step alone, so
schedulers of ``torch.optim`` never see it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import nullcontext
from dataclasses import asdict
from typing import TypeVar

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from adasearch.controller.arguments import check_arguments, check_loss
from adasearch.controller.needs import scheduler_of
from adasearch.controller.random_numbers import RandomNumbers
from adasearch.controller.sampler import MicroBatch, ResizableBatchSampler, limits_for
from adasearch.controller.state import VERSION, ControllerState, readable
from adasearch.controller.state_check import check_state
from adasearch.controller.trained import Trained, parallel_in
from adasearch.errors import InputError, require
from adasearch.records import Decision, Limits, Signals, Value
from adasearch.schedulers.base import BatchSizeScheduler, hold
from adasearch.schedulers.contract import decide
from adasearch.signal_sets import GROUPED
from adasearch.signals.interval import IntervalMeter
from adasearch.training.ddp import show_gradients
from adasearch.training.history import history_of, rows_of
from adasearch.training.optimizer import Update
from adasearch.training.processes import Processes

__all__ = ["BatchSizeController"]

T = TypeVar("T")


class BatchSizeController:
    """Gives a training loop an adaptive batch size; works in one process and under DDP.

    The noise between examples is measured between the processes' gradients or, in one process, between the
    parts of a batch: if a scheduler needs it, every batch of four examples or more comes in at least two.

    Args:
        model: the network, in ``DistributedDataParallel`` if there are several processes.
        optimizer: signals are of what it updates; asked at each step, so its parameters may be frozen, added
            or taken away in mid-run.
        data: the data set, or anything of its length.
        scheduler: a name from ``adasearch.SCHEDULERS``, ``module:Class``, or a scheduler.
        fields: of the scheduler if it is given by name.
        batch_size: to begin with: examples per optimiser step, over all processes.
        limits: sizes to keep to; by default from 16 (or 2 a process) to 2048, or an eighth of the data.
        interval: epochs between two decisions, greater than 0.
        device_batch: greatest number of examples in one forward pass, at least 4; larger batches are
            accumulated over several passes. None for no bound.
        seed: of the order of the examples.
        drop_last: see :class:`~adasearch.controller.sampler.ResizableBatchSampler`.
        evaluate: returns the validation loss; called at the end of each interval, by every process, if the
            scheduler needs ``val_loss``.
        scaler: of losses in half precision; the controller calls its ``scale``, ``unscale_``, ``step`` and
            ``update``. A step that it skips gives no signal but counts with its loss; it ends no interval.

    Raises:
        InputError: an unknown scheduler or field, a size outside the limits or one in them that cannot be
            drawn, several processes without DDP, or a scheduler that needs what cannot be measured here.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        data: Sized,
        scheduler: str | BatchSizeScheduler = "deba",
        fields: Mapping[str, Value] | None = None,
        *,
        batch_size: int,
        limits: Limits | None = None,
        interval: float = 1.0,
        device_batch: int | None = None,
        seed: int = 0,
        drop_last: bool = False,
        evaluate: Callable[[], float] | None = None,
        scaler: GradScaler | None = None,
    ) -> None:
        check_arguments(
            model,
            optimizer,
            batch_size=batch_size,
            limits=limits,
            interval=interval,
            device_batch=device_batch,
            seed=seed,
            evaluate=evaluate,
        )
        require(0 < interval < math.inf, "interval must be greater than 0 epochs", interval=interval)
        self.scheduler = scheduler_of(scheduler, fields or {}, evaluated=evaluate is not None)
        needs = self.scheduler.needs
        self._examples = len(data)
        self._ddp = parallel_in(model)
        self._trained = Trained(optimizer, model)
        self._processes = processes = Processes(self._trained.device)
        if processes.count > 1:
            if self._ddp is None:
                raise InputError(
                    "with several processes the model must be wrapped in DistributedDataParallel"
                )
            self._trained.reduce_by(self._ddp)
        self.limits = limits_for(limits, self._examples, processes.count, drop_last=drop_last)
        if not self.limits.admit(batch_size):
            raise InputError(f"batch_size={batch_size} lies outside {self.limits}")
        self.sampler = ResizableBatchSampler(
            self._examples,
            batch_size,
            device_batch=device_batch,
            least_passes=2 if processes.count == 1 and needs & GROUPED else 1,
            seed=seed,
            drop_last=drop_last,
        )
        self._random = RandomNumbers(
            lambda: {p.device for p in self._trained()}, self.sampler, self._processes
        )
        self.history: list[Signals] = []
        self.decision = Decision(
            batch_size=batch_size, lr_scale=1.0, action="hold", reason="initial batch size"
        )
        self.lr_scale = 1.0
        self.steps = self.examples_seen = 0
        self._update = Update(optimizer, scaler)
        self._evaluate = evaluate
        self._initial_batch_size = batch_size
        self._span = max(1, round(interval * self._examples))
        self._part: MicroBatch | None = None
        self._mark = 0  # in examples, at which the interval ends
        self._meter = IntervalMeter(
            self._trained,
            needs,
            world=processes.count,
            rank=processes.rank,
            resumable=True,
            device=self._trained.device,
        )
        if self._ddp is not None and self._meter.hooked:
            show_gradients(self._ddp, self._meter)

    @property
    def epoch(self) -> int:
        """Epochs that were completed."""
        return self.sampler.epoch

    @property
    def part(self) -> MicroBatch:
        """What the loop holds: the size of its batch, and which part of it this is."""
        if self._part is None:
            raise RuntimeError("no batch was begun: iterate over controller.batches(loader)")
        return self._part

    def batches(self, loader: DataLoader[T]) -> Iterator[T]:
        """Yield what ``loader`` does, for the rest of the epoch. A loop left early goes on where it was.

        With ``device_batch``, or in one process with a scheduler that needs the noise between examples, an
        item may be a part of a batch; DDP then reduces with the last part only.

        Raises:
            InputError: the loader was not built with ``batch_sampler=controller.sampler``.
        """
        if loader.batch_sampler is not self.sampler:
            raise InputError("build the loader with batch_sampler=controller.sampler")
        for item in self._random.around(loader):
            part = self.begin()
            with nullcontext() if self._ddp is None or part.last else self._ddp.no_sync():
                yield item
        self.sampler.end_epoch()

    def step(self, loss: Tensor) -> bool:
        """Go backward and, with the last part of a batch, update the weights; tell whether it was the last.

        ``loss`` is the mean over the examples at hand.
        """
        whole = self.backward(loss)
        if whole:
            self.update()
        return whole

    def backward(self, loss: Tensor) -> bool:
        """Add this part's share to the gradient of the whole batch's mean loss; tell if it is complete."""
        part = self.part
        check_loss(loss)
        if part.first:
            self._trained.clear_others()
            self._update.clear()
        # DDP averages over processes: with this weight the sum over parts is the mean over the batch.
        share = self._processes.count * part.examples / part.batch_size
        self._update.scaled(loss * share).backward()
        self.record(loss)
        self._meter.take(part.examples)
        if part.last:
            self.measure()
        return part.last

    def update(self) -> None:
        """Step the optimiser at the coupled learning rate, and decide if it is time."""
        self.before_update()
        self.after_update(updated=self._update.step())

    def begin(self) -> MicroBatch:
        """Begin with the next item that the loader handed out, and return what it is.

        For frameworks that call backward and the optimiser's step themselves: this, :meth:`record`,
        :meth:`measure`, :meth:`before_update` and :meth:`after_update` are :meth:`step` in pieces.
        """
        self._random.restore()
        part = self._part = self.sampler.take()
        if part.first and not self._meter.running and part.batch_size == self.decision.batch_size:
            self._trained.look()
            self.lr_scale = self.decision.lr_scale
            self._mark = (self.examples_seen // self._span + 1) * self._span
            steps = math.ceil((self._mark - self.examples_seen) / part.batch_size)
            self._meter.begin(steps, part.batch_size, part.passes)
        if part.first:
            self._meter.begin_step(part.batch_size, part.passes)
        return part

    def record(self, loss: Tensor) -> None:
        """Count the mean loss of the part at hand."""
        self._meter.add_loss(loss.detach().to(self._meter.dtype) * self.part.examples)

    def measure(self) -> None:
        """Measure the gradient of the whole batch, once it is complete and before anything changes it."""
        self._meter.join()
        self._meter.observe(self._update.unscale())

    def before_update(self) -> None:
        """Set the coupled learning rate; call it right before the update."""
        self._update.begin(self.lr_scale)

    def after_update(self, *, updated: bool = True) -> None:
        """Give the learning rate back as it was, count the batch, and decide if the interval is over.

        ``updated`` is False where a scaler of the loss skipped the update.
        """
        self._update.end()
        batch_size = self.part.batch_size
        self._part = None
        self.sampler.finish()
        self.steps += updated
        self.examples_seen += batch_size
        self._meter.end_step(batch_size, updated=updated)
        if self._meter.running and updated and self.examples_seen >= self._mark:
            self._decide(batch_size)

    def _decide(self, batch_size: int) -> None:
        """Close the interval: add its row to the history and ask the scheduler."""
        measured = self._meter.finish()
        val_loss = None
        if self._evaluate is not None and "val_loss" in self.scheduler.needs:
            val_loss = self._processes.sum(float(self._evaluate())) / self._processes.count
        self.history.append(
            Signals(
                interval=len(self.history),
                epoch=self.examples_seen / self._examples,
                step=self.steps,
                examples_seen=self.examples_seen,
                initial_batch_size=self._initial_batch_size,
                batch_size=batch_size,
                lr=self._update.lr,
                lr_scale=self.lr_scale,
                val_loss=val_loss,
                **measured,
            )
        )
        if self._meter.empty:
            self.decision = hold(self.history[-1], "no parameter of the optimiser had a gradient")
        else:
            self.decision = decide(self.scheduler, self.history, self.limits)
        size, drawn = "the batch size", "how many batches were drawn (give all loaders the same num_workers)"
        self._processes.check_equal({size: self.decision.batch_size, drawn: self.sampler.drawn})
        self.sampler.resize(self.decision.batch_size)

    def state_dict(self) -> ControllerState:
        """Return all that is needed to go on bit for bit, beside the state of model, optimiser and scaler.

        It is numbers, strings and lists, some 20 kilobytes, and a batch whose update is still to come counts
        as not begun. Only a scheduler that needs the interval's mean gradient adds, in mid-interval, the
        running sum of it, which is as large as the network. All is equal on all processes but ``random``, the
        random-number states of PyTorch (on the CPU and the model's CUDA devices), of ``numpy.random`` and of
        ``random``. They are this process's, and are put back as the loop goes on by the process of this rank
        among as many; others keep their own. Call it right after an update, or with random numbers the batch
        at hand will be another one. Loader processes have random numbers of their own, which begin anew with
        the next epoch: a data set that draws from them is cut between epochs. Under DDP the noise between
        examples agrees to rounding only: DDP lays its buckets out anew after the first step.
        """
        interval = self._meter.state()
        return {
            "version": VERSION,
            "scheduler": repr(self.scheduler),
            "steps": self.steps,
            "examples_seen": self.examples_seen,
            "initial_batch_size": self._initial_batch_size,
            "lr_scale": self.lr_scale,
            "decision": asdict(self.decision),
            "history": rows_of(self.history),
            "interval": None if interval is None else {"mark": self._mark, **interval},
            "sampler": self.sampler.state_dict(),
            "random": self._random.state(),
        }

    def load_state_dict(self, state: ControllerState) -> None:
        """Go on where another controller was; call it before iterating over the loader.

        A state is checked whole before any of it is taken.

        Raises:
            InputError: the checkpoint is of another scheduler, of other data, of a newer format, goes on at a
                size outside the limits, or holds what no controller can have written.
        """
        state = readable(state, self.scheduler)
        self._trained()  # refuses what cannot be trained here
        check_state(state, limits=self.limits, needs=self.scheduler.needs, parameters=self._trained)
        self.sampler.load_state_dict(state["sampler"])
        self.steps, self.examples_seen = state["steps"], state["examples_seen"]
        self.lr_scale = state["lr_scale"]
        self.decision = Decision(**state["decision"])
        self.history = history_of(state["history"])
        self._initial_batch_size = state["initial_batch_size"]
        interval = state["interval"]
        self._mark = 0 if interval is None else interval["mark"]
        self._meter.load(interval)
        self._random.load(state["random"])
        self._part = None
