"""The signals of the batch's gradient: of single steps', and of the mean over an interval.

Sums stay on the device and cross to the host once per interval. Each interval starts afresh; windows and
averages over intervals belong to the scheduler.
"""

import math
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from adasearch.signal_sets import MEAN_GRADIENT, PER_STEP
from adasearch.signals.flat_gradient import Layout, components_of, gradients_of, sum_dtype, zeros_for
from adasearch.signals.sampled_steps import stride_of
from adasearch.signals.torch_private import add_each, added_each

__all__ = ["MeanGradientMeter", "NormMeter"]


class NormMeter:
    """Measures norm and component variance of the gradients of single optimiser steps.

    Per interval: :meth:`begin`, :meth:`observe` at each step after reduction over workers and before the
    update, :meth:`finish`. A loop that may be cut says of the steps with :meth:`keep` which count, with
    :meth:`forget` that others do not, and has in :meth:`read` the signals of each.

    Args:
        parameters: the trained parameters; those without a gradient count as zeros.
        needs: with none of ``PER_STEP`` in it every method is free.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], needs: frozenset[str]) -> None:
        self.active = bool(needs & PER_STEP)
        self.retrain(parameters)
        self.begin(1)

    def retrain(self, parameters: Sequence[nn.Parameter]) -> None:
        """Measure other parameters from the next step on; the steps observed before are forgotten."""
        self._parameters = list(parameters)
        self._found = _NormsAndSums(parameters)
        self._kept = 0

    def begin(self, steps: int) -> None:
        """Start an interval of about so many steps."""
        self._stride = stride_of(steps)
        self._steps = self._kept = 0
        self._found.clear()

    def observe(self) -> None:
        """Take in the gradients of one step."""
        if self.active and self._steps % self._stride == 0:
            self._found.add(gradients_of(self._parameters))
        self._steps += 1

    def drop(self) -> None:
        """Take back the step observed last; the next stands in for it."""
        self._steps -= 1
        if self.active and self._steps % self._stride == 0:
            self._found.drop(len(self._found) - 1, len(self._found))

    def finish(self) -> dict[str, float]:
        """Return the interval's signals, NaN if no step was observed; waits for the device once."""
        if not self.active:
            return {}
        return _named(*self._found.means())

    def keep(self) -> None:
        """Count the step observed last for good."""
        self._kept = len(self._found)

    def forget(self) -> None:
        """Forget what was observed and does not count."""
        self._found.drop(self._kept, len(self._found))

    def read(self) -> list[dict[str, float]]:
        """Return the signals of each step that counts, in order, and forget these; waits for the device."""
        rows = self._found.each(self._kept) if self._kept else []
        self._found.drop(0, self._kept)
        self._kept = 0
        return [_named(*row) for row in rows]


def _named(norm: float, variance: float) -> dict[str, float]:
    return {"grad_norm": norm, "grad_component_variance": variance}


