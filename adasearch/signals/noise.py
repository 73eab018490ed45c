"""The noise between examples, from whatever gradients of parts of a batch there are.

A step's batch of N examples falls into K groups; n_k examples with mean gradient g_k in group k, and
``g = sum_k (n_k / N) g_k`` the step's gradient. The examples' gradients being independent, with mean G and
covariance Sigma, g_k has mean G and covariance ``Sigma / n_k``, so that::

    E sum_k n_k |g_k|^2 = N |G|^2 + K tr(Sigma),    E N |g|^2 = N |G|^2 + tr(Sigma)

and, for groups of any sizes, equal or not, these two are unbiased::

    tr(Sigma) ~ (1 / (K - 1)) sum_k n_k |g_k - g|^2 = (1 / (K - 1)) (sum_k n_k |g_k|^2 - N |g|^2)
    |G|^2     ~ |g|^2 - tr(Sigma) / N

With groups of one example the first is the sample variance of the examples' gradients; with K equal groups
of b it is ``b / (K - 1) * sum_k |g_k - g|^2`` (the worker form of the norm test), and with two halves
``N / 4 * |g_1 - g_2|^2`` (McCandlish et al. 2018, arXiv 1812.06162, appendix A). In the same way::

    Var_i(<g_i, g>) ~ (1 / (K - 1)) sum_k n_k (<g_k, g> - |g|^2)^2

Where both are asked for of preconditioned gradients, each g_k and g is divided by the same numbers, component
by component (:mod:`adasearch.signals.preconditioner`), and all else is as above.

The halves whose cosine is taken are the first ``K // 2`` groups and the rest, unequal where K is odd.
What differs from textbook sampling: examples come without replacement, which within one permutation of n
examples makes the first about ``n / (n - 1)`` times the covariance over the training split, and the second
low by ``tr(Sigma) / n`` or so.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch import distributed as dist

from adasearch.signal_sets import MOMENTS, NOISE, PRECONDITIONED
from adasearch.signals.flat_gradient import (
    Layout,
    cosine,
    gradients_of,
    inner_product,
    laid_out,
    plain,
    shaped,
    square_norm,
    sum_dtype,
)
from adasearch.signals.per_example import Loss, example_gradients
from adasearch.signals.preconditioner import Preconditioner
from adasearch.signals.sampled_steps import costly_stride_of, stride_of
from adasearch.signals.step_parts import StepParts
from adasearch.signals.successive import SuccessiveSteps
from adasearch.signals.torch_private import Bucket

__all__ = ["Form", "NoiseMeter"]

Form = Literal["per_example", "workers", "passes", "successive", "halves"]

KEPT_GROUPS = 8  # gradients kept at once, where a signal needs them beside the whole one


class NoiseMeter:
    """Measures what the gradients of parts of a batch tell about the noise between examples.

    Per interval: :meth:`begin`, then at each step :attr:`passes` forward and backward passes of losses
    weighted so that the gradients sum up to the step's, and :meth:`observe` after the last; at the end
    :meth:`finish`. Where an update may be skipped behind a scaler of the loss :meth:`settle` or :meth:`drop`
    follow. In between, on steps where :attr:`sampling` holds, the forms differ:

    * "workers", with several processes: :meth:`take_bucket` from a communication hook of DDP, before the
      reduction. A group is one worker's part of the batch. No second backward pass; two numbers are
      reduced per interval, and for ``half_cosine`` one more gradient on each step that is measured.
    * "passes", with one process that accumulates gradients: :meth:`take` after each backward pass.
    * "successive", with one process, one pass and an interval of several steps, where BatchNorm mixes a
      batch's examples: a group is the batch of one of two steps in succession. Leaves the steps themselves
      alone. ``half_cosine`` is what the moments say of it, ``|G|^2 / (|G|^2 + 2 tr(Sigma) / B)``; the
      variance of inner products is left to halves. See :mod:`adasearch.signals.successive`.
    * "halves", with one process and one pass: a step that is measured runs as two passes, each of half the
      batch, whose gradients sum up to the step's; :meth:`take` after each. BatchNorm normalises each half
      by the half's own statistics and updates its running statistics twice on such a step, so training
      itself differs a little from a run that measures nothing. Other networks train alike to rounding.
    * "per_example", asked for with ``network``: :meth:`take_examples` after the last backward pass, on the
      step's examples. A group is one example. Leaves the step itself alone.

    Attributes:
        active: whether anything is measured at all.
        form: where the groups come from in this interval; None if no signal needs groups.
        measured: steps of this interval that were measured.

    Args:
        parameters: the trained parameters; those without a gradient count as zeros.
        needs: which of ``NOISE`` and ``PRECONDITIONED`` to measure. With none of them every method is free.
        world: number of processes.
        rank: of this process.
        network: give it to have the examples' own gradients; see :func:`example_gradients`.
        loss: of an example, for these.
        least: smallest number of examples that the network can take in one pass, 2 with BatchNorm.
        halves: whether the loop makes as many passes as :attr:`passes` says; else one pass has no groups.
        successive: whether an interval's steps may be compared with each other, none of which may be skipped.
        preconditioner: tells what preconditioned gradients are divided by, if they are needed.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        needs: frozenset[str],
        *,
        world: int = 1,
        rank: int = 0,
        network: nn.Module | None = None,
        loss: Loss = nn.functional.cross_entropy,
        least: int = 1,
        halves: bool = True,
        successive: bool = False,
        preconditioner: Preconditioner | None = None,
    ) -> None:
        self.active = bool(needs & (NOISE | PRECONDITIONED))
        self._moments = bool(needs & MOMENTS)
        self._divisors = preconditioner if needs & PRECONDITIONED else None
        needs = needs if preconditioner is not None else needs - PRECONDITIONED
        self._found = needs | {"noise_count", "batch_grad_sq_norm"} | (MOMENTS if self._moments else needs)
        self._half = "half_cosine" in needs
        self._inner = "inner_product_variance" in needs
        self._grouped = self._moments or self._half or self._inner or self._divisors is not None
        self._world, self._rank, self._least, self._halves = world, rank, least, halves
        self._successive = successive and least > 1 and not self._inner
        self._examples = None if network is None else example_gradients(network, loss)
        # Of sum_k n_k |g_k|^2 and Var(<g_i, g>), both this worker's part; of |g|^2 and the cosine, the whole.
        # The last two are the first and the third of preconditioned gradients.
        self._sums = torch.zeros(6)
        self.retrain(parameters)
        self.form: Form | None = None
        self._step = StepParts()  # the one under way
        self._observed = False  # whether the step observed last was measured

    def retrain(self, parameters: Sequence[nn.Parameter]) -> None:
        """Measure other parameters, from before the first pass of a step on."""
        self._parameters = list(parameters)
        self._layout = Layout(parameters)
        device = parameters[0].device if parameters else self._sums.device
        self._dtype = sum_dtype(device)
        self._pairs = SuccessiveSteps(parameters, None if self._divisors is None else self._both_divided)
        self._sums = self._sums.to(device, self._dtype)
        self._kept_sums = self._sums.clone()

    @property
    def hooked(self) -> bool:
        """Whether :meth:`take_bucket` is to be called from a communication hook."""
        return self._grouped and self._world > 1 and self._examples is None

    @property
    def sampling(self) -> bool:
        """Whether the step under way is measured."""
        if self.form == "successive":
            return self._pairs.sampling
        return self.active and self._measurable and self._steps % self._stride == self._offset

    @property
    def passes(self) -> int:
        """Forward passes that this worker is to make on the step under way."""
        return 2 if self.form == "halves" and self.sampling else self._passes

    def form_of(self, batch_size: int, passes: int) -> Form | None:
        """Return where the groups of a step come from by itself; None if no signal needs groups."""
        return self._form(batch_size, passes, 1)[0]

    def measurable(self, batch_size: int, passes: int) -> bool:
        """Tell whether something is measured, and of a step in so many passes could be."""
        return self.active and self._form(batch_size, passes, 1)[1] != 1

    def begin(self, steps: int, batch_size: int, passes: int) -> None:
        """Start an interval of about so many steps, each of ``passes`` passes on each worker."""
        self._passes, self._size = passes, batch_size
        self.form, self._groups = self._form(batch_size, passes, steps)
        self._pairs.begin(steps)
        # The batch is cut into world * passes parts that differ by at most one; this worker's are in line.
        base, extra = divmod(batch_size, self._world * passes)
        first = self._rank * passes
        self._first = first * base + min(first, extra)
        self._own = passes * base + min(max(extra - first, 0), passes)
        self._measurable = self._groups != 1
        # Extra passes, or one more gradient that is reduced.
        costly = self.form in ("halves", "per_example") or (self.form == "workers" and self._half)
        self._stride = costly_stride_of(steps) if costly else stride_of(steps)
        self._offset = min(self._stride, steps) // 2 if costly else 0
        self._sums, self._kept_sums = (torch.zeros_like(self._sums) for _ in range(2))
        self._steps = self.measured = 0
        self._step = StepParts()

    def take(self, examples: float) -> None:
        """Set aside the gradient of the pass just made, on so many examples, and clear it for the next.

        In a loop that weighs its passes by something else than examples it is the weight.
        """
        parts = self._layout.joined(gradients_of(self._parameters))
        if self._moments:
            self._add_square(parts, examples)
        if self._divisors is not None:
            self._add_square(self._divided(parts), examples, to=4)
        if self._half and self._step.taken < self.passes // 2:
            self._step.add_to_half(parts)
        if self._inner:
            kept = min(self.passes, KEPT_GROUPS)
            group = self._step.taken * kept // self.passes
            self._step.add_to_group(group, examples, parts)
        self._step.set_aside(self._parameters)

    def take_bucket(self, bucket: Bucket) -> None:
        """Take in a part of this worker's own gradient, before DDP reduces it."""
        buffer = bucket.buffer()
        if self._moments:
            self._add_square([plain(buffer)], self._own, scale=1 / self._world**2)
        if self._half or self._inner or self._divisors is not None:
            gradients = [buffer.to_dense()] if buffer.is_sparse else bucket.gradients()
            for p, gradient in zip(bucket.parameters(), gradients, strict=True):
                # The mean over workers is the step's gradient.
                local = laid_out(gradient, p) / self._world
                if self._half or self._inner:
                    self._step.local[p] = local
                if self._divisors is not None:
                    self._add_square([plain(local) / self._divisors([p])[0]], self._own, to=4)

    def take_examples(self, images: Tensor, labels: Tensor) -> None:
        """Take in some of this worker's examples, in their order; the step's gradient is there already."""
        assert self._examples is not None, "no network was given"
        size = self._size
        for gradients in self._examples(images, labels):
            count = len(gradients[0])
            if self._moments:
                squares = [gradient.square().sum() for gradient in gradients]
                self._sums[0] += torch.stack(squares).to(self._dtype).sum()
            if self._divisors is not None:
                pairs = zip(gradients, self._divisors(self._parameters), strict=True)
                squares = [(gradient / by.flatten()).square().sum() for gradient, by in pairs]
                self._sums[4] += torch.stack(squares).to(self._dtype).sum()
            if self._inner:
                whole = [plain(gradient).flatten() for gradient in gradients_of(self._parameters)]
                pairs = zip(gradients, whole, strict=True)
                dots = torch.stack([gradient @ part for gradient, part in pairs]).to(self._dtype).sum(dim=0)
                spread = (dots - square_norm(whole, self._dtype)).square().sum()
                self._sums[1] += spread / (size - 1)
            if self._half:
                first = min(max(size // 2 - self._first - self._step.taken, 0), count)
                halves = [
                    shaped(gradient[:first].sum(dim=0), p) / size
                    for gradient, p in zip(gradients, self._parameters, strict=True)
                ]
                self._step.add_to_half(self._layout.joined(halves))
            self._step.taken += count

    def observe(self, unit: float = 1.0, own: float | None = None) -> None:
        """Take in the step's gradient, after reduction over workers and before the update.

        Where passes were taken by weights, their gradients sum up to ``unit`` times the step's, ``unit``
        being the weight of an example in the mean, and ``own`` is the weight of this worker's. Such a loop
        begins anew with each step.
        """
        if self.form == "successive":
            self._pairs.observe()
            return
        self._observed = self.sampling
        if self._observed:
            step = self._step
            if own is not None:  # n_k examples are unit * n_k of weight
                workers = self.form == "workers"
                self._sums[0] *= unit * (self._own / own if own else 0.0) if workers else unit
                self._sums[4] *= unit * (self._own / own if own else 0.0) if workers else unit
            if self.form in ("passes", "halves"):
                step.give_back(self._parameters)
            whole = self._layout.joined(gradients_of(self._parameters))
            square = square_norm(whole, self._dtype)
            self._sums[2] += square
            if self._divisors is not None:
                self._sums[5] += square_norm(self._divided(whole), self._dtype)
            if self.form == "workers" and (self._half or self._inner):
                local = self._layout.joined(
                    torch.zeros_like(p) if (mine := step.local.get(p)) is None else mine
                    for p in self._parameters
                )
                step.groups = [(self._own if own is None else own, local)]
                first = self._rank < self._world // 2
                step.half = local if first else [torch.zeros_like(part) for part in local]
            if self._inner and self.form != "per_example":
                groups = self._groups if self.form == "workers" else len(step.groups)
                for weight, parts in step.groups:
                    examples = weight / unit
                    product = inner_product(parts, whole, self._dtype) * (self._size / (examples or 1))
                    self._sums[1] += examples * (product - square).square() / (groups - 1)
            if self._half:
                self._sums[3] += self._cosine(whole)
            self.measured += 1
            self._step = StepParts()
        self._steps += 1

    def settle(self, scale: float = 1.0) -> None:
        """Count the step observed last for good; its gradients were ``scale`` times as large."""
        if not self._observed:
            return
        if scale != 1.0:
            powers = [scale**2, scale**4, scale**2, 1.0, scale**2, scale**2]
            factors = torch.tensor(powers, dtype=torch.float64).to(self._sums)
            self._sums.copy_(self._kept_sums + (self._sums - self._kept_sums) / factors)
        self._kept_sums.copy_(self._sums)

    def drop(self) -> None:
        """Take back the step observed last; the next stands in for it."""
        self._steps -= 1
        if self._observed:
            self._sums.copy_(self._kept_sums)
            self.measured -= 1

    def finish(self) -> dict[str, float]:
        """Return the interval's signals and their ``noise_count``, equal on all workers.

        NaN, with a count of 0, is a signal that was needed but could not be had: of one example. Waits for
        the device once.
        """
        if not self.active:
            return {}
        if self.form == "successive":
            return self._of_pairs()
        if self._world > 1 and self.form is not None:
            dist.all_reduce(self._sums[:2])
            if self._divisors is not None:
                dist.all_reduce(self._sums[4:5])
        squares, inner, whole, cosine, divided, divided_whole = (self._sums / self.measured).tolist()
        noise, square = self._moments_of(squares, whole)
        divided_noise, divided_square = self._moments_of(divided, divided_whole)
        found = {
            **{"grad_noise": noise, "grad_sq_norm": square},
            **{"preconditioned_noise": divided_noise, "preconditioned_sq_norm": divided_square},
            **{"noise_count": self.measured, "batch_grad_sq_norm": whole},
            **{"half_cosine": cosine, "inner_product_variance": inner},
        }
        return {name: value for name, value in found.items() if name in self._found}

    def _of_pairs(self) -> dict[str, float]:
        """Return the signals of an interval's pairs of steps."""
        self.measured = self._pairs.measured
        found = self._pairs.finish(self._size)
        return {name: value for name, value in found.items() if name in self._found}

    def _moments_of(self, squares: float, whole: float) -> tuple[float, float]:
        """Return ``tr(Sigma)`` and ``|G|^2`` by ``sum_k n_k |g_k|^2`` and ``|g|^2``."""
        # Rounding may push a sum of squares below; NaN stays NaN.
        noise = max((squares - self._size * whole) / max(self._groups - 1, 1), 0.0)
        return noise, whole - noise / self._size

    def _both_divided(
        self, one: Sequence[Tensor], other: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return two gradients in parts over the preconditioner as it is now."""
        assert self._divisors is not None
        by = self._layout.joined(self._divisors(self._parameters))
        first, second = ([part / each for part, each in zip(g, by, strict=True)] for g in (one, other))
        return first, second

    def _divided(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Return a gradient in parts over the preconditioner, which is the same throughout a step."""
        assert self._divisors is not None
        if not self._step.divisors:
            self._step.divisors = self._layout.joined(self._divisors(self._parameters))
        return [part / by for part, by in zip(parts, self._step.divisors, strict=True)]

    def _form(self, batch_size: int, passes: int, steps: int) -> tuple[Form | None, int]:
        """Return where the groups come from in an interval of so many steps, and how many there are."""
        if not self._grouped:
            return None, 0
        if self._examples is not None:
            return "per_example", batch_size
        if self.hooked:
            return "workers", min(self._world, batch_size)  # a worker may be left without an example
        if passes > 1:
            return "passes", passes
        if self._successive and steps > 1:
            return "successive", 2
        return "halves", 2 if self._halves and batch_size >= 2 * self._least else 1

    def _add_square(
        self, parts: Sequence[Tensor], examples: float, scale: float = 1.0, *, to: int = 0
    ) -> None:
        """Add ``n_k |g_k|^2`` for a group's part ``(n_k / N) g_k`` of the step's gradient."""
        weight = scale * self._size**2 / (examples or 1)
        self._sums[to] += square_norm(parts, self._dtype) * weight

    def _cosine(self, whole: Sequence[Tensor]) -> Tensor:
        """Return the cosine between the first half's part of the step's gradient and the rest of it."""
        first = self._step.half or [torch.zeros_like(part) for part in whole]
        if self._world > 1:
            for part in first:
                dist.all_reduce(part)
        return cosine(first, whole, self._dtype)
