"""SimiGrad: keep the similarity of half-gradients at a target (Qin et al., NeurIPS 2021).

With c the cosine between the mean gradients of the two halves of a batch::

    c < target:  B <- max(B + 1, int(1.1 * B))        too noisy
    c > target:  B <- min(B - 1, int(0.9 * B))        larger than needed

and the learning rate is multiplied by ``sqrt(B/B0)``. Known from the authors' code: this at every optimiser
step, halves of the workers, optional smoothing, targets of 0 to 0.2 (0.2 in the CIFAR-10 script).

Derived, for many dimensions: halves of B/2 examples have ``E[c] = 1 / (1 + B_noise / (B/2))``, so growth
raises the method's own signal and the size settles about ``B = 2 * B_noise * target / (1 - target)``.

Where we differ: one decision per interval, on the mean cosine of its measured steps, so the size moves far
more slowly and the factors are worth searching; halves of the global batch, and with BatchNorm in one process
the cosine that follows from the noise between successive batches; their optional softening of the learning
rate's factor is left out, and ``coupling`` may replace the square root.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold, resize, smooth, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, needs_of, require_of

__all__ = ["SimiGrad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimiGrad:
    """Grow while the halves of a batch disagree, shrink while they agree more than needed.

    Args:
        target: cosine to keep, in [0, 1).
        growth: factor of an increase, greater than 1.
        shrink: factor of a decrease, in (0, 1).
        decay: of the average of the cosine over intervals, in [0, 1); 0 is the last interval alone.
        coupling: how the learning rate follows the size; the paper's is "sqrt".
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the coupling's noise is: "raw", "preconditioned" or "auto".

    >>> SimiGrad(target=1)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: target must lie in [0, 1) but got target=1
    """

    target: float = 0.2
    growth: float = 1.1
    shrink: float = 0.9
    decay: float = 0.0
    coupling: Coupling = "sqrt"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(0 <= self.target < 1, "target must lie in [0, 1)", target=self.target)
        require(1 < self.growth < math.inf, "growth must be greater than 1", growth=self.growth)
        require(0 < self.shrink < 1, "shrink must lie in (0, 1)", shrink=self.shrink)
        require(0 <= self.decay < 1, "decay must lie in [0, 1)", decay=self.decay)
        require_of(self)

    @property
    def needs(self) -> frozenset[str]:
        """The cosine of the halves, and what the coupling reads."""
        return needs_of(self) | {"half_cosine"}

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Compare the smoothed cosine with the target."""
        last = history[-1]
        bad = unusable([last], sorted(self.needs))
        if bad:
            return hold(last, bad)
        cosine = smooth(history, "half_cosine", self.decay)
        factor = self.growth if cosine < self.target else self.shrink if cosine > self.target else 1.0
        side = "<" if cosine < self.target else ">" if cosine > self.target else "="
        reason = f"cosine {cosine:.3g} {side} {self.target:.3g}"
        return coupled(self, history, resize(last, last.batch_size * factor, limits, reason))
