"""Rows of a folder's table as records; those that are none are skipped, and named on standard error."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from adasearch.errors import one_line
from adasearch.io.damage import say_damage
from adasearch.records import StudyRecord, TrialRecord
from adasearch.store.compaction import Piece
from adasearch.store.parquet_file import PartError, rows_in
from adasearch.store.schemas import Table
from adasearch.store.trials import RESERVED, folder_of

__all__ = ["records_in", "say_skipped"]

R = TypeVar("R", StudyRecord, TrialRecord)


def records_in(
    pieces: Iterable[Piece], place: str, folder: str, table: Table, record_of: Callable[[dict[str, Any]], R]
) -> Iterator[R]:
    """Yield the records of a table's pieces.

    Args:
        pieces: of the table.
        place: where its files lie.
        folder: that the records must belong to.
        table: whose rows these are.
        record_of: makes a record of a row.
    """
    for piece in pieces:
        files = [source for source, _, _, rows in piece.sources for _ in range(rows)]
        try:
            rows: Iterable[dict[str, Any]] = rows_in(piece.rows, table)
        except ValueError:  # such as a time that no calendar has: only its own row is left out
            rows = _rows_one_by_one(piece.rows, table, place, files)
        seen: set[str] = set()  # a trial's file, and a study's, has one row; what follows counts no more
        for row, source in zip(rows, files, strict=True):
            if not row:
                continue
            try:
                if source in seen:
                    raise ValueError("it has a second row")
                seen.add(source)
                record = record_of(row)
                home = folder if table == "studies" and folder in RESERVED else _home(record)
                if home != folder:
                    raise ValueError(f"belongs in {home}")
                yield record
            except (ValueError, TypeError) as error:
                say_skipped(f"{place}/{source}", PartError("damaged", str(error)))


def _rows_one_by_one(
    part: pa.Table, table: Table, place: str, files: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield rows, an empty one for each that has no counterpart in Python."""
    for number, source in enumerate(files):
        try:
            yield rows_in(part.slice(number, 1), table)[0]
        except ValueError as error:
            say_skipped(f"{place}/{source}", PartError("damaged", one_line(error)))
            yield {}


def _home(record: StudyRecord | TrialRecord) -> str:
    """Return the folder that a record belongs in."""
    return folder_of(record) if isinstance(record, TrialRecord) else record.study


def say_skipped(path: str, error: PartError) -> None:
    """Name a file, or a row of it, that is no part of a table."""
    say_damage(error.kind, path, error)
