"""Grow when a loss stops falling: ReduceLROnPlateau turned on the batch size.

No paper's rule: the logic is that of torch's ReduceLROnPlateau, as the library bs-scheduler applies it to
batch sizes (factor 2, patience 10, relative threshold 1e-4, cooldown 0). A loss L is better if ::

    L < best - threshold * |best|

Intervals that are not better are counted. When more than ``patience`` of them have passed in a row,
``B <- factor * B``, and the count starts again after ``cooldown`` further intervals.

Where we differ: all is recomputed from the last 100 rows instead of kept as state, so ``best`` forgets what
lies further back; at the largest size nothing changes, so the wish is repeated (and the reason says so)
until the loss falls; any change of size starts the count again; ``|best|`` makes the rule right for a
negative loss, too; intervals without a value are skipped. The default patience suits shorter runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from adasearch.errors import require
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, TAIL, hold, resize, unusable
from adasearch.schedulers.coupling import Coupling, Noise, coupled, needs_of, require_of

__all__ = ["Plateau"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau:
    """Multiply the batch by ``factor`` when the loss has not fallen for more than ``patience`` intervals.

    Args:
        monitor: "val_loss" (every interval is then evaluated) or "train_loss".
        patience: intervals without improvement that are borne, at least 0; as 100 rows are looked at, 99 or
            more are never used up.
        threshold: least relative improvement that counts, in [0, 1).
        cooldown: intervals at a new size before counting starts again, at least 0.
        factor: of the batch size, greater than 0 and not 1; above 1 it grows, as a plateau suggests.
        coupling: how the learning rate follows the size, see :mod:`adasearch.schedulers.coupling`.
        coupling_exponent: of "power", in [0, 1].
        noise: of which gradients the coupling's noise is: "raw", "preconditioned" or "auto".

    >>> Plateau(patience=-1)
    Traceback (most recent call last):
    ...
    adasearch.errors.InputError: patience must be at least 0 but got patience=-1
    """

    monitor: Literal["val_loss", "train_loss"] = "val_loss"
    patience: int = 5
    threshold: float = 1e-4
    cooldown: int = 0
    factor: float = 2.0
    coupling: Coupling = "none"
    coupling_exponent: float = 0.5
    noise: Noise = "auto"

    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def __post_init__(self) -> None:
        """Refuse values outside the rule's domain."""
        known = self.monitor in ("val_loss", "train_loss")
        require(known, "monitor must be 'val_loss' or 'train_loss'", monitor=self.monitor)
        require(self.patience >= 0, "patience must be at least 0", patience=self.patience)
        require(0 <= self.threshold < 1, "threshold must lie in [0, 1)", threshold=self.threshold)
        require(self.cooldown >= 0, "cooldown must be at least 0", cooldown=self.cooldown)
        legal = 0 < self.factor < math.inf and self.factor != 1
        require(legal, "factor must be greater than 0 and not 1", factor=self.factor)
        require_of(self)

    @property
    def needs(self) -> frozenset[str]:
        """The validation loss, if it is the one that is watched, and what the coupling reads."""
        return needs_of(self) | ({self.monitor} - {"train_loss"})

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Count the intervals without improvement and grow when there are too many."""
        last = history[-1]
        bad = unusable([last], sorted(needs_of(self)))
        loss = self._loss(last)
        if loss is not None and not math.isfinite(loss):
            bad = f"{self.monitor} is {loss}"
        if bad:
            return hold(last, bad)
        if loss is None:
            return coupled(self, history, hold(last, f"{self.monitor} was not measured"))
        count = self.intervals_without_improvement(history)
        factor = self.factor if count > self.patience else 1.0
        reason = f"{self.monitor} no better for {count} intervals, patience {self.patience}"
        return coupled(self, history, resize(last, last.batch_size * factor, limits, reason))

    def intervals_without_improvement(self, history: Sequence[Signals]) -> int:
        """Return how many values in a row, the last included, did not improve on the best."""
        best, count, waits, size = math.inf, 0, 0, history[-TAIL:][0].batch_size
        for row in history[-TAIL:]:
            if row.batch_size != size:
                size, count, waits = row.batch_size, 0, self.cooldown
            loss = self._loss(row)
            if loss is None or not math.isfinite(loss):
                continue
            if best == math.inf or loss < best - self.threshold * abs(best):
                best, count = loss, 0
            else:
                count += 1
            if waits > 0:
                waits, count = waits - 1, 0
        return count

    def _loss(self, row: Signals) -> float | None:
        return row.val_loss if self.monitor == "val_loss" else row.train_loss
