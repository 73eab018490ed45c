"""The path of sizes and learning rates that a stored run took, as points of a ramp."""

from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.records import IntervalRecord
from adasearch.schedulers.ramp import Point

__all__ = ["Turn", "path_of", "points_text"]


@dataclass(frozen=True, slots=True)
class Turn:
    """From ``mark`` examples on the run had this size and this factor on its learning rate."""

    mark: int
    batch_size: int
    lr_scale: float


def path_of(intervals: Sequence[IntervalRecord], interval: int) -> list[Turn]:
    """Return each change of size or learning-rate factor; ``interval`` is the study's, in examples.

    A mark is where the interval was due to end, not where its last whole batch did: so a run of other sizes
    turns at the same decision.
    """
    turns = []
    for record in intervals:
        size, factor = record.decision.batch_size, record.decision.lr_scale
        if (size, factor) != (record.signals.batch_size, record.signals.lr_scale):
            turns.append(Turn(record.signals.examples_seen // interval * interval, size, factor))
    return turns


def points_text(turns: Sequence[Turn]) -> str:
    """Return turns as ``points`` of a ramp; factors are written only where some turn has one.

    >>> points_text([Turn(400, 48, 1.0), Turn(1200, 72, 1.0)]), points_text([Turn(400, 32, 0.5)])
    ('48@400, 72@1200', '32*0.5@400')
    """
    coupled = any(turn.lr_scale != 1 for turn in turns)
    points = [Point(turn.mark, turn.batch_size, turn.lr_scale if coupled else None) for turn in turns]
    return ", ".join(map(str, points))
