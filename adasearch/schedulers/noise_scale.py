"""The gradient noise scale (McCandlish, Kaplan, Amodei et al., arXiv 1812.06162).

::

    B_noise = tr(Sigma) / |G|^2,   B = sqrt(r * B_noise)

Sigma is the covariance of one example's gradient, G the expected gradient, and r the price of time: how many
further examples one is ready to process to save one optimiser step. Known: the "simple" noise scale, that
its two parts are averaged separately since their ratio is biased, and, from background knowledge, the
square-root rule. The noise scale grows as the loss falls, so the size grows by itself. It is unbiased for
any batch, so growth does not change the method's own signal.

Where we differ: averages run over intervals instead of steps; an average of |G|^2 that is not greater than 0
(noise hides the gradient) means hold, not an infinite batch. Measured against branched runs, the noise scale
is known to underestimate the critical batch of language models under Adam by far. ``noise`` "preconditioned"
takes it of the gradients that Adam divides, as AdaptDL's code does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, aim, hold, smooth, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, moments_of, require_of

__all__ = ["NoiseScale"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseScale:
    """Choose the geometric mean of the noise scale and the price of time.

    Args:
        time_price: r, in examples per step saved, greater than 0. At ``r = B_noise`` the size is B_noise.
        decay: of the averages of tr(Sigma) and |G|^2, in [0, 1); 0 is the last interval alone.
        coupling: how the learning rate follows the size, see :mod:`adasearch.schedulers.coupling`.
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the noise scale is: "raw", as in the paper, "preconditioned", or "auto" by
            the optimiser.

    >>> NoiseScale(time_price=0)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: time_price must be greater than 0 but got time_price=0
    """

    time_price: float = 256.0
    decay: float = 0.8
    coupling: Coupling = "none"
    coupling_exponent: float = 0.5
    noise: Noise = "raw"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(
            0 < self.time_price < math.inf, "time_price must be greater than 0", time_price=self.time_price
        )
        require(0 <= self.decay < 1, "decay must lie in [0, 1)", decay=self.decay)
        require_of(self)

    @property
    def needs(self) -> frozenset[str]:
        """The two moments of the gradients, and what the coupling reads of them."""
        return frozenset(moments_of(self.noise))

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Take the size that the smoothed noise scale gives."""
        last = history[-1]
        bad = unusable([last], sorted(self.needs))
        if bad:
            return hold(last, bad)
        variance, norm = moments_of(self.noise)
        noise = max(smooth(history, variance, self.decay), 0.0)
        square = smooth(history, norm, self.decay)
        if square <= 0:
            wish = hold(last, f"no noise scale: smoothed |G|^2 is {square:.3g}")
        else:
            scale = noise / square
            reason = f"noise scale {noise:.3g} / {square:.3g} = {scale:.4g}"
            wish = aim(last, math.sqrt(self.time_price * scale), limits, reason)
        return coupled(self, history, wish)
