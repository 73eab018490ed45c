"""The noise between examples from the gradients of batches one after the other.

Two batches of B examples give ``|g_1 - g_2|^2 / 2`` for ``tr(Sigma) / B`` and ``<g_1, g_2>`` for ``|G|^2``,
as AdaptDL has it (Qiao et al. 2021, Pollux, arXiv 2008.12260). The weights moved between the two by a step,
which is told as noise. In return nothing is computed twice, and BatchNorm sees what it sees in training;
halves of a batch it normalises each by itself, which is told as noise, too, and more of it
(``benchmarks/noise_estimators.py``).
"""

from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from adasearch.signals.flat_gradient import Layout, gradients_of, sum_dtype
from adasearch.signals.sampled_steps import stride_of

__all__ = ["SuccessiveSteps"]

Divide = Callable[[Sequence[Tensor]], Sequence[Tensor]]


class SuccessiveSteps:
    """Keeps of pairs of steps what the signals of the noise need.

    Per interval: :meth:`begin`, :meth:`observe` at each step before the update, :meth:`drop` where the step
    observed last does not count, :meth:`finish`.

    Args:
        parameters: the trained parameters; those without a gradient count as zeros.
        divided: also returns a gradient in parts as it is preconditioned, if that is wanted.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], divided: Divide | None = None) -> None:
        self._parameters = list(parameters)
        self._layout = Layout(parameters)
        self._dtype = sum_dtype(parameters[0].device) if parameters else torch.float64
        self._divided = divided
        self.begin(2)

    def begin(self, steps: int) -> None:
        """Start an interval of about so many steps."""
        self._period = 2 * stride_of(steps)
        self._steps = 0
        self._first: list[Tensor] = []
        self._pairs: list[list[Tensor]] = []  # of single numbers: see _products, for each part

    @property
    def sampling(self) -> bool:
        """Whether the step under way is one of a pair."""
        return self._steps % self._period < 2

    @property
    def measured(self) -> int:
        """Steps of which a pair is made up."""
        return 2 * len(self._pairs)

    def observe(self) -> None:
        """Take in the gradient of a step."""
        place = self._steps % self._period
        self._steps += 1
        if place > 1:
            return
        parts = self._layout.joined(gradients_of(self._parameters))
        if place == 0:
            own = {p.grad.data_ptr() for p in self._parameters if p.grad is not None}
            self._first = [part.clone() if part.data_ptr() in own else part for part in parts]
            return
        products = _products(self._first, parts)
        if self._divided is not None:
            products += _products(self._divided(self._first), self._divided(parts))
        self._pairs.append(products)

    def drop(self) -> None:
        """Take back the step observed last; the next stands in for it."""
        self._steps -= 1
        if self._steps % self._period == 1:
            self._pairs.pop()

    def finish(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the means of ``|g|^2`` and ``<g_1, g_2>``, and of those preconditioned; NaN of no pair.

        Waits for the device once.
        """
        if not self._pairs:
            return (torch.nan, torch.nan), (torch.nan, torch.nan)
        found = torch.stack([*chain.from_iterable(self._pairs)]).to(self._dtype).view(len(self._pairs), -1, 3)
        kinds = 1 if self._divided is None else 2
        sums = found.view(len(self._pairs), kinds, -1, 3)
        squares = sums[..., :2].square().sum(dim=(2, 3)).mean(dim=0) / 2
        inner = sums[..., 2].sum(dim=2).mean(dim=0)
        rows = [
            (float(square), float(product)) for square, product in torch.stack([squares, inner]).T.tolist()
        ]
        return rows[0], rows[-1]


def _products(one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
    """Return the norms and the inner product of each part of two gradients, in a row.

    What follows from them waits until the interval ends, when their memory is at hand.
    """
    norm = torch.linalg.vector_norm
    rows = ((norm(a), norm(b), torch.dot(a, b)) for a, b in zip(one, other, strict=True))
    return [*chain.from_iterable(rows)]
