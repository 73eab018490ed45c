"""The noise between examples from the gradients of batches one after the other.

Two batches of B examples give ``|g_1 - g_2|^2 / 2`` for ``tr(Sigma) / B`` and ``<g_1, g_2>`` for ``|G|^2``,
as AdaptDL has it (Qiao et al. 2021, Pollux, arXiv 2008.12260). The weights moved between the two by a step,
which is told as noise. In return nothing is computed twice, and BatchNorm sees what it sees in training;
halves of a batch it normalises each by itself, which is told as noise, too, and more of it
(``benchmarks/noise_estimators.py``).
"""

import math
from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from adasearch.signals.flat_gradient import Layout, gradients_of, sum_dtype
from adasearch.signals.sampled_steps import stride_of

__all__ = ["SuccessiveSteps"]

Parts = Sequence[Tensor]
Divide = Callable[[Parts, Parts], tuple[Parts, Parts]]


class SuccessiveSteps:
    """Keeps of pairs of steps what the signals of the noise need.

    Per interval: :meth:`begin`, :meth:`observe` at each step before the update, :meth:`finish`. Every step
    counts.

    Args:
        parameters: the trained parameters; those without a gradient count as zeros.
        divided: returns two gradients in parts as they are preconditioned, if that is wanted, too.
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
        self._pairs: list[list[Tensor]] = []  # of single numbers: see _norms

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
            dense = (
                p.grad for p in self._parameters if p.grad is not None and p.grad.layout is torch.strided
            )
            theirs = {gradient.data_ptr() for gradient in dense}
            self._first = [part.clone() if part.data_ptr() in theirs else part for part in parts]
            return
        divided = [] if self._divided is None else [self._divided(self._first, parts)]
        found = [_norms(one, other) for one, other in [*divided, (self._first, parts)]]
        self._pairs.append([*chain.from_iterable(reversed(found))])
        self._first = []

    def finish(self, batch_size: int) -> dict[str, float]:
        """Return the signals of batches of so many examples, and of how many steps; NaN of no pair.

        ``|g_1 - g_2|^2 / 2`` is ``tr(Sigma) / B``, and what that leaves of the mean ``|g|^2`` is ``|G|^2``.
        Waits for the device once.
        """
        (whole, apart), (divided_whole, divided_apart) = self._means()
        square, rest = whole - apart, whole + apart
        return {
            "grad_noise": batch_size * apart,
            "grad_sq_norm": square,
            "preconditioned_noise": batch_size * divided_apart,
            "preconditioned_sq_norm": divided_whole - divided_apart,
            "noise_count": self.measured,
            "batch_grad_sq_norm": whole,
            "half_cosine": square / rest if rest else math.nan,
        }

    def _means(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the means of ``|g|^2`` and ``|g_1 - g_2|^2 / 2``, and of those preconditioned."""
        if not self._pairs:
            return (math.nan, math.nan), (math.nan, math.nan)
        kinds = 1 if self._divided is None else 2
        found = torch.stack([*chain.from_iterable(self._pairs)]).to(self._dtype)
        squares = found.view(len(self._pairs), kinds, -1, 3).square().sum(dim=2).mean(dim=0)
        rows = [((one + other) / 2, apart / 2) for one, other, apart in squares.tolist()]
        return rows[0], rows[-1]


def _norms(one: Sequence[Tensor], other: Sequence[Tensor]) -> list[Tensor]:
    """Return the norms of two gradients and of their difference, of each part in a row; overwrite the first.

    A difference of norms and an inner product would round away what is left of large gradients. What follows
    from them waits until the interval ends, when their memory is at hand.
    """
    norm = torch.linalg.vector_norm
    rows = ((norm(a), norm(b), norm(a.sub_(b))) for a, b in zip(one, other, strict=True))
    return [*chain.from_iterable(rows)]
