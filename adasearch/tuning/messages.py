"""What travels between the search and its workers."""

from dataclasses import dataclass

from adasearch.records import IntervalRecord
from adasearch.training.task import Outcome

__all__ = ["Delivery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Interval records since the last delivery and, with the last of them, the outcome.

    ``notes`` are what a person should know of it. ``group`` is the placement group of the workers that came
    last, ``hardware`` the name of the device that the first of them trains on; None before the first.
    """

    records: tuple[IntervalRecord, ...]
    outcome: Outcome | None
    notes: tuple[str, ...] = ()
    group: object = None
    hardware: str | None = None
