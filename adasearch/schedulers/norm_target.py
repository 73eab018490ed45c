"""A gradient norm that follows a power law of the step (hlb-gpt 0.4, tysam-code, 2024).

With N the number of trained parameters, |g| a step's gradient norm and t the step::

    x      = |g| / sqrt(N)                                  norm per root of a parameter
    target = (ln(N) N (t + 0.01))^p,   p = -0.677 ln(N)^-0.2
    B     <- B * (1 + gain * (x / target - 1))

Known from the code: this rule every 5 steps with gain 0.5, on the number of accumulated micro-batches, which
is no whole number and is realised by chance (a fraction is the probability of one more); at least 0.1 of one,
no greatest. Its constants were fitted to language models in bfloat16 under its own optimiser settings, so
``scale`` moves the target. The learning rate keeps its own schedule.

Ours: one correction per interval, of the mean norm of its steps; the exact size is followed from interval
to interval between the limits, and the nearest whole one is taken. N is read off the signals: the
components' variance s is |g|^2/N less the square of their mean, which is next to nothing, so N is taken as
|g|^2 / s and x as sqrt(s).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, aim, hold, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, needs_of, require_of

__all__ = ["NormTarget"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NormTarget:
    """Grow while the gradient norm lies above its power law, shrink while it lies below.

    Args:
        gain: share of the relative difference that is corrected at once, in (0, 1].
        scale: factor on the target, greater than 0; 1 is the code's.
        coupling: how the learning rate follows the size, see :mod:`adasearch.schedulers.coupling`.
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the coupling's noise is: "raw", "preconditioned" or "auto".

    >>> NormTarget(gain=0)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: gain must lie in (0, 1] but got gain=0
    """

    gain: float = 0.5
    scale: float = 1.0
    coupling: Coupling = "none"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(0 < self.gain <= 1, "gain must lie in (0, 1]", gain=self.gain)
        require(0 < self.scale < math.inf, "scale must be greater than 0", scale=self.scale)
        require_of(self)

    @property
    def needs(self) -> frozenset[str]:
        """Norm and component variance of the steps' gradients, and what the coupling reads."""
        return needs_of(self) | {"grad_norm", "grad_component_variance"}

    def ratio(self, row: Signals) -> float:
        """Return the norm of an interval over its target; 1 where there is no norm to speak of."""
        norm, variance = row.grad_norm or 0.0, row.grad_component_variance or 0.0
        if not (0 < norm < math.inf and 0 < variance < math.inf):
            return 1.0
        log = max(2 * math.log(norm) - math.log(variance), 1.0)  # of the number of parameters
        target = -0.677 * log**-0.2 * (math.log(log) + log + math.log(row.step + 0.01))  # its logarithm
        exponent = math.log(variance) / 2 - target - math.log(self.scale)
        return math.exp(min(exponent, 700.0))

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Follow the exact size over all intervals, and take the nearest whole one."""
        last = history[-1]
        bad = unusable([last], sorted(self.needs))
        if bad:
            return hold(last, bad)
        size = float(last.initial_batch_size)
        for row in history:
            wanted = size * (1 + self.gain * (self.ratio(row) - 1))
            size = min(max(wanted, limits.smallest), limits.largest)
        reason = f"norm {self.ratio(last):.3g} of its target after step {last.step}: {wanted:.4g}"
        return coupled(self, history, aim(last, size, limits, reason))
