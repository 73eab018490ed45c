"""Accordion: small batches in critical regimes, large ones elsewhere (Agarwal et al., arXiv 2010.16248).

After epochs 1, 1 + ``period``, 1 + 2 ``period`` and so on, with ``x`` the gradient norm now and ``p`` the
norm at the last check::

    |p - x| / p >= threshold   critical regime: the small batch
    otherwise                  the large batch

Known from the authors' code and logs: this rule with threshold 0.5 and period 10 (5 for a language model),
the first epoch and ``p = 0`` count as critical, batches of 512 and 4096 (hence growth 8). Their code applies
it per layer to compression; batch switching appears only in their logs.

Ours: the small batch is the initial one, the large one a multiple of it; one norm for the whole network; a
check inside an interval takes place at that interval's end; ``gradient`` (which gradient's norm is meant for
batch switching is not known). Left out: that each decay of the learning rate makes a regime critical, since a
continuous schedule decays it at every step.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, aim, hold, read, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, needs_of, require_of

__all__ = ["Accordion"]

NORM = {"mean_gradient": "mean_grad_norm", "per_step": "grad_norm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accordion:
    """Switch between the initial size and ``growth`` times as much by the change of the gradient norm.

    Args:
        period: epochs between checks, greater than 0.
        threshold: least relative change of the norm that is critical, greater than 0.
        growth: large over small batch, greater than 1.
        gradient: "mean_gradient", the norm of the interval's mean gradient, or "per_step", the mean of the
            steps' norms. The latter falls mechanically as the batch grows, so that a switch may itself look
            critical and be undone at the next check.
        coupling: how the learning rate follows the size, see :mod:`adasearch.schedulers.coupling`.
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the coupling's noise is: "raw", "preconditioned" or "auto".

    >>> Accordion(growth=1)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: growth must be greater than 1 but got growth=1
    """

    period: float = 10.0
    threshold: float = 0.5
    growth: float = 8.0
    gradient: Literal["mean_gradient", "per_step"] = "mean_gradient"
    coupling: Coupling = "none"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(0 < self.period < math.inf, "period must be greater than 0", period=self.period)
        require(0 < self.threshold < math.inf, "threshold must be greater than 0", threshold=self.threshold)
        require(1 < self.growth < math.inf, "growth must be greater than 1", growth=self.growth)
        require(self.gradient in NORM, f"gradient must be one of {[*NORM]}", gradient=self.gradient)
        require_of(self)

    @property
    def needs(self) -> frozenset[str]:
        """The gradient norm of the kind that ``gradient`` names, and what the coupling reads."""
        return needs_of(self) | {NORM[self.gradient]}

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Compare the norm with the last check's, once each time a period ends."""
        last, name = history[-1], NORM[self.gradient]
        bad = unusable([last], sorted(self.needs))
        if bad:
            return hold(last, bad)
        done = self._checks(history)
        if not done or done[-1] != len(history) - 1:
            wait = f"next check at epoch {1 + len(done) * self.period:g}"
            return coupled(self, history, hold(last, wait))
        if len(done) == 1:
            first = aim(last, last.initial_batch_size, limits, "first check: critical")
            return coupled(self, history, first)
        previous = history[done[-2]]
        bad = unusable([previous], [name])
        if bad:
            return hold(last, f"{bad} at the last check")
        p, x = read([previous, last], name)
        change = abs(p - x) / p if p > 0 else math.inf
        critical = change >= self.threshold
        wanted = last.initial_batch_size * (1 if critical else self.growth)
        side = ">=" if critical else "<"
        reason = (
            f"norm changed by {change:.3g} {side} {self.threshold:.3g} since interval {previous.interval}"
        )
        return coupled(self, history, aim(last, wanted, limits, reason))

    def _checks(self, history: Sequence[Signals]) -> list[int]:
        """Return the intervals at whose ends a check was due."""
        # The margin forgives rounding where a fractional period divides the epoch exactly (0.3 / 0.1).
        due = [0, *(max(0, math.floor((row.epoch - 1) / self.period + 1e-9) + 1) for row in history)]
        return [number for number, (before, now) in enumerate(pairwise(due)) if now > before]
