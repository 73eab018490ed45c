"""The contract of a batch-size scheduler, and the helpers that every method shares.

A scheduler is a frozen dataclass whose fields are its hyperparameters. ``decide`` is a pure function of
the history: no clock, no randomness, no hidden state. That is what makes a decision testable by hand,
replayable on a stored run, and resumable from the history alone.
"""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Protocol

from adasearch.errors import require
from adasearch.records import Action, Decision, Limits, Signals

__all__ = [
    "LR_SCHEDULES",
    "TAIL",
    "BatchSizeScheduler",
    "Wrapping",
    "aim",
    "change",
    "cooling",
    "hold",
    "intervals_at_size",
    "milestones_of",
    "milestones_reached",
    "nearest",
    "periods",
    "reachable",
    "read",
    "require",
    "resize",
    "smooth",
    "unusable",
    "variation",
    "waiting",
]

LR_SCHEDULES = frozenset({"constant", "cosine", "linear", "one_cycle", "staircase", "step", "wsd"})
"""Names of the learning-rate schedules; a scheduler that owns its milestones allows only "constant"."""

TAIL = 100
"""Rows that an average over intervals, or a search for the best one, looks back at most."""


class BatchSizeScheduler(Protocol):
    """A rule that chooses the batch size from the finished intervals.

    ``needs`` names the fields of :class:`~adasearch.records.Signals` to be measured for it; what nobody
    needs is not paid for. Both properties may be plain class variables.
    """

    @property
    def needs(self) -> frozenset[str]:
        """Signals to pay for."""
        ...

    @property
    def lr_schedules(self) -> frozenset[str]:
        """Learning-rate schedules that this rule may be combined with."""
        ...

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Return the size for the next interval.

        ``history`` holds every finished interval, oldest first, at least one.
        """
        ...


class Wrapping:
    """What a wrapper measures and allows: what the scheduler inside does."""

    __slots__ = ()
    scheduler: BatchSizeScheduler

    @property
    def needs(self) -> frozenset[str]:
        """What the scheduler inside needs."""
        return self.scheduler.needs

    @property
    def lr_schedules(self) -> frozenset[str]:
        """What the scheduler inside allows."""
        return self.scheduler.lr_schedules


def reachable(current: int, wanted: float, limits: Limits) -> int:
    """Return the size nearest to ``wanted`` that the limits allow, rounded down to a multiple.

    A wish to grow moves up by at least one multiple and a wish to shrink down by at least one, if the
    limits allow it.

    >>> reachable(32, 48.0, Limits(smallest=16, largest=64))
    48
    >>> reachable(16, 16.5, Limits(smallest=16, largest=64))
    17
    >>> reachable(64, 96.0, Limits(smallest=16, largest=64))
    64
    """
    if wanted == current:
        return current
    unit = limits.multiple_of
    capped = min(max(wanted, limits.smallest), limits.largest)
    size = math.floor(capped / unit + 1e-9) * unit  # the margin forgives rounding: 100 * 1.15 is 115
    size = max(size, current + unit) if wanted > current else min(size, current - unit)
    return min(max(size, limits.smallest), limits.largest)


def change(last: Signals, batch_size: int, reason: str, *, lr_scale: float | None = None) -> Decision:
    """Return the decision to go on with ``batch_size``; the action follows from the old and new size.

    ``lr_scale`` None keeps the factor in force.
    """
    action: Action = "hold"
    if batch_size != last.batch_size:
        action = "grow" if batch_size > last.batch_size else "shrink"
    scale = last.lr_scale if lr_scale is None else lr_scale
    return Decision(batch_size=batch_size, lr_scale=scale, action=action, reason=reason)


def hold(last: Signals, reason: str, *, lr_scale: float | None = None) -> Decision:
    """Return the decision to keep the size; ``lr_scale`` None keeps the factor too."""
    return change(last, last.batch_size, reason, lr_scale=lr_scale)


def resize(last: Signals, wanted: float, limits: Limits, reason: str) -> Decision:
    """Return the decision to go as near to ``wanted`` as the limits allow, at the same learning-rate factor.

    Where they stand in the way the reason says what was wanted, and what was taken.
    """
    size = reachable(last.batch_size, wanted, limits)
    if not limits.smallest <= wanted <= limits.largest or size == last.batch_size != wanted:
        reason = _beyond(wanted, size, reason)
    return change(last, size, reason)


def _beyond(wanted: float, size: int, reason: str) -> str:
    """Return a reason with the wish that the limits forbid; one that is the size but for rounding is none."""
    if f"{wanted:g}" == str(size):
        return reason
    return f"wanted {wanted:g}, but {size} is the {'largest' if wanted > size else 'smallest'} size; {reason}"


def nearest(wanted: float, limits: Limits) -> int:
    """Return the size nearest to ``wanted`` that the limits allow; halfway is rounded up.

    >>> nearest(35.0, Limits(smallest=24, largest=96, multiple_of=24))
    24
    """
    inside = min(max(wanted, limits.smallest), limits.largest)
    return math.floor(inside / limits.multiple_of + 0.5) * limits.multiple_of


def aim(last: Signals, wanted: float, limits: Limits, reason: str) -> Decision:
    """Return the decision to take the legal size nearest to ``wanted``, at the same learning-rate factor.

    For rules that compute a size. Unlike with :func:`resize`, a wish within half a multiple of the size in
    force moves nothing, or a rule whose size is no multiple would swing about it for ever.

    >>> last = Signals(interval=0, epoch=1.0, step=10, examples_seen=480, initial_batch_size=48,
    ...                batch_size=48, lr=0.1, lr_scale=1.0, train_loss=2.0)
    >>> aim(last, 50.0, Limits(smallest=24, largest=96, multiple_of=24), "why").batch_size
    48
    """
    size = nearest(wanted, limits)
    if not limits.smallest <= wanted <= limits.largest:
        reason = _beyond(wanted, size, reason)
    return change(last, size, reason)


def intervals_at_size(history: Sequence[Signals]) -> int | None:
    """Return how many intervals ran since the last change of size, or None if it never changed."""
    size = history[-1].batch_size
    for back, row in enumerate(reversed(history)):
        if row.batch_size != size:
            return back
    return None


def read(history: Sequence[Signals], name: str) -> list[float]:
    """Return the signal ``name`` of every row.

    Raises:
        ValueError: a row lacks it, which means that it was not measured.
    """
    values = [getattr(row, name) for row in history]
    for row, value in zip(history, values, strict=True):
        if value is None:
            raise ValueError(f"signal {name!r} is needed but interval {row.interval} has none")
    return values


def smooth(history: Sequence[Signals], name: str, decay: float) -> float:
    """Return the exponential average ``sum(w_k x_k) / sum(w_k)`` of a signal; ``decay`` in [0, 1].

    ``w_k = decay^age * max(noise_count, 1)``: an interval counts for as many steps as were measured in it.
    Dividing by the sum of the weights corrects the bias of the start; decay 0 gives the last value, 1 the
    mean. The sum runs over the last ``TAIL`` rows, less those whose value is not finite; the newest must be.

    Raises:
        ValueError: a row lacks the signal, which means that it was not measured.
    """
    tail = history[-TAIL:]
    weights, values, weight = [], [], 1.0
    for row, value in zip(reversed(tail), reversed(read(tail, name)), strict=True):
        if math.isfinite(value):
            weights.append(weight * max(row.noise_count, 1))
            values.append(value)
        weight *= decay
    total = sum(weights)
    return sum(weight / total * value for weight, value in zip(weights, values, strict=True))


def periods(history: Sequence[Signals], length: float) -> tuple[int, int]:
    """Return how many whole periods of ``length`` epochs were over before the last interval, and are now."""
    # The margin forgives rounding where a fractional period divides the epoch exactly (0.3 / 0.1).
    before, now = (math.floor(epoch / length + 1e-9) for epoch in _last_epochs(history))
    return before, now


@cache
def milestones_of(text: str) -> tuple[float, ...]:
    """Return the epochs that a list such as "60, 120, 160" names.

    Milestones are text, since stores, search spaces and command lines carry single values.

    Raises:
        InputError: not a rising list of numbers greater than 0.
    """
    try:
        epochs = tuple(float(word) for word in text.replace(",", " ").split())
    except (AttributeError, ValueError):
        epochs = ()
    rising = all(before < after for before, after in zip((0.0, *epochs), (*epochs, math.inf), strict=True))
    rule = "milestones must be rising epochs greater than 0, such as '60, 120, 160',"
    require(bool(epochs) and rising, rule, milestones=text)
    return epochs


def milestones_reached(history: Sequence[Signals], epochs: Iterable[float]) -> int:
    """Return how many of the epochs were reached in the last interval."""
    before, now = _last_epochs(history)
    return sum(before + 1e-9 < epoch <= now + 1e-9 for epoch in epochs)


def _last_epochs(history: Sequence[Signals]) -> tuple[float, float]:
    """Return the epochs at which the last interval began and ended."""
    return (history[-2].epoch if len(history) > 1 else 0.0, history[-1].epoch)


def unusable(history: Sequence[Signals], names: Iterable[str]) -> str | None:
    """Return a reason to hold, if one of the signals is NaN or infinite in some row.

    Raises:
        ValueError: a row lacks a signal, which means that it was not measured.
    """
    for name in names:
        for value in read(history, name):
            if not math.isfinite(value):
                return f"{name} is {value}"
    return None


def variation(history: Sequence[Signals], name: str, eps: float) -> float:
    """Return ``|x_t - x_{t-1}| / (|x_{t-1}| + eps)`` for the signal x; ``history`` must hold at least two."""
    before, now = read(history[-2:], name)
    return abs(now - before) / (abs(before) + eps)


def cooling(history: Sequence[Signals], cooldown: int) -> str | None:
    """Return a reason to hold before ``cooldown`` intervals at a changed size, None after them."""
    age = intervals_at_size(history[-(cooldown + 1) :])  # a change that lies further back holds nothing
    if age is None or age >= cooldown:
        return None
    return f"cooldown: {age} of {cooldown} intervals at this size"


def waiting(history: Sequence[Signals], at_least: int, cooldown: int) -> str | None:
    """Return a reason to hold before ``at_least`` intervals, or before ``cooldown`` at a changed size."""
    if len(history) < at_least:
        return f"{len(history)} of at least {at_least} intervals seen"
    return cooling(history, cooldown)
