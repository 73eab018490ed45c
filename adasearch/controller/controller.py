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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from adasearch.controller.arguments import check_arguments, check_loss, check_options, number_of, weights_of
from adasearch.controller.batch_gradient import BatchGradient
from adasearch.controller.curve import Curve, budget_of
from adasearch.controller.halves import Halves
from adasearch.controller.intervals import IntervalListener, Intervals
from adasearch.controller.item_by_item import ItemByItem
from adasearch.controller.loaders import check_loader, examples_of
from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.needs import check_whole, kind_of, limits_for, scheduler_of
from adasearch.controller.random_numbers import RandomNumbers
from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.controller.state import ControllerState, readable
from adasearch.controller.state_check import check_state
from adasearch.controller.trained import Trained, parallel_in
from adasearch.controller.watch import Watch, check_optimizer
from adasearch.errors import InputError, require, shortened
from adasearch.records import Decision, Limits, Signals, Value
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.by_optimizer import fitted
from adasearch.schedulers.follow import followed_of
from adasearch.signal_sets import GROUPED
from adasearch.signals.interval import IntervalMeter
from adasearch.signals.preconditioner import preconditioner_of
from adasearch.training.ddp import show_gradients
from adasearch.training.optimizer import Update
from adasearch.training.processes import Processes

__all__ = ["BatchSizeController"]

T = TypeVar("T")


