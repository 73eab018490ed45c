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

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import nullcontext
from typing import TypeVar
from warnings import warn

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from adasearch.controller.batch_gradient import BatchGradient
from adasearch.controller.intervals import Intervals
from adasearch.controller.loaders import check_loader, examples_of
from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.needs import check_whole, limits_for, scheduler_of
from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.controller.state import ControllerState, readable
from adasearch.errors import InputError, require
from adasearch.records import Decision, Limits, Signals, Value
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.signal_sets import GROUPED
from adasearch.signals.interval import IntervalMeter
from adasearch.training.ddp import show_gradients
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
        optimizer: of its parameters.
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
        whole_batches: whether each item is a whole batch, or a process's whole share of it, for a loss that
            cannot be put together from parts (several means over different things, a contrastive one).
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
        whole_batches: bool = False,
        evaluate: Callable[[], float] | None = None,
        scaler: GradScaler | None = None,
    ) -> None:
        require(0 < interval < float("inf"), "interval must be greater than 0 epochs", interval=interval)
        self.scheduler = scheduler_of(scheduler, fields or {}, evaluated=evaluate is not None)
        needs = self.scheduler.needs
        self._examples = examples = examples_of(data)
        self._ddp = model if isinstance(model, DistributedDataParallel) else None
        parameters = [p for p in model.parameters() if p.requires_grad]
        processes = Processes(parameters[0].device)
        if processes.count > 1 and self._ddp is None:
            raise InputError("with several processes the model must be wrapped in DistributedDataParallel")
        if whole_batches:
            check_whole(self.scheduler, device_batch, shared=processes.count > 1)
        self.limits = limits_for(limits, examples, processes.count, drop_last=drop_last)
        if not self.limits.admit(batch_size):
            raise InputError(f"batch_size={batch_size} lies outside {self.limits}")
        self.sampler = ResizableBatchSampler(
            examples,
            batch_size,
            device_batch=device_batch,
            least_passes=2 if processes.count == 1 and needs & GROUPED else 1,
            seed=seed,
            drop_last=drop_last,
        )
        self._meter = IntervalMeter(
            parameters, needs, world=processes.count, rank=processes.rank, resumable=True
        )
        self._update = Update(optimizer, scaler)
        self._gradient = BatchGradient(
            optimizer, self._update, self._meter, processes, lambda: parameters, self._ddp
        )
        self._intervals = Intervals(
            self.scheduler,
            self.limits,
            examples,
            batch_size=batch_size,
            interval=interval,
            evaluate=evaluate,
            sampler=self.sampler,
            meter=self._meter,
            update=self._update,
            processes=processes,
        )
        self._part: MicroBatch | None = None
        self._settled = True  # the item at hand went backward or was left out
        self._updates_itself = True  # the loop calls step(), and not backward() and update()
        if self._ddp is not None and self._meter.hooked:
            show_gradients(self._ddp, self._meter)

    @property
    def epoch(self) -> int:
        """Epochs that were completed."""
        return self.sampler.epoch

    @property
    def steps(self) -> int:
        """Updates of the weights that were made."""
        return self._intervals.steps

    @property
    def examples_seen(self) -> int:
        """Examples that were handed out and used, or left out."""
        return self._intervals.examples_seen

    @property
    def history(self) -> list[Signals]:
        """A row for each interval that ended."""
        return self._intervals.history

    @property
    def decision(self) -> Decision:
        """What was decided last, in force for batches not yet drawn."""
        return self._intervals.decision

    @property
    def lr_scale(self) -> float:
        """The factor on the learning rate of the batch at hand."""
        return self._intervals.lr_scale

    @property
    def part(self) -> MicroBatch:
        """What the loop holds: the size of its batch, and which part of it this is."""
        if self._part is None:
            raise RuntimeError("no batch was begun: iterate over controller.batches(loader)")
        return self._part

    def batches(self, loader: Iterable[T]) -> Iterator[T]:
        """Yield what ``loader`` does, for the rest of the epoch. A loop left early goes on where it was.

        With ``device_batch``, or in one process with a scheduler that needs the noise between examples, an
        item may be a part of a batch; DDP then reduces with the last part only.

        Raises:
            InputError: the loader was not built with ``batch_sampler=controller.sampler``.
        """
        check_loader(loader, self.sampler, self._examples)
        self._part = None  # one that was in hand when another loop was left comes again
        for item in self.sampler.handed_out(loader):
            part = self.begin()
            with nullcontext() if self._ddp is None or part.last else self._ddp.no_sync():
                yield item
            self._pass_over()
        self.sampler.end_epoch()

    def step(self, loss: Tensor, *, weight: float | None = None) -> bool:
        """Go backward and, with the last part of a batch, update the weights; tell whether they were.

        Args:
            loss: the mean over the item at hand, all terms of it in one sum.
            weight: what it is the mean over, where that is not the item's examples: their number of tokens,
                or the sum of the weights of their classes. Then the gradient of a batch in several parts, or
                on several processes, is that of the mean over all of it. 0 leaves the item out.

        Raises:
            InputError: a weight below 0, or for some parts of a batch only.
        """
        whole = self.backward(loss, weight=weight)
        self._updates_itself = True
        if whole:
            self.update()
        return whole

    def backward(self, loss: Tensor, *, weight: float | None = None) -> bool:
        """Add this part's share to the gradient of the whole batch's mean loss; tell if it is complete.

        See :meth:`step`.
        """
        part = self._unsettled()
        self._updates_itself = False
        self._gradient.add(loss, part, None if weight is None else float(weight))
        return self._settle(part)

    def skip(self) -> bool:
        """Leave the item at hand out; tell if the batch is complete, as :meth:`backward` and :meth:`step` do.

        It counts as seen and has no share in the gradient, as if its loss were 0; a batch of which nothing is
        left has no update. ``continue`` alone does the same, but for the last part of a batch in a loop that
        calls :meth:`backward`: there the batch has no update, since only the loop knows what comes before it.
        Under DDP a process may leave its share out by itself once the forward pass was run.

        Raises:
            InputError: under DDP, before the forward pass of a batch's last part.
        """
        part = self._unsettled()
        self._gradient.leave_out(part)
        whole = self._settle(part)
        if whole and self._updates_itself:
            self.update()
        return whole

    def _unsettled(self) -> MicroBatch:
        if self._settled and self._part is not None:
            raise RuntimeError("the item at hand went backward already: give the sum of its losses at once")
        return self.part

    def _settle(self, part: MicroBatch) -> bool:
        """Go on after a part that was taken in or left out; tell whether an update is due."""
        self._settled = True
        if part.last and self._gradient.sound:
            self.measure()
            return True
        if part.last:
            self._end_batch(updated=False, ends=True)
        return False

    def _pass_over(self) -> None:
        """Settle what a loop made of the item at hand, if it is not."""
        if self._part is not None and not self._settled and self.skip() and not self._updates_itself:
            warn(
                "the last part of a batch was passed over, so its update was dropped: call "
                "controller.skip(), which tells whether controller.update() is due",
                stacklevel=3,
            )
        if self._part is not None and self._part.last:
            self._end_batch(updated=False, ends=True)

    def update(self) -> None:
        """Step the optimiser at the coupled learning rate, and decide if it is time."""
        if not (self.part.last and self._settled):
            raise RuntimeError(
                "the batch is not complete: call update() where controller.backward(loss) is true"
            )
        self.before_update()
        self.after_update(updated=self._update.step())

    def begin(self) -> MicroBatch:
        """Begin with the next item that the loader handed out, and return what it is.

        For frameworks that call backward and the optimiser's step themselves: this, :meth:`record`,
        :meth:`measure`, :meth:`before_update` and :meth:`after_update` are :meth:`step` in pieces. An item
        for which :meth:`record` was not called counts as left out.

        Raises:
            RuntimeError: the last part of a batch was recorded and :meth:`after_update` did not follow.
        """
        if self.sampler.restarted():
            self._part = None
        if self._part is not None and self._part.last and not self._settled:
            self._end_batch(updated=False, ends=True)
        elif self._part is not None and self._part.last:
            raise RuntimeError(
                "a batch had no after_update(), updated or not; a framework must not accumulate by itself: "
                "the controller makes the batches as large as they are to be"
            )
        part = self._part = self.sampler.take()
        self._settled = False
        if part.first:
            self._intervals.begin(part)
        self._gradient.begin(part)
        return part

    def record(self, loss: Tensor) -> None:
        """Count the mean loss of the part at hand."""
        self._gradient.record(loss, self._unsettled())
        self._settled = True

    def measure(self) -> None:
        """Measure the gradient of the whole batch, once it is complete and before anything changes it."""
        self._gradient.complete(self.part.batch_size)

    def before_update(self) -> None:
        """Set the coupled learning rate; call it right before the update."""
        self._update.begin(self._intervals.lr_scale)

    def after_update(self, *, updated: bool = True) -> None:
        """Give the learning rate back as it was, count the batch, and decide if the interval is over.

        ``updated`` is False where a scaler of the loss skipped the update.
        """
        self._update.end()
        self._end_batch(updated=updated, ends=updated)

    def _end_batch(self, *, updated: bool, ends: bool) -> None:
        """Count the batch; ``ends`` tells whether the interval may end with it."""
        batch_size = self.part.batch_size
        self._part = None
        self.sampler.finish()
        self._intervals.end(batch_size, updated=updated, ends=ends, shown=self._gradient.shown)

    def state_dict(self) -> ControllerState:
        """Return all that is needed to go on bit for bit, beside the state of model, optimiser and scaler.

        It is numbers, strings and lists, a few kilobytes, equal on all processes, and a batch whose update
        is still to come counts as not begun. Only a scheduler that needs the interval's mean gradient adds,
        in mid-interval, the running sum of it, which is as large as the network. Under DDP the noise between
        examples agrees to rounding only: DDP lays its buckets out anew after the first step.
        """
        return self._intervals.state_dict()

    def load_state_dict(self, state: ControllerState) -> None:
        """Go on where another controller was; call it before iterating over the loader.

        Raises:
            InputError: the checkpoint is of another scheduler, of other data, of a newer format, or goes on
                at a size outside the limits.
        """
        self._intervals.load_state_dict(readable(state, self.scheduler, self.limits))
        self._part = None
        self._settled = True