class MeanGradientMeter:
    """Measures norm and component variance of the mean of an interval's gradients.

    Per interval: :meth:`begin`; at each step :meth:`observe` before the update, then :meth:`keep` or
    :meth:`drop`; :meth:`finish`.

    Args:
        parameters: the trained parameters; those without a gradient count as zeros.
        needs: with none of ``MEAN_GRADIENT`` in it every method is free.
        droppable: whether :meth:`drop` may be called. Each step's sum is then a new one beside the former.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], needs: frozenset[str], *, droppable: bool = False
    ) -> None:
        self.active = bool(needs & MEAN_GRADIENT)
        self._droppable = droppable
        self._total: list[Tensor] = []
        self._parameters: list[nn.Parameter] = []
        self.retrain(parameters)
        self.begin()

    def retrain(self, parameters: Sequence[nn.Parameter]) -> None:
        """Measure other parameters from now on: a new one had zeros before, a former one counts no more."""
        kept = dict(zip(self._parameters, self._total, strict=True)) if self._total else {}
        self._parameters = list(parameters)
        self._found = _NormsAndSums(parameters)
        if kept:
            self._total = [zeros_for(p) if (t := kept.get(p)) is None else t for p in parameters]
        self._next = self._total

    def begin(self) -> None:
        """Start an interval."""
        self._steps = 0
        self._total = []  # of the steps' gradients, by parameter
        self._next = self._total  # with that of the step observed last

    def observe(self) -> None:
        """Take in the gradients of one step."""
        if not self.active:
            return
        self._next = self._total or [zeros_for(p) for p in self._parameters]
        places = [place for place, p in enumerate(self._parameters) if p.grad is not None]
        totals = [self._next[place] for place in places]
        gradients = [gradient for p in self._parameters if (gradient := p.grad) is not None]
        if self._droppable:
            new = dict(zip(places, added_each(totals, gradients) if places else (), strict=True))
            self._next = [new.get(place, total) for place, total in enumerate(self._next)]
        elif places:
            add_each(totals, gradients)

    def keep(self) -> None:
        """Count the step observed last."""
        self._total = self._next
        self._steps += 1

    def drop(self) -> None:
        """Forget the step observed last."""
        self._next = self._total

    def finish(self) -> dict[str, float]:
        """Return the interval's signals, NaN if no step was kept; waits for the device once."""
        if not self.active:
            return {}
        self._found.clear()
        if self._steps:
            self._found.add([total / self._steps for total in self._total])
        norm, variance = self._found.means()
        return {"mean_grad_norm": norm, "mean_grad_component_variance": variance}

    def state(self) -> list[Tensor]:
        """Return the sum of the gradients kept so far, by parameter; empty for none."""
        return [total.clone() for total in self._total]

    def load(self, state: Sequence[Tensor | None], steps: int) -> None:
        """Go on from the sum of so many gradients; None stands for zeros."""
        self._steps = steps
        pairs = zip(self._parameters, state, strict=True) if steps else ()
        self._total = [
            zeros_for(p) if total is None else total.to(zeros_for(p), copy=True) for p, total in pairs
        ]
        self._next = self._total


class _NormsAndSums:
    """Norm and sum of each part of some gradients.

    What follows from them waits until the interval ends: after a backward pass nothing of it is in the
    caches, and a dozen operations on single numbers would cost as much again as these reductions.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._layout = Layout(parameters)
        self._components = sum(map(components_of, parameters))
        self._dtype = sum_dtype(parameters[0].device) if parameters else torch.float64
        self.clear()

    def clear(self) -> None:
        """Forget all gradients."""
        self._norms: list[list[Tensor]] = []  # single numbers: a list for each gradient, of its parts
        self._sums: list[list[Tensor]] = []

    def add(self, gradients: Sequence[Tensor]) -> None:
        """Add a gradient, given by parameter."""
        parts = self._layout.joined(gradients)
        self._norms.append([torch.linalg.vector_norm(part) for part in parts])
        self._sums.append([part.sum() for part in parts])

    def __len__(self) -> int:
        """Return how many gradients were added."""
        return len(self._norms)

    def drop(self, begin: int, end: int) -> None:
        """Forget some of the gradients."""
        del self._norms[begin:end], self._sums[begin:end]

    def means(self) -> tuple[float, float]:
        """Return the means over the gradients, NaN of none: of norm and component variance."""
        if not (self._norms and self._components):
            return math.nan, math.nan
        norm, spread = self._of_first(len(self)).mean(dim=1).tolist()
        return norm, spread

    def each(self, count: int) -> list[tuple[float, float]]:
        """Return norm and component variance of each of the first gradients, NaN of no components."""
        if not self._components:
            return [(math.nan, math.nan)] * count
        norms, spreads = self._of_first(count).tolist()
        return list(zip(norms, spreads, strict=True))

    def _of_first(self, count: int) -> Tensor:
        """Return norm and component variance of the first gradients (2, count).

        ``(1/d) * sum_i (g[i] - mean(g))^2 = ||g||^2 / d - mean(g)^2``, so one pass over g serves both.
        """
        norms, sums = (
            torch.stack([*chain.from_iterable(each[:count])]).to(self._dtype).view(count, -1)
            for each in (self._norms, self._sums)
        )
        square, mean = norms.square().sum(dim=1), sums.sum(dim=1) / self._components
        variance = (square / self._components - mean.square()).clamp_min(0)
        return torch.stack([square.sqrt(), variance])
