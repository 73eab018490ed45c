"""Two courses of one trial, interval by interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.records import IntervalRecord, TrialRecord, Value
from adasearch.store.rows import interval_row

__all__ = ["SAME", "TOLERANCE", "Difference", "conditions", "differences"]

TOLERANCE = 0.05
"""Up to which two runs count as equal where rounding differs.

A GPU, other threads, workers or versions of libraries add in another order; training amplifies that.
"""

SAME = ("torch", "torchvision", "device", "threads", "workers", "code")
"""Conditions that change numbers: alike on a CPU with one thread and one worker, runs are equal."""

_NOT_COMPARED = {
    *("train_seconds", "modelled_seconds", "measure_seconds", "resize_seconds", "eval_seconds"),
    *("compile_seconds", "checkpoint_seconds", "out_of_memory", "device_batch", "passes", "noise_form"),
}
_FRACTIONS = ("val_error", "test_error")
_WORDS = ("reason", "metrics")  # and numbers in text


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A column of an interval that differs between two runs.

    ``size`` is how much: of errors the difference of the fractions, of other numbers the difference over the
    greater of both; infinite where there is no number on one side, or where words differ.
    """

    interval: int
    epoch: float
    column: str
    then: Value | None
    now: Value | None
    size: float


def differences(
    then: Sequence[IntervalRecord], now: Sequence[IntervalRecord], *, words: bool = True
) -> list[Difference]:
    """Return every column of every interval that differs in sizes, losses, signals or decisions.

    What they cost is not compared. Without ``words`` reasons are not, either: they quote rounded numbers.
    """
    found = []
    for index in range(max(len(then), len(now))):
        rows = [interval_row(each[index]) if index < len(each) else {} for each in (then, now)]
        epoch = (rows[0] or rows[1])["epoch"]
        for column in (rows[0] or rows[1]) if all(rows) else ["interval"]:
            if column in _NOT_COMPARED or (column in _WORDS and not words):
                continue
            one, other = rows[0].get(column), rows[1].get(column)
            size = _size(column, one, other)
            if size:
                found.append(
                    Difference(interval=index, epoch=epoch, column=column, then=one, now=other, size=size)
                )
    return found


def _size(column: str, one: Value | None, other: Value | None) -> float:
    """Return how much two values differ.

    >>> _size("train_loss", 2.0, 1.0), _size("val_error", 0.5, 0.25), _size("action", "grow", "hold")
    (0.5, 0.25, inf)
    >>> _size("train_loss", float("nan"), float("nan")), _size("val_loss", None, 1.0)
    (0.0, inf)
    """
    if one == other:
        return 0.0
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return math.inf
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    scale = max(abs(one), abs(other))
    if column in _FRACTIONS and scale <= 1:
        scale = 1.0
    size = abs(one - other) / scale
    return math.inf if math.isnan(size) else size


def conditions(trial: TrialRecord) -> dict[str, Value]:
    """Return what a trial ran with: versions, device, workers and, where it is stored, threads."""
    return {**trial.versions, "device": trial.device, "workers": trial.workers}
