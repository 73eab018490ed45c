"""Sizes and learning-rate factors at marks of examples: as text, and as the path that a stored run took."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adasearch.errors import require
from adasearch.records import IntervalRecord

__all__ = ["Point", "path_of", "points_of", "points_text"]


@dataclass(frozen=True, slots=True)
class Point:
    """From ``mark`` examples on: this size and, where given, this factor on the learning rate."""

    mark: int
    batch_size: int
    lr_scale: float | None = None

    def __str__(self) -> str:
        """Return the point as ``points`` of a ramp writes it."""
        return f"{self.batch_size}{'' if self.lr_scale is None else f'*{self.lr_scale!r}'}@{self.mark}"


def points_of(text: str, *, initial: int = 1, budget: int = 10**12) -> list[Point]:
    """Return the points of a list such as "64@50000, 128*0.75@200000" or "2x@25%, 4x*1.5@50%".

    A size with an x is so many times the ``initial`` one, and a mark in percent a share of the ``budget``.

    Raises:
        ValueError: another form, or marks that do not rise.

    >>> points_of("64@50000, 128*0.75@200000")
    [Point(mark=50000, batch_size=64, lr_scale=None), Point(mark=200000, batch_size=128, lr_scale=0.75)]
    >>> points_of("2.5x@75%", initial=32, budget=1000)
    [Point(mark=750, batch_size=80, lr_scale=None)]
    """
    rule = "points must be sizes at rising marks, such as '64@50000, 128*0.75@200000' or '2x@25%, 4x@50%',"
    words = text.replace(",", " ").split() if isinstance(text, str) else [""]
    try:
        marks = [_mark(word) for word in words]
        points = [_point(word, initial, budget) for word in words]
    except (ValueError, OverflowError):
        marks, points = [-1.0], []
    rising = marks == sorted(set(marks)) and min(marks, default=0) >= 0
    alike = len({word.endswith("%") for word in words}) <= 1
    sound = all(
        point.batch_size >= 1 and (point.lr_scale is None or 0 < point.lr_scale < math.inf)
        for point in points
    )
    require(rising and alike and sound, rule, points=text)
    return points


def _mark(word: str) -> float:
    """Return a point's mark as it is written: examples, or percent below 100."""
    mark = word.partition("@")[2]
    value = float(mark[:-1]) if mark.endswith("%") else float(int(mark))
    return value if value < 100 or not mark.endswith("%") else -1.0


def _point(word: str, initial: int, budget: int) -> Point:
    what, mark = word.split("@")
    size, times, factor = what.partition("*")
    multiple = float(size[:-1]) if size.endswith("x") else 0.0
    batch_size = max(round(initial * multiple), 1) if multiple > 0 else int(size)
    examples = math.ceil(budget * float(mark[:-1]) / 100) if mark.endswith("%") else int(mark)
    return Point(examples, batch_size, float(factor) if times else None)


def points_text(points: Sequence[Point]) -> str:
    """Return points as a ramp's text; factors are written only where one of them is not 1.

    >>> points_text([Point(400, 48, 1.0), Point(1200, 72, 1.0)]), points_text([Point(400, 32, 0.5)])
    ('48@400, 72@1200', '32*0.5@400')
    """
    plain = all(point.lr_scale in (None, 1) for point in points)
    return ", ".join(str(replace(point, lr_scale=None) if plain else point) for point in points)


def path_of(intervals: Sequence[IntervalRecord], interval: int) -> list[Point]:
    """Return each change of size or learning-rate factor; ``interval`` is the study's, in examples.

    A mark is where the interval was due to end, not where its last whole batch did: so a run of other sizes
    turns at the same decision.
    """
    path = []
    for record in intervals:
        size, factor = record.decision.batch_size, record.decision.lr_scale
        if (size, factor) != (record.signals.batch_size, record.signals.lr_scale):
            path.append(Point(record.signals.examples_seen // interval * interval, size, factor))
    return path
