"""CABS: couple the batch to the learning rate (Balles, Romero, Hennig; arXiv 1612.05086).

::

    B = c * lr * xi / L

with xi the trace of the covariance of one example's gradient and L the loss, both smoothed. Known from the
authors' code: this rule at every step, c = 1, averages with decay 0.95 that start at xi = 0 and L = 1
uncorrected, sizes clipped to 16 to 2048 (our Limits). It assumes a loss whose least value is near 0. The
learning rate is an input and stays as it is: this method is the coupling, so it takes no other.

Where we differ: a decision per interval, not per step, so a shorter memory; averages are corrected for their
start; xi is unbiased (theirs divides by m where this divides by m - 1); the size is rounded to the nearest
that the limits allow; a smoothed loss that is not greater than 0 means hold. ``lr`` is the last step's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, aim, hold, smooth, unusable

__all__ = ["Cabs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cabs:
    """Choose the size in proportion to learning rate and gradient noise over loss.

    Args:
        scale: c, greater than 0.
        decay: of the averages of xi and L, in [0, 1); 0 is the last interval alone.

    >>> Cabs(decay=1)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: decay must lie in [0, 1) but got decay=1
    """

    scale: float = 1.0
    decay: float = 0.5

    needs: ClassVar[frozenset[str]] = frozenset({"grad_noise"})
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        require(0 < self.scale < math.inf, "scale must be greater than 0", scale=self.scale)
        require(0 <= self.decay < 1, "decay must lie in [0, 1)", decay=self.decay)

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Take the size that the formula gives."""
        last = history[-1]
        bad = unusable([last], ("grad_noise", "train_loss"))
        if bad:
            return hold(last, bad)
        xi = max(smooth(history, "grad_noise", self.decay), 0.0)
        loss = smooth(history, "train_loss", self.decay)
        if loss <= 0:
            return hold(last, f"the rule needs a loss greater than 0, smoothed it is {loss:.3g}")
        wanted = self.scale * last.lr * xi / loss
        reason = f"{self.scale:g} * lr {last.lr:.3g} * noise {xi:.3g} / loss {loss:.3g} = {wanted:.4g}"
        return aim(last, wanted, limits, reason)
