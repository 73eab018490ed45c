"""Modelled time: what a run would have taken alone on a device whose speed profile is stored.

Per interval, of n steps at batch size B (the model is ours)::

    modelled_seconds = n * t(B) + sum over the signals that were measured of m * u(B)

t(B) being the profiled seconds per step and u(B) the profiled seconds of measuring a signal set once, both
interpolated linearly between the profiled sizes; m is how often it was measured in the interval. n, B, and
which signals were measured how often all follow from the stored interval rows, so that a run can be judged
by any profile later. Deciding and resizing, some microseconds, are left out. n counts steps whose update was
skipped, too, which take as long: it follows from the examples.

Opens without torch and without ray.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from adasearch.records import IntervalRecord, Signals, TrialRecord
from adasearch.signals.sampled_steps import stride_of

__all__ = [
    "SpeedCurve",
    "modelled",
    "modelled_run",
    "modelled_trial",
    "rising_at",
    "saturation_size",
    "signals_paid",
]

DIVIDED = 5
"""How many times the norms of a step preconditioned gradients of successive steps cost: each is divided, and
read once more. Ours, from a timing by hand: 4.5 and 6.4 (ResNet-18, MobileNetV3, nano, AdamW, batch 32)."""

SATURATED = 0.9
"""Share of the greatest throughput from which on a device counts as saturated. Ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedCurve:
    """Step and measuring times of one network on one device against the batch size.

    Args:
        sizes: profiled batch sizes, rising, at least one.
        step_seconds: of one step that measures nothing, per size.
        measure_seconds: by signal set, of measuring it once, per size.
    """

    sizes: tuple[int, ...]
    step_seconds: tuple[float, ...]
    measure_seconds: Mapping[str, tuple[float, ...]]

    def step(self, batch_size: int) -> float:
        """Return the seconds of a step at any batch size, see :func:`interpolated`."""
        return interpolated(batch_size, self.sizes, self.step_seconds)

    def line(self) -> tuple[float, float]:
        """Return a and b of ``a + b * size``, the nearest line to the step's seconds: what goodput asks for.

        Least squares on relative errors, so that small sizes count as much as large ones; neither a nor b is
        negative. With one profiled size a is 0.

        >>> curve = SpeedCurve(sizes=(10, 20, 40), step_seconds=(3.0, 5.0, 9.0), measure_seconds={})
        >>> [round(value, 6) for value in curve.line()]
        [1.0, 0.2]
        """
        from scipy.optimize import nnls  # half a second that reading commands need not wait for

        seconds = np.array(self.step_seconds)
        sizes = np.array(self.sizes, dtype=float)
        if len(sizes) == 1:
            return 0.0, float(seconds[0] / sizes[0])
        columns = np.stack([np.ones_like(sizes), sizes], axis=1) / seconds[:, None]
        a, b = nnls(columns, np.ones_like(seconds))[0]
        return float(a), float(b)

    def measure(self, signal_set: str, batch_size: int) -> float:
        """Return the seconds of measuring a signal set once at any batch size."""
        return interpolated(batch_size, self.sizes, self.measure_seconds[signal_set])


