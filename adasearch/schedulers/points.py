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


def points_of(text: str) -> list[Point]:
    """Return the points of a list such as "64@50000, 128*0.75@200000".

    Raises:
        ValueError: another form, or marks that do not rise.

    >>> points_of("64@50000, 128*0.75@200000")
    [Point(mark=50000, batch_size=64, lr_scale=None), Point(mark=200000, batch_size=128, lr_scale=0.75)]
    """
    rule = "points must be sizes at rising numbers of examples, such as '64@50000, 128*0.75@200000',"
    try:
        points = [_point(word) for word in text.replace(",", " ").split()]
    except (AttributeError, ValueError):
        points = [Point(-1, 0)]
    marks = [point.mark for point in points]
    rising = marks == sorted(set(marks)) and min(marks, default=0) >= 0
    sound = all(
        point.batch_size >= 1 and (point.lr_scale is None or 0 < point.lr_scale < math.inf)
        for point in points
    )
    require(rising and sound, rule, points=text)
    return points


def _point(word: str) -> Point:
    what, mark = word.split("@")
    size, times, factor = what.partition("*")
    return Point(int(mark), int(size), float(factor) if times else None)


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