class BatchSizeController(ItemByItem):
    """Gives a training loop an adaptive batch size; works in one process and under DDP.

    The noise between examples is measured between the processes' gradients or, in one process, between the
    parts of a batch. If a scheduler needs it, batches of four examples or more that ``device_batch`` does not
    cut come in two halves now and then: every tenth, at most four and at least one in an interval. An
    interval that would have none, since batches of before it were still on their way, lasts until one.

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
        weights: of the examples: each epoch then draws as many as there are with replacement, in proportion
            to them, as ``torch.utils.data.WeightedRandomSampler`` does, and goes on from a checkpoint, too.
        drop_last: leave the examples out that fill no batch at an epoch's end; they count as seen.
        whole_batches: whether each item is a whole batch, or a process's whole share of it, for a loss that
            cannot be put together from parts (several means over different things, a contrastive one).
        epochs: length of the run, for :attr:`progress` and :meth:`curve`.
        evaluate: returns the validation loss; called at the end of each interval, by every process, if the
            scheduler needs ``val_loss``.
        scaler: of losses in half precision; the controller calls its ``scale``, ``unscale_``, ``step`` and
            ``update``. A step that it skips gives no signal but counts with its loss; it ends no interval.
        listener: hears of each interval and evaluates in place of ``evaluate``; a search's trials have one.
        timed: what signals are measured in, such as a section of a stopwatch.
        log: called by the first process after each decision with the history, the interval last, and the
            decision: see :class:`adasearch.trackers.RunLog`.

    Raises:
        InputError: an unknown scheduler or field, a size outside the limits or one in them that cannot be
            drawn, several processes without DDP, or a scheduler that needs what cannot be measured here, or
            what the optimiser does not have.
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
        weights: Tensor | Sequence[float] | None = None,
        drop_last: bool = False,
        whole_batches: bool = False,
        epochs: float | None = None,
        evaluate: Callable[[], float] | None = None,
        scaler: GradScaler | None = None,
        listener: IntervalListener | None = None,
        timed: Callable[[], AbstractContextManager[object]] = nullcontext,
        log: Callable[[Sequence[Signals], Decision], object] | None = None,
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
        check_options(scaler=scaler, log=log, drop_last=drop_last, whole_batches=whole_batches)
        batch_size, seed = int(batch_size), int(seed)  # NumPy's numbers belong in no checkpoint
        require(0 < interval < math.inf, "interval must be greater than 0 epochs", interval=interval)
        epochs = None if epochs is None else number_of(epochs, "epochs")
        require(epochs is None or 0 < epochs < math.inf, "epochs must be greater than 0", epochs=epochs)
        built = scheduler_of(scheduler, {} if fields is None else fields, evaluated=evaluate is not None)
        self.scheduler = fitted(built, kind_of(optimizer))
        needs = self.scheduler.needs
        self._examples = examples = examples_of(data)
        self._ddp = parallel_in(model)
        self._trained = Trained(optimizer, model)
        processes = Processes(self._trained.device)
        if processes.count > 1:
            if self._ddp is None:
                raise InputError(
                    "with several processes the model must be wrapped in DistributedDataParallel"
                )
            self._trained.reduce_by(self._ddp)
        check_optimizer(optimizer, model)
        if device_batch is not None and getattr(self._ddp, "static_graph", False):
            raise InputError(
                "DistributedDataParallel(static_graph=True) cannot accumulate: leave it or device_batch out"
            )
        if whole_batches:
            check_whole(self.scheduler, device_batch, shared=processes.count > 1)
        self.limits = limits_for(limits, examples, processes.count, drop_last=drop_last)
        if not self.limits.admit(batch_size):
            raise InputError(f"batch_size={shortened(str(batch_size))} lies outside {self.limits}")
        span = max(1, round(interval * examples))
        self._budget = budget_of(epochs, examples, self.scheduler)
        budget = self._budget if listener is None else listener.budget
        grouped = processes.count == 1 and needs & GROUPED
        whole = examples if drop_last else None
        halves = Halves(span=span, budget=budget, whole=whole) if grouped else None
        self.sampler = ResizableBatchSampler(
            examples,
            batch_size,
            device_batch=device_batch,
            halves=halves,
            seed=seed,
            weights=None if weights is None else weights_of(weights),
            drop_last=drop_last,
        )
        self.sampler.controlled = True
        self._random = RandomNumbers(self._trained.devices, self.sampler, processes)
        self._meter = IntervalMeter(
            self._trained,
            needs,
            world=processes.count,
            rank=processes.rank,
            resumable=True,
            timed=timed,
            device=self._trained.device,
            preconditioner=preconditioner_of(optimizer),
        )
        self._update = Update(optimizer, scaler, followed_of(self.scheduler))
        self._optimizer = optimizer
        self._watch = Watch(optimizer)
        self._curves: list[Curve] = []
        self._drop_last = drop_last
        self._gradient = BatchGradient(self._update, self._meter, processes, self._trained, self._ddp)
        self._intervals = Intervals(
            self.scheduler,
            self.limits,
            examples,
            batch_size=batch_size,
            span=span,
            evaluate=evaluate,
            sampler=self.sampler,
            meter=self._meter,
            update=self._update,
            processes=processes,
            watch=self._watch,
            trained=self._trained,
            random=self._random,
            listener=listener,
            log=log if processes.rank == 0 else None,
        )
        self._part: MicroBatch | None = None
        self._settled = self._updates_itself = True
        self._resumed = False
        self._scaler, self._unscaled, self._measured = scaler, False, False
        if self._ddp is not None and self._meter.hooked:
            show_gradients(self._ddp, self._meter)

    def batches(self, loader: Iterable[T]) -> Iterator[T]:
        """Yield what ``loader`` does, for the rest of the epoch. A loop left early goes on where it was.

        With ``device_batch``, or in one process with a scheduler that needs the noise between examples, an
        item may be a part of a batch (:attr:`part` tells); DDP then reduces with the last part only.

        Raises:
            InputError: the loader was not built with ``batch_sampler=controller.sampler``.
        """
        check_loader(loader, self.sampler, self._examples)
        if not self._resumed:  # where it was, a loop that was cut has an epoch's end still to come
            self.sampler.end_epoch()  # for loops that count their items and ask for no further one
        return self._handed_out(loader)

    def _handed_out(self, loader: Iterable[T]) -> Iterator[T]:
        self._resumed = False
        self._drop_update()
        self._part = None  # one that was in hand when another loop was left comes again
        for item in self.sampler.handed_out(self._random.around(loader)):
            part = self.begin()
            self._gradient.clear()
            apart = None if self._ddp is None or part.last else self._ddp.no_sync()
            with self._watch.in_loop, apart or nullcontext():
                yield item
            self._pass_over()
        self._watch.passed_over(pass_ended=True)
        self.sampler.end_epoch()

    def step(self, loss: Tensor, *, weight: float | Tensor | None = None) -> bool:
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

    def backward(self, loss: Tensor, *, weight: float | Tensor | None = None) -> bool:
        """Add this part's share to the gradient of the whole batch's mean loss; tell if it is complete.

        See :meth:`step`.
        """
        part = self._unsettled()
        check_loss(loss)
        self._updates_itself = False
        self._watch.used()
        if self._gradient.disturbed:
            self._watch.say(
                "gradients that went backward before controller.backward() are left out: give one sum of all "
                "losses (it is as it should be for another network's step, as in a GAN)"
            )
        in_parts = part.passes > 1 or self._ddp is not None
        self._watch.look_at(loss, part, weighed_by_examples=in_parts and weight is None)
        self._gradient.add(loss, part, None if weight is None else number_of(weight, "weight"))
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
        self._watch.used()
        return self._leave_out()

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
        return self._intervals.state_dict()

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
        self._intervals.load_state_dict(state)
        self._resumed = True
        self._part = None
        self._settled = True
        for curve in self._curves:
            curve.move(self._constantly(self.examples_seen))
