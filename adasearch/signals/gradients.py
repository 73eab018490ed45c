"""Gradients in, numbers out: the signals that a scheduler asked for, and nothing else.

Sums stay on the device and cross to the host once per interval. Each interval starts afresh; windows and
averages over intervals belong to the scheduler.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adasearch.signal_sets import MEAN_GRADIENT, PER_STEP
from adasearch.signals.flat_gradient import Layout, gradients_of
from adasearch.signals.sampled_steps import stride_of

__all__ = ["GradientMeter", "GradientSignals", "NoiseSignals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientSignals:
    """What :class:`GradientMeter` found in an interval, by the names of the signals; None if not needed."""

    grad_norm: float | None = None
    grad_component_variance: float | None = None
    mean_grad_norm: float | None = None
    mean_grad_component_variance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSignals:
    """What :class:`~adasearch.signals.noise.NoiseMeter` found in an interval; None if not needed.

    NaN, with a ``noise_count`` of 0, is a signal that was needed but could not be had: of one example.
    """

    grad_noise: float | None = None
    grad_sq_norm: float | None = None
    noise_count: int = 0
    batch_grad_sq_norm: float | None = None
    half_cosine: float | None = None
    inner_product_variance: float | None = None


class GradientMeter:
    """Measures the gradient of an optimiser step, after reduction over workers and before the update.

    Per interval: :meth:`begin`, :meth:`observe` at each step, :meth:`finish`.

    Args:
        parameters: the trained parameters; those without a gradient count as zeros.
        needs: which of ``PER_STEP`` and ``MEAN_GRADIENT`` to measure. With none of them every method is free.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], needs: frozenset[str]) -> None:
        self._parameters = list(parameters)
        self._layout = Layout(parameters)
        self._components = sum(p.numel() for p in parameters)
        self._per_step = bool(needs & PER_STEP)
        self._mean = bool(needs & MEAN_GRADIENT)
        device = parameters[0].device
        # Apple's GPUs have no float64; elsewhere sums over many steps keep their digits.
        self.dtype = torch.float32 if device.type == "mps" else torch.float64
        self.begin(1)

    @property
    def active(self) -> bool:
        """Whether anything is measured at all."""
        return self._per_step or self._mean

    def begin(self, steps: int) -> None:
        """Start an interval of about so many steps."""
        self._stride = stride_of(steps)
        self._norms: list[Tensor] = []  # single numbers: of each part of each measured step's gradient
        self._sums: list[Tensor] = []
        self._total: list[Tensor] = []  # of the steps' gradients, by parameter
        self._steps = 0
        self._measured = 0

    def observe(self) -> None:
        """Take in the gradients of one step."""
        if self._per_step and self._steps % self._stride == 0:
            self._reduce(gradients_of(self._parameters))
            self._measured += 1
        if self._mean:
            self._add_up()
        self._steps += 1

    def _add_up(self) -> None:
        """Add the step's gradient to the interval's."""
        if not self._total:
            self._total = [torch.zeros_like(p) for p in self._parameters]
        there = [
            (total, gradient)
            for total, p in zip(self._total, self._parameters, strict=True)
            if (gradient := p.grad) is not None
        ]
        if there:
            totals, gradients = zip(*there, strict=True)
            torch._foreach_add_(totals, gradients)

    def finish(self) -> GradientSignals:
        """Return the interval's signals, NaN if no step was observed; waits for the device once."""
        norm = variance = mean_norm = mean_variance = None
        if self._per_step:
            norm, variance = self._means(self._measured)
        if self._mean and not self._steps:
            mean_norm = mean_variance = math.nan
        elif self._mean:
            self._norms, self._sums = [], []
            self._reduce([total / self._steps for total in self._total])
            mean_norm, mean_variance = self._means(1)
        return GradientSignals(
            grad_norm=norm,
            grad_component_variance=variance,
            mean_grad_norm=mean_norm,
            mean_grad_component_variance=mean_variance,
        )

    def _reduce(self, gradients: Sequence[Tensor]) -> None:
        """Keep norm and sum of each part of a gradient.

        What follows from them waits until the interval ends: after a backward pass nothing of it is in the
        caches, and a dozen operations on single numbers would cost as much again as these reductions.
        """
        parts = self._layout.joined(gradients)
        self._norms += [torch.linalg.vector_norm(part) for part in parts]
        self._sums += [part.sum() for part in parts]

    def _means(self, steps: int) -> tuple[float, float]:
        """Return the means over the gradients reduced so far, NaN of none: of norm and component variance.

        ``(1/d) * sum_i (g[i] - mean(g))^2 = ||g||^2 / d - mean(g)^2``, so one pass over g serves both.
        """
        if not steps:
            return math.nan, math.nan
        norms, sums = (torch.stack(each).to(self.dtype).view(steps, -1) for each in (self._norms, self._sums))
        square, mean = norms.square().sum(dim=1), sums.sum(dim=1) / self._components
        variance = (square / self._components - mean.square()).clamp_min(0)
        norm, spread = torch.stack([square.sqrt(), variance]).mean(dim=1).tolist()
        return norm, spread
