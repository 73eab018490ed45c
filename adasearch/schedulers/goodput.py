"""Goodput: what a batch teaches per second (Pollux, Qiao et al., OSDI 2021).

::

    goodput(B)    = throughput(B) * efficiency(B)
    throughput(B) = B / t(B),   t(B) = a + b * B                 examples per second
    efficiency(B) = (v + m) / (v + m * S),   S = B/B0            AdaScale's gain over S

with ``v = tr(Sigma)/B0`` and ``m = |G|^2``, smoothed, B0 the initial size. Known from the authors' code
(AdaptDL): the efficiency, 50 log-spaced sizes from B0 to the largest, a switch only where goodput rises by
more than 5 %, sizes never below B0, and the AdaScale gain on the learning rate; with Adam and AdamW v and m
are of preconditioned gradients, and the rate takes the gain's root (see
:mod:`adasearch.schedulers.coupling`). The field ``noise`` is "auto" for that.

Where we differ: a and b are given (from a speed profile of the network, or by hand; only a/b matters for the
choice), where Pollux refits a model with separate network time as it runs; averages run over intervals;
|G|^2 not greater than 0 means hold; candidates are rounded to the nearest multiple, theirs up. Both parts
are unbiased for any batch, so growth does not change the method's own signal. As m falls against v the best
size grows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, aim, hold, nearest, smooth, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, moments_of, require_of

__all__ = ["Goodput"]

CANDIDATES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """Choose the size of the greatest goodput, if it is clearly better than the one in force.

    Args:
        seconds_per_step: a, the part of a step's time that does not depend on the size, at least 0.
        seconds_per_example: b, what each further example adds, greater than 0. ``adasearch profile`` prints
            a and b of a network on a device, as these two fields.
        hysteresis: least relative gain in goodput that is worth a change, at least 0.
        decay: of the averages of tr(Sigma) and |G|^2, for the size as for the learning rate, in [0, 1); 0 is
            the last interval alone.
        coupling: how the learning rate follows the size; the authors' is "adascale", by the optimiser.
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients v and m are: "raw", "preconditioned", or "auto" by the optimiser.

    >>> round(Goodput(seconds_per_step=1, seconds_per_example=0.01).goodput(100, v=1, m=1, initial=50), 3)
    33.333
    """

    seconds_per_step: float = 0.01
    seconds_per_example: float = 1e-4
    hysteresis: float = 0.05
    decay: float = 0.8
    coupling: Coupling = "adascale"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        a, b = self.seconds_per_step, self.seconds_per_example
        require(0 <= a < math.inf, "seconds_per_step must be at least 0", seconds_per_step=a)
        require(0 < b < math.inf, "seconds_per_example must be greater than 0", seconds_per_example=b)
        require(0 <= self.hysteresis < math.inf, "hysteresis must be at least 0", hysteresis=self.hysteresis)
        require(0 <= self.decay < 1, "decay must lie in [0, 1)", decay=self.decay)
        require_of(self)

    @property
    def needs(self) -> frozenset[str]:
        """The two moments of the gradients, and what the coupling reads of them."""
        return frozenset(moments_of(self.noise))

    def goodput(self, batch_size: int, *, v: float, m: float, initial: int) -> float:
        """Return throughput times efficiency, in examples of the initial size's worth per second."""
        throughput = batch_size / (self.seconds_per_step + self.seconds_per_example * batch_size)
        share = m / (v + m)  # m * S alone could vanish and leave 0/0
        return throughput / (1 - share + share * batch_size / initial)

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Compare the best of the candidates with the size in force."""
        last, initial = history[-1], history[-1].initial_batch_size
        bad = unusable([last], sorted(self.needs))
        if bad:
            return hold(last, bad)
        variance, square = moments_of(self.noise)
        v = max(smooth(history, variance, self.decay), 0.0) / initial
        m = smooth(history, square, self.decay)
        if m <= 0:
            wait = hold(last, f"no efficiency: smoothed |G|^2 is {m:.3g}")
            return coupled(self, history, wait, decay=self.decay)
        low = min(max(initial, limits.smallest), limits.largest)
        span, shares = limits.largest / low, [k / (CANDIDATES - 1) for k in range(CANDIDATES)]
        sizes = sorted({nearest(low * span**share, limits) for share in shares})
        worth = {size: self.goodput(size, v=v, m=m, initial=initial) for size in (*sizes, last.batch_size)}
        best = max(sizes, key=worth.__getitem__)
        ratio = worth[best] / worth[last.batch_size]
        reason = f"{best} has {ratio:.3f} times the goodput at noise scale {v * initial / m:.4g}"
        if ratio <= 1 + self.hysteresis:
            return coupled(self, history, hold(last, reason), decay=self.decay)
        return coupled(self, history, aim(last, best, limits, reason), decay=self.decay)
