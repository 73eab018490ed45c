"""A history in plain values, as checkpoints hold it: a row by name for each interval."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from adasearch.records import Signals

__all__ = ["history_of", "rows_of"]


def rows_of(history: Sequence[Signals]) -> list[dict[str, Any]]:
    """Return a history in plain values."""
    return [asdict(row) for row in history]


def history_of(rows: Iterable[Mapping[str, Any]]) -> list[Signals]:
    """Return the history that was written down, by this version or another.

    A signal that this version does not know is left out; one that the other did not is at its default.
    """
    known = {field.name for field in fields(Signals)}
    return [Signals(**{name: value for name, value in row.items() if name in known}) for row in rows]
