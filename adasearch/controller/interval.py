"""The sums of an interval that is under way, in a loop that may be cut at any step."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from adasearch.controller.sampler import Part
from adasearch.records import Signals
from adasearch.signal_sets import MEAN_GRADIENT, MEASURED, PER_STEP
from adasearch.signals.gradients import GradientMeter, GradientSignals, NoiseSignals
from adasearch.signals.noise import Bucket, NoiseMeter
from adasearch.signals.sampled_steps import stride_of

__all__ = ["IntervalState", "RunningInterval", "Totals", "missing_signals"]

POWERS = {
    **{"grad_noise": 2, "grad_sq_norm": 2, "batch_grad_sq_norm": 2},
    **{"inner_product_variance": 4, "half_cosine": 0, "noise_count": 0},
}
"""Of the gradient, in the noise signals."""

FREE = frozenset(field.name for field in dataclasses.fields(Signals) if field.default is dataclasses.MISSING)


class IntervalState(TypedDict):
    """A running interval in numbers; ``mean_gradient`` is empty unless a scheduler needs it."""

    mark: int
    stride: int
    steps: int
    examples: int
    loss: float
    measured: int
    sums: dict[str, float]
    mean_gradient: list[Tensor | None]


@dataclass(frozen=True, slots=True)
class Totals:
    """What an interval came to: sum of losses and examples, of all processes, and the signals."""

    loss: float
    examples: int
    signals: dict[str, float]


def missing_signals(needs: frozenset[str], *, evaluated: bool) -> str | None:
    """Return which of ``needs`` a loop of one's own does not have, and what to do about it.

    >>> missing_signals(frozenset({"grad_norm", "train_loss"}), evaluated=False)
    >>> missing_signals(frozenset({"val_loss"}), evaluated=False)
    'val_loss: give evaluate=, a function that returns the validation loss'
    """
    measured = {*MEASURED, "val_loss"}
    unknown = needs - FREE - measured
    if unknown:
        known = ", ".join(sorted(measured))
        return f"{', '.join(sorted(unknown))}, which the controller cannot measure; it measures {known}"
    if "val_loss" in needs and not evaluated:
        return "val_loss: give evaluate=, a function that returns the validation loss"
    return None


class RunningInterval:
    """Loss and signals of the interval under way.

    Per batch: :meth:`begin_batch`, :meth:`take_part` after each backward pass, :meth:`join_parts` and
    :meth:`observe` after the last, :meth:`keep_batch` after the update; without it the batch leaves no trace.
    All but the loss of the batch under way is equal on all processes. Statistics of single steps are added up
    on the host, for the few steps that are sampled, so that the interval can be written down in a handful of
    numbers. Only the mean gradient, where a scheduler needs it, is as large as the network until the interval
    ends.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        needs: frozenset[str],
        ddp: DistributedDataParallel | None = None,
    ) -> None:
        self._parameters = list(parameters)
        self._shared = (
            ddp is not None
        )  # not DDP itself, which holds our hook: the circle would never be freed
        self._per_step = GradientMeter(parameters, needs & PER_STEP)
        self._mean = GradientMeter(parameters, needs & MEAN_GRADIENT)
        world, rank = (1, 0) if ddp is None else (dist.get_world_size(), dist.get_rank())
        self._noise = NoiseMeter(parameters, needs, world=world, rank=rank)
        if ddp is not None and self._noise.hooked:
            ddp.register_comm_hook(dist.group.WORLD, self._reduce)
        self.device = parameters[0].device
        self.dtype = self._per_step.dtype
        self.running = False
        self.mark = 0
        self._sampling = False  # whether statistics are taken of the batch under way
        self._start(0, 1)

    def _start(self, mark: int, stride: int) -> None:
        self.mark = mark
        self._stride = stride
        self._steps = 0
        self._examples = 0
        self._measured = 0
        self._sums: dict[str, float] = {}
        self._total: list[Tensor | None] = [None] * len(self._parameters) if self._mean.active else []
        self._loss = torch.zeros((), dtype=self.dtype, device=self.device)
        self._forget_batch()

    def _forget_batch(self) -> None:
        """Forget what was seen of the batch whose update is still to come."""
        self._batch_loss = torch.zeros_like(self._loss)  # of this process
        self._found: dict[str, float] | None = None
        self._gradients: list[Tensor | None] = []

    def begin(self, mark: int, steps: int) -> None:
        """Start an interval of about so many steps that ends at ``mark`` examples."""
        self._start(mark, stride_of(steps))
        self.running = True

    def begin_batch(self, part: Part) -> None:
        """Begin the batch whose first part this is."""
        self._forget_batch()
        self._sampling = self.running and self._steps % self._stride == 0
        if self._sampling and self._noise.active:
            self._noise.begin(1, part.batch_size, part.passes)

    def add_loss(self, loss: Tensor, examples: int) -> None:
        """Add the mean loss over some examples."""
        self._batch_loss += loss.detach().to(self.dtype) * examples

    def take_part(self, examples: int) -> None:
        """Take in the gradient of a part of the batch."""
        if self._sampling and self._noise.form == "passes" and self._noise.sampling:
            self._noise.take(examples)

    def _reduce(self, group: dist.ProcessGroup, bucket: Bucket) -> torch.futures.Future[Tensor]:
        """Show a process's own gradient to the meter and reduce it, as DDP does without a hook."""
        if self._sampling and self._noise.sampling:
            self._noise.take_bucket(bucket)
        return allreduce_hook(group, bucket)

    def join_parts(self) -> None:
        """Put the parts' gradients together, once the last has been taken."""
        if self._sampling and self._noise.active:
            self._noise.observe()

    def observe(self, scale: float) -> None:
        """Take in the gradients of one step of the interval; the parts' were ``scale`` times as large."""
        found: dict[str, float] = {}
        if self._sampling and self._noise.active:
            found |= _unscaled(_found(self._noise.finish()), scale)
        if self._mean.active and self.running:
            self._gradients = [None if p.grad is None else p.grad.clone() for p in self._parameters]
        if self._sampling and self._per_step.active:
            self._per_step.begin(1)
            self._per_step.observe()
            found |= _found(self._per_step.finish())
        self._found = found if self._sampling else None

    def keep_batch(self, batch_size: int) -> None:
        """Count the batch, now that its update is made."""
        if self._shared:
            dist.all_reduce(self._batch_loss)
        self._loss += self._batch_loss
        for place, gradient in enumerate(self._gradients):
            total = self._total[place]
            if gradient is not None:
                self._total[place] = gradient if total is None else total.add_(gradient)
        if self._found is not None:
            for name, value in self._found.items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._measured += 1
        self._steps += 1
        self._examples += batch_size
        self._forget_batch()

    def finish(self) -> Totals:
        """End the interval; waits for the device."""
        self.running = False
        signals = {name: value / self._measured for name, value in self._sums.items()}
        if "noise_count" in signals:
            signals["noise_count"] = round(self._sums["noise_count"])
        if self._mean.active:
            signals |= self._mean_signals()
        return Totals(self._loss.item(), self._examples, signals)

    def _mean_signals(self) -> dict[str, float]:
        """Show the meter the mean gradient as if it were a step's."""
        own = [p.grad for p in self._parameters]
        for p, total in zip(self._parameters, self._total, strict=True):
            p.grad = None if total is None else total / self._steps
        self._mean.begin(1)
        self._mean.observe()
        for p, gradient in zip(self._parameters, own, strict=True):
            p.grad = gradient
        return _found(self._mean.finish())

    def state(self) -> IntervalState | None:
        """Return the sums as numbers, None between two intervals."""
        if not self.running:
            return None
        return {
            "mark": self.mark,
            "stride": self._stride,
            "steps": self._steps,
            "examples": self._examples,
            "loss": self._loss.item(),
            "measured": self._measured,
            "sums": dict(self._sums),
            "mean_gradient": [None if total is None else total.clone() for total in self._total],
        }

    def load(self, state: IntervalState | None) -> None:
        """Go on with an interval that was written down."""
        self.running = state is not None
        if state is None:
            return
        self._start(state["mark"], state["stride"])
        self._steps, self._examples = state["steps"], state["examples"]
        self._measured, self._sums = state["measured"], dict(state["sums"])
        self._total = [
            None if total is None else total.to(self.device, copy=True) for total in state["mean_gradient"]
        ]
        self._loss += state["loss"]


def _unscaled(signals: dict[str, float], scale: float) -> dict[str, float]:
    """Return the noise signals of gradients that were ``scale`` times as large."""
    return {name: value / scale ** POWERS[name] for name, value in signals.items()}


def _found(signals: GradientSignals | NoiseSignals) -> dict[str, float]:
    """Return the signals that were measured, by name."""
    return {name: value for name, value in dataclasses.asdict(signals).items() if value is not None}
