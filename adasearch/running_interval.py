"""The sums of an interval that is under way, in a loop that may be cut at any step."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, nn

from adasearch.measure import SAMPLED_STEPS, GradientMeter, GradientSignals
from adasearch.records import Signals

__all__ = ["IntervalState", "RunningInterval", "Totals", "missing_signals"]

PER_STEP = frozenset({"grad_norm", "grad_component_variance"})
MEAN_GRADIENT = frozenset({"mean_grad_norm", "mean_grad_component_variance"})
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
    """What an interval came to: this process's sum of losses, all processes' examples, the signals."""

    loss: float
    examples: int
    signals: dict[str, float]


def missing_signals(needs: frozenset[str], *, evaluated: bool) -> str | None:
    """Return which of ``needs`` a loop of one's own does not have, and what to do about it.

    >>> missing_signals(frozenset({"grad_norm", "train_loss"}), evaluated=False)
    >>> missing_signals(frozenset({"val_loss"}), evaluated=False)
    'val_loss: give evaluate=, a function that returns the validation loss'
    """
    unknown = needs - FREE - PER_STEP - MEAN_GRADIENT - {"val_loss"}
    if unknown:
        known = ", ".join(sorted(PER_STEP | MEAN_GRADIENT | {"val_loss"}))
        return f"{', '.join(sorted(unknown))}, which the controller cannot measure; it measures {known}"
    if "val_loss" in needs and not evaluated:
        return "val_loss: give evaluate=, a function that returns the validation loss"
    return None


class RunningInterval:
    """Loss and signals of the interval under way.

    Statistics of single steps are added up on the host, for the few steps that are sampled, so that the
    interval can be written down in a handful of numbers. Only the mean gradient, where a scheduler needs it,
    is as large as the network until the interval ends.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], needs: frozenset[str]) -> None:
        self._parameters = list(parameters)
        self._per_step = GradientMeter(parameters, needs & PER_STEP)
        self._mean = GradientMeter(parameters, needs & MEAN_GRADIENT)
        self.device = parameters[0].device
        self.dtype = self._per_step.dtype
        self.running = False
        self.mark = 0
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
        self._batch_loss = torch.zeros_like(self._loss)  # of the batch whose update is still to come

    def begin(self, mark: int, steps: int) -> None:
        """Start an interval of about so many steps that ends at ``mark`` examples."""
        self._start(mark, max(1, steps // SAMPLED_STEPS))
        self.running = True

    def add_loss(self, loss: Tensor, examples: int, *, first: bool) -> None:
        """Add the mean loss over some examples; ``first`` if a batch begins with them."""
        if first:
            self._batch_loss = torch.zeros_like(self._loss)
        self._batch_loss += loss.detach().to(self.dtype) * examples

    def observe(self) -> None:
        """Take in the gradients of one step."""
        for place, total in enumerate(self._total):
            gradient = self._parameters[place].grad
            if gradient is not None:
                self._total[place] = gradient.clone() if total is None else total.add_(gradient)
        if self._per_step.active and self._steps % self._stride == 0:
            self._per_step.begin(1)
            self._per_step.observe()
            for name, value in _found(self._per_step.finish()).items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._measured += 1

    def add_step(self, batch_size: int) -> None:
        """Count the batch whose losses were added."""
        self._loss += self._batch_loss
        self._steps += 1
        self._examples += batch_size

    def finish(self) -> Totals:
        """End the interval; waits for the device."""
        self.running = False
        signals = {name: value / self._measured for name, value in self._sums.items()}
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


def _found(signals: GradientSignals) -> dict[str, float]:
    """Return the signals that were measured, by name."""
    return {name: value for name, value in dataclasses.asdict(signals).items() if value is not None}