def interpolated(size: float, sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return a time at a batch size: on straight lines between profiled sizes, which are rising.

    Below the least size it is that size's (small batches wait for launches), above the greatest it grows in
    proportion to the size (the device is full). Ours.

    >>> [interpolated(size, (16, 32), (1.0, 3.0)) for size in (8, 16, 20, 32, 64)]
    [1.0, 1.0, 1.5, 3.0, 6.0]
    """
    inside = float(np.interp(size, sizes, values))
    return inside * size / sizes[-1] if size > sizes[-1] else inside


def saturation_size(sizes: Sequence[int], step_seconds: Sequence[float]) -> int:
    """Return the least size whose throughput (examples per second) is 90 % of the greatest.

    >>> saturation_size((16, 32, 64), (1.0, 1.1, 2.0))
    32
    """
    rates = [size / seconds for size, seconds in zip(sizes, step_seconds, strict=True)]
    return next(size for size, rate in zip(sizes, rates, strict=True) if rate >= SATURATED * max(rates))


def rising_at(sizes: Sequence[int], step_seconds: Sequence[float]) -> int | None:
    """Return the largest size if throughput still rises there, the device not being saturated; else None.

    It rises where a doubling up to there gained more than the tenth that :func:`saturation_size` forgives. A
    size within a third of the largest tells too little, and is passed over. One size alone tells nothing of
    larger ones. Ours.

    >>> rising_at((16, 32, 64), (1.0, 1.0, 1.0)), rising_at((16, 32, 64), (1.0, 1.1, 2.1))
    (64, None)
    """
    last = sizes[-1]
    earlier = [each for each in zip(sizes, step_seconds, strict=True) if each[0] <= 0.75 * last]
    if not earlier:
        return last
    size, seconds = earlier[-1]
    gain = last / step_seconds[-1] / (size / seconds)
    return last if gain > (1 / SATURATED) ** math.log2(last / size) else None


def signals_paid(signals: Signals, steps: int, noise_form: str | None = None) -> dict[str, int]:
    """Return how often each signal set was measured in an interval of so many steps.

    The noise from successive steps costs what the norms of these steps cost, a read of the gradient, and
    ``DIVIDED`` times that with preconditioned gradients beside it.

    >>> row = Signals(interval=0, epoch=1.0, step=96, examples_seen=9600, initial_batch_size=100,
    ...               batch_size=100, lr=0.1, lr_scale=1.0, train_loss=2.0, grad_norm=1.0)
    >>> signals_paid(row, 96)
    {'per_step': 16}
    """
    paid = {}
    if signals.grad_norm is not None:
        paid["per_step"] = math.ceil(steps / stride_of(steps))
    if signals.mean_grad_norm is not None:
        paid["mean_gradient"] = steps
    if signals.noise_count:
        products = signals.half_cosine is not None or signals.inner_product_variance is not None
        moments = (signals.grad_noise, signals.preconditioned_noise)
        grouped = products or any(each is not None for each in moments)
        # |g|^2 of the batch alone needs no groups and costs what the norm of a step costs.
        grouped = grouped and noise_form != "successive"
        name = "per_step" if not grouped else "products" if products else "noise"
        divided = noise_form == "successive" and signals.preconditioned_noise is not None
        paid[name] = paid.get(name, 0) + signals.noise_count * (DIVIDED if divided else 1)
    return paid


def modelled(record: IntervalRecord, former: IntervalRecord | None, curve: SpeedCurve) -> IntervalRecord:
    """Return an interval with its ``modelled_seconds``; ``former`` is the one before it."""
    signals = record.signals
    examples = signals.examples_seen - (former.signals.examples_seen if former else 0)
    steps = math.ceil(examples / signals.batch_size)
    seconds = steps * curve.step(signals.batch_size)
    for signal_set, times in signals_paid(signals, steps, record.noise_form).items():
        seconds += times * curve.measure(signal_set, signals.batch_size)
    return replace(record, modelled_seconds=seconds)


def modelled_run(intervals: Sequence[IntervalRecord], curve: SpeedCurve) -> list[IntervalRecord]:
    """Return all intervals of a trial, in order, with their ``modelled_seconds``."""
    formers = [None, *intervals[:-1]]
    return [modelled(record, former, curve) for record, former in zip(intervals, formers, strict=True)]


def modelled_trial(
    trial: TrialRecord, intervals: Sequence[IntervalRecord], curve: SpeedCurve | None
) -> TrialRecord:
    """Return a trial with the modelled seconds of its intervals; None without intervals or a curve."""
    if curve is None or not intervals:
        return replace(trial, modelled_seconds=None)
    each = modelled_run(intervals, curve)
    return replace(trial, modelled_seconds=math.fsum(record.modelled_seconds or 0.0 for record in each))
