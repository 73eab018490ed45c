"""Loss and signals of the interval under way, in the built-in loop and in one of the user's own."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from adasearch.signal_sets import PER_STEP
from adasearch.signals.flat_gradient import sum_dtype
from adasearch.signals.gradients import MeanGradientMeter, NormMeter
from adasearch.signals.interval_state import IntervalState
from adasearch.signals.noise import Form, NoiseMeter
from adasearch.signals.per_example import Loss
from adasearch.signals.preconditioner import Preconditioner
from adasearch.signals.sampled_steps import stride_of
from adasearch.signals.torch_private import Bucket

__all__ = ["IntervalMeter"]


class IntervalMeter:
    """Measures the loss and the signals of an interval.

    Per interval: :meth:`begin`; then for each step :meth:`begin_step`, after each of its :attr:`passes`
    :meth:`add_loss` and :meth:`take`, after the last :meth:`join`, before the update :meth:`observe`, after
    it :meth:`end_step`; at the end :meth:`finish`. Steps outside an interval leave no trace. Beside these,
    where the noise between examples comes from there: :meth:`take_bucket` from a communication hook of DDP,
    :meth:`take_examples` after the last pass.

    A step whose update was skipped (gradients overflowed behind a scaler of the loss), or of whose batch a
    part was left out, gives no signal, and the next is measured in its place (of the noise, the next one that
    is in parts). Its loss and its examples count: they were seen. So does, in a loop that is resumable, one
    that left none of the parameters a gradient.

    Sums stay on the device, and are reduced over processes and cross to the host once per interval. In a
    loop that may be cut between any two steps they cannot: there what a step gave is on the host, and equal
    on all processes, before the next one begins.

    Attributes:
        running: whether an interval is under way.
        empty: whether no step of the interval that ended left a gradient, so that its signals are NaN.
        waiting: whether it has no step that could be measured yet, since parts of batches were left out.
        dtype: of sums over examples or steps.
        ends: of the interval's first and last step: the sum of losses, and over how many examples.

    Args:
        parameters: the trained parameters; those without a gradient count as zeros. A function that returns
            them is asked at each step, for where they may change.
        needs: the signals to measure; what is not among them costs nothing.
        world: number of processes.
        rank: of this process.
        network: give it to have the examples' own gradients, see :func:`example_gradients`.
        loss: of an example, for these.
        least: smallest number of examples that the network can take in one pass, 2 with BatchNorm.
        droppable: whether a step's update may be skipped.
        resumable: whether the loop may be cut between any two steps. Its updates may be skipped, too, and it
            chooses its passes itself.
        timed: what to measure in, such as a section of a stopwatch.
        device: of the losses; None for that of the first parameter.
        preconditioner: tells what preconditioned gradients are divided by, if they are needed.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter] | Callable[[], Sequence[nn.Parameter]],
        needs: frozenset[str],
        *,
        world: int = 1,
        rank: int = 0,
        network: nn.Module | None = None,
        loss: Loss = nn.functional.cross_entropy,
        least: int = 1,
        droppable: bool = False,
        resumable: bool = False,
        timed: Callable[[], AbstractContextManager[object]] = nullcontext,
        device: torch.device | None = None,
        preconditioner: Preconditioner | None = None,
    ) -> None:
        self._ask = parameters if callable(parameters) else None
        self._parameters = parameters = [] if callable(parameters) else list(parameters)
        self._norms = NormMeter(parameters, needs)
        self._mean = MeanGradientMeter(parameters, needs, droppable=droppable or resumable)
        self._noise = NoiseMeter(
            parameters,
            needs,
            world=world,
            rank=rank,
            network=network,
            loss=loss,
            least=least,
            halves=not resumable,
            successive=not (droppable or resumable),
            preconditioner=preconditioner,
        )
        self._world = world
        self._droppable = droppable or resumable
        self._resumable = resumable
        self._timed = timed
        self._device = parameters[0].device if device is None else device
        self.dtype = sum_dtype(self._device)
        # After a backward pass the calls on a tensor that make a sum take 80 microseconds.
        self._plain = resumable and world == 1 and self._device.type == "cpu"
        self.running = self.empty = self.waiting = False
        self._passes = 1
        # Of the step under way:
        self._sampled = self._noisy = False  # whether its norm may be measured, and the noise in it
        self._looked = self._joined = False  # were its parameters asked for, are its passes over
        self._gradient = True  # whether it left any
        self._step_loss: Tensor | float | None = None  # this process's sum
        self._scale = 1.0

    @property
    def hooked(self) -> bool:
        """Whether :meth:`take_bucket` is to be called from a communication hook."""
        return self._noise.hooked

    @property
    def form(self) -> Form | None:
        """Where the groups of the noise signals come from; None if no signal needs groups."""
        return self._noise.form

    def form_of(self, batch_size: int, passes: int) -> Form | None:
        """Return where the groups come from in a step of so many passes, as a rule."""
        return self._noise.form_of(batch_size, passes)

    @property
    def sampling(self) -> bool:
        """Whether the noise is measured on the passes of the step under way."""
        return self._noisy and not self._joined and self._noise.sampling

    @property
    def passes(self) -> int:
        """Forward passes that this process is to make on the step under way."""
        return 2 if self.form == "halves" and self.sampling else self._passes

    def begin(self, steps: int, batch_size: int, passes: int) -> None:
        """Start an interval of about so many steps, each of ``passes`` passes on each process."""
        self._start(stride_of(steps))
        self._left, self._passes = steps, passes
        if not self._resumable:
            self._norms.begin(steps)
        self._noise.begin(steps, batch_size, passes)

    def _start(self, stride: int) -> None:
        self.running = True
        self._stride = stride
        self._left = 0  # steps to come, about
        self._steps = 0  # whose update was made
        self._examples: int | Tensor = 0  # with a loss
        self._loss = self._nothing()
        self._measured = 0
        self._sums: dict[str, float] = {}
        self.ends: list[tuple[Tensor | float, int | Tensor]] = []
        self._norms.begin(1)
        self._mean.begin()

    def _nothing(self) -> Tensor | float:
        """Return what a sum of losses begins with."""
        return 0.0 if self._plain else torch.zeros((), dtype=self.dtype, device=self._device)

    def begin_step(self, batch_size: int, passes: int, *, halved: bool = False) -> None:
        """Begin a step, or begin it anew in more passes: what was measured of the noise is then dropped.

        ``halved`` tells that it is in two only for the noise to be measured, in a loop that is resumable.
        """
        self._step_loss = None
        self._looked = self._joined = False
        self._gradient = True
        self._sampled = self._noisy = self.running
        former, self._passes = self._passes, passes
        if self._resumable:
            self._sampled = self.running and self._steps % self._stride == 0
            self._noisy = (self._sampled or (self.running and halved)) and self._noise.measurable(
                batch_size, passes
            )
            self._norms.forget()
            if self._noisy:
                self._noise.begin(1, batch_size, passes)
        elif self.running and passes != former:
            self._noise.begin(self._left, batch_size, passes)

    def _look(self, parameters: Sequence[nn.Parameter] | None = None) -> None:
        """Ask whose gradients these are, once a step of which something is measured."""
        if self._ask is None or self._looked:
            return
        sampled = self._sampled and (self._norms.active or self._noise.active)
        if not (sampled or self._noisy or self._mean.active):
            return
        self._looked = True
        parameters = self._ask() if parameters is None else parameters
        same = len(parameters) == len(self._parameters)
        if not (same and all(map(operator.is_, parameters, self._parameters))):
            self._parameters = list(parameters)
            self._add_norms()
            for meter in (self._norms, self._mean, self._noise):
                meter.retrain(parameters)

    def number(self, loss: Tensor) -> Tensor | float:
        """Return a loss as sums are made of: a plain number where that is at hand, alike to the last bit."""
        return loss.item() if self._plain else loss.detach().to(self.dtype)

    def add_loss(self, loss: Tensor | float) -> None:
        """Add the sum of losses of a pass."""
        self._step_loss = loss if self._step_loss is None else self._step_loss + loss

    def take(self, examples: float, parameters: Sequence[nn.Parameter] | None = None) -> None:
        """Take in the gradient of the pass just made, on so many examples, or of such a weight.

        ``parameters`` are whose gradients there are, where that was just asked for.
        """
        self._look(parameters)
        if self.sampling and self.form in ("passes", "halves"):
            with self._timed():
                self._noise.take(examples)

    def take_bucket(self, bucket: Bucket) -> None:
        """Take in a part of this process's own gradient, before DDP reduces it."""
        if self.sampling:
            self._look()
            with self._timed():
                self._noise.take_bucket(bucket)

    def take_examples(self, chunks: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take in this process's examples of the step, once more."""
        with self._timed():
            for images, labels in chunks:
                self._noise.take_examples(images, labels)

    def join(self, unit: float = 1.0, own: float | None = None) -> None:
        """Put the passes' gradients together, once the last has been taken.

        Where they were taken by weights ``unit`` is that of an example, and ``own`` this worker's in all.
        """
        self._look()
        if self._noisy and self._noise.active:
            with self._timed():
                self._noise.observe(unit, own)
        self._joined = True

    def observe(self, scale: float = 1.0) -> None:
        """Take in the step's gradient; in the passes it was ``scale`` times as large."""
        self._scale = scale
        self._look()
        norms = self._sampled and self._norms.active
        mean = self.running and self._mean.active
        noise = self._noisy or (self._sampled and self._noise.active)
        if self._resumable and (norms or mean or noise):
            self._gradient = any(p.grad is not None for p in self._parameters)
        if norms or mean:
            with self._timed():
                if norms:
                    self._norms.observe()
                self._mean.observe()

    def end_step(self, batch_size: int, *, updated: bool = True, shown: int | None = None) -> None:
        """Count the step; ``updated`` tells whether its update was made.

        ``shown`` is how many of this process's examples had a loss that counts, where parts of a batch may be
        left out.
        """
        if not self.running:
            return
        loss = self._step_loss
        if loss is None or shown == 0:
            loss = self._nothing()
        counted: int | Tensor = batch_size if shown is None else shown
        if self._resumable and self._world > 1:
            assert isinstance(loss, Tensor)
            both = torch.stack([loss, torch.full_like(loss, batch_size if shown is None else shown)])
            dist.all_reduce(both)
            loss, counted = both[0], batch_size if shown is None else both[1]
        self._loss += loss
        self._examples += counted
        self.ends[1:] = [(loss, counted)]
        self._left -= 1
        self._looked = False
        self.waiting = False
        usable = updated and self._gradient
        if self._sampled or self._noisy or self._mean.active:  # else it need not be known, which takes a wait
            partial = int(counted) != batch_size
            self.waiting = partial and not self._measured
            usable = usable and not partial
        if usable:
            self._keep_step()
        else:
            self._drop_step()
        self._sampled = self._noisy = False

    def _keep_step(self) -> None:
        self._steps += 1
        self._mean.keep()
        if self._droppable and self._noisy and self._noise.active:
            with self._timed():
                self._noise.settle(self._scale)
        if self._resumable and self._sampled:
            self._norms.keep()
            self._measured += 1
        if self._resumable and self._noisy:
            self._add(self._noise.finish())

    def _add(self, signals: Mapping[str, float]) -> None:
        for name, value in signals.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def _add_norms(self) -> None:
        """Add the norms of the steps that count, which no other process has to agree on."""
        for each in self._norms.read():
            self._add(each)

    def _drop_step(self) -> None:
        self._mean.drop()
        if not self._resumable:  # there the next step that is measured begins afresh
            self._norms.drop()
            self._noise.drop()

    def finish(self) -> dict[str, Any]:
        """End the interval; return its signals by name and its ``train_loss``, the mean over its examples.

        All but what nobody needs, equal on all processes. Waits for the device.
        """
        self.running = False
        self.empty = self._steps == 0
        signals: dict[str, Any] = self._means() if self._resumable else {}
        if self._world > 1 and not self._resumable:
            assert isinstance(self._loss, Tensor)
            dist.all_reduce(self._loss)
        meters: list[NormMeter | MeanGradientMeter | NoiseMeter] = [self._mean]
        for meter in meters if self._resumable else [self._norms, *meters, self._noise]:
            if meter.active:
                with self._timed():
                    signals |= meter.finish()
        return {"train_loss": float(self._loss) / int(self._examples), **signals}

    def _means(self) -> dict[str, float]:
        """Return the signals as means over the steps that they were measured of, NaN of none."""
        if self._norms.active:
            with self._timed():
                self._add_norms()
        found = dict(self._sums)
        if not self._measured:
            self._norms.begin(1)
            found |= self._norms.finish()
        if self._noise.active and not found.get("noise_count"):
            self._noise.begin(1, 1, 1)
            found |= self._noise.finish()
        count = found.get("noise_count", 0)
        counts = {name: self._measured if name in PER_STEP else count for name in found}
        means = {name: total / (counts[name] or 1) for name, total in found.items()}
        return means | ({"noise_count": round(count)} if "noise_count" in found else {})

    def state(self) -> IntervalState | None:
        """Return the interval as it is after the last step that was ended; None between two intervals.

        Of a loop that is resumable.
        """
        if not self.running:
            return None
        looked = self._looked
        self._look()
        self._looked = looked
        self._add_norms()
        return {
            "stride": self._stride,
            "steps": self._steps,
            "examples": int(self._examples),
            "loss": float(self._loss),
            "measured": self._measured,
            "sums": dict(self._sums),
            "mean_gradient": self._mean.state(),
        }

    def load(self, state: IntervalState | None) -> None:
        """Go on where another meter was."""
        self.running = state is not None
        if state is None:
            return
        self._look()
        self._start(state["stride"])
        self._steps, self._examples = state["steps"], state["examples"]
        self._measured, self._sums = state["measured"], dict(state["sums"])
        if self._mean.active:
            self._mean.load(state["mean_gradient"], self._steps)
        self._loss += state["loss"]
