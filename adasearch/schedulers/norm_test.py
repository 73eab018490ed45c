"""Norm and inner-product tests: grow until the batch gradient is sure enough (Lau et al., arXiv 2402.11215).

AdAdaGrad (Lau, Liu, Kolar; arXiv 2402.11215) and, in the worker form, DDP-Norm (Lau et al., 2412.21124).
With g the batch gradient and g_i one example's::

    norm           B = ceil( Var_i(g_i) / (eta^2 * |g|^2) )                    Var summed over components
    inner_product  B = ceil( Var_i(<g_i, g>) / (theta^2 * |g|^4) )
    augmented      the larger of inner_product and
                   ceil( Var_i(g_i - <g_i, g>/|g|^2 * g) / (nu^2 * |g|^2) )    orthogonality

and ``B <- max(B, that)``: never smaller. Known from the authors' code: these tests at every step, parser
defaults 0.1; for ResNet-50 on CIFAR with SGD eta 0.25; for the augmented test theta 0.5, nu 1. The learning
rate is not tied to the size.

Derived: ``grad_noise`` is the first variance, unbiased, whether measured per example or from workers (there
``B * sum_k |g_k - g|^2 / (K*(K-1))``; the paper's constant is not verified). What is orthogonal to g has the
rest of it: ``Var_i(orthogonal) = grad_noise - Var_i(<g_i, g>) / |g|^2``. Growth lowers ``|g|^2 = |G|^2 +
tr(Sigma)/B``, so the norm test settles at ``B = tr(Sigma) * (1 - eta^2) / (eta^2 * |G|^2)``.

Where we differ: one test per interval, on interval means (for |g|^4 the square of the mean of |g|^2); inner
products over the whole network, not per tensor; |g| = 0 means hold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold, read, resize, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, needs_of, require_of

__all__ = ["NormTest"]

READS = {
    "norm": ("batch_grad_sq_norm", "grad_noise"),
    "inner_product": ("batch_grad_sq_norm", "inner_product_variance"),
    "augmented": ("batch_grad_sq_norm", "grad_noise", "inner_product_variance"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NormTest:
    """Grow to the size at which the test of the batch gradient passes.

    Args:
        test: "norm", "inner_product" or "augmented".
        eta: bound on the relative error of the gradient (norm), greater than 0.
        theta: bound on the relative error along the gradient (inner product, augmented), greater than 0.
        nu: bound on the relative error across the gradient (augmented), greater than 0.
        coupling: how the learning rate follows the size, see :mod:`adasearch.schedulers.coupling`.
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the coupling's noise is: "raw", "preconditioned" or "auto".

    >>> NormTest(eta=0)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: eta must be greater than 0 but got eta=0
    """

    test: Literal["norm", "inner_product", "augmented"] = "norm"
    eta: float = 0.25
    theta: float = 0.5
    nu: float = 1.0
    coupling: Coupling = "none"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(self.test in READS, f"test must be one of {[*READS]}", test=self.test)
        for name in ("eta", "theta", "nu"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"{name} must be greater than 0", **{name: value})
        require_of(self)

    @property
    def needs(self) -> frozenset[str]:
        """What the test and the coupling read."""
        return needs_of(self) | frozenset(READS[self.test])

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Grow to the size that the test asks for, if it is larger."""
        last = history[-1]
        bad = unusable([last], sorted(self.needs))
        if bad:
            return hold(last, bad)
        needed = self.needed(last)
        if needed is None:
            wish = hold(last, "the batch gradient is 0: no test")
        elif needed <= last.batch_size:
            wish = hold(last, f"{self.test} test passed: needs {needed:.4g} examples")
        else:
            unit = limits.multiple_of
            wanted = needed if needed > limits.largest else math.ceil(needed / unit) * unit
            wish = resize(last, wanted, limits, f"{self.test} test failed: needs {needed:.4g} examples")
        return coupled(self, history, wish)

    def needed(self, row: Signals) -> float | None:
        """Return the size at which the test would pass, or None for a gradient of 0."""
        square, *variances = (read([row], name)[0] for name in READS[self.test])
        if square <= 0:
            return None
        # Divided one by one: the square of a small norm may vanish.
        if self.test == "norm":
            return variances[0] / square / self.eta / self.eta
        along = variances[-1] / square
        inner = along / square / self.theta / self.theta
        if self.test == "inner_product":
            return inner
        return max(inner, (variances[0] - along) / square / self.nu / self.nu)
