"""The intervals of many trials: kept as columns, made into Python's values for the trial asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adasearch.records import IntervalRecord
from adasearch.store.parquet_file import rows_in, values_in
from adasearch.store.rows import ACTIONS, DEFAULTS, POSITIVE, REQUIRED, SPENT, interval_of, plain
from adasearch.store.schemas import SCHEMAS

__all__ = ["ColumnsByTrial", "IntervalsByTrial"]

_BLOCK_ROWS = 2**14  # few enough that what parts take beside their rows is little, and blocks are large
_EMPTY = SCHEMAS["intervals"].empty_table()
Rows = np.ndarray[Any, np.dtype[Any]]


class _ByTrial:
    """The interval rows of trials by trial id, in order of interval.

    A trial whose intervals are not one whole course of records is left out.

    Args:
        parts: tables in columns of ``intervals``; trials come in the order in which they first appear.
        skipped: is told of each trial that is left out, and why.
    """

    def __init__(self, parts: Iterable[pa.Table], skipped: Callable[[str, str], None] | None = None) -> None:
        table = _joined(parts)
        coded = table.column("trial_id").combine_chunks()
        self._rows = table.drop_columns(["trial_id"])
        codes = coded.indices.to_numpy(zero_copy_only=False)
        intervals = self._rows.column("interval").to_numpy()
        self._order = np.lexsort((intervals, codes))  # stable: by trial, then by interval
        ends = np.cumsum(np.bincount(codes, minlength=len(coded.dictionary)))
        begins = np.concatenate([[0], ends[:-1]]).astype(int)
        places = np.arange(len(codes)) - begins[codes[self._order]]
        gaps = set(codes[self._order[intervals[self._order] != places]].tolist())
        bad = {name: set(codes[rows].tolist()) for name, rows in _broken(self._rows).items()}
        self._spans = {}
        for code, name in enumerate(coded.dictionary.to_pylist()):
            why = next((column for column, trials in bad.items() if code in trials), None)
            if why is None and code not in gaps:
                self._spans[name] = (begins[code], ends[code])
            elif skipped is not None:
                skipped(
                    name, f"{why} holds what no interval has" if why else "not numbered from 0 on, once each"
                )

    def __iter__(self) -> Iterator[str]:
        """Go through the trials' ids."""
        return iter(self._spans)

    def __len__(self) -> int:
        """Return how many trials there are."""
        return len(self._spans)

    def _of(self, trial_id: str) -> pa.Table:
        begin, end = self._spans[trial_id]
        chosen = self._order[begin:end]
        whole = chosen[-1] - chosen[0] + 1 == len(chosen) and np.all(np.diff(chosen) == 1)
        return self._rows.slice(chosen[0], len(chosen)) if whole else self._rows.take(chosen)


class IntervalsByTrial(_ByTrial, Mapping[str, list[IntervalRecord]]):
    """The intervals of trials as records, by trial id.

    A million intervals take 0.3 GB as columns and several times that as records, so records are made anew at
    each look-up.
    """

    def __getitem__(self, trial_id: str) -> list[IntervalRecord]:
        """Return the intervals of a trial."""
        return [interval_of(row) for row in rows_in(self._of(trial_id), "intervals")]


class ColumnsByTrial(_ByTrial, Mapping[str, dict[str, list[Any]]]):
    """Some columns of the intervals of trials, by trial id; ``interval`` is among them."""

    def __getitem__(self, trial_id: str) -> dict[str, list[Any]]:
        """Return the values of a trial's intervals by column."""
        rows = self._of(trial_id)
        return {name: values_in(rows.column(name)) for name in rows.column_names}


def _joined(parts: Iterable[pa.Table]) -> pa.Table:
    """Return one table, in one piece, its trial ids as codes.

    Small parts are let go of block by block, as each takes twice the room of its rows.
    """
    blocks: list[pa.Table] = []
    some: list[pa.Table] = []
    rows = 0
    for part in parts:
        some.append(part)
        rows += part.num_rows
        if rows >= _BLOCK_ROWS:
            blocks.append(_block(some))
            some, rows = [], 0
    if some or not blocks:
        blocks.append(_block(some or [_EMPTY]))
    return pa.concat_tables(blocks).unify_dictionaries().combine_chunks()


def _block(parts: list[pa.Table]) -> pa.Table:
    table = pa.concat_tables(parts)
    for name in ("trial_id", "interval"):  # a row without them is nobody's
        if table.column(name).null_count:
            table = table.filter(pc.is_valid(table.column(name)))
    place = table.schema.get_field_index("trial_id")
    table = table.set_column(place, "trial_id", table.column(place).dictionary_encode())
    return table.unify_dictionaries().combine_chunks()


_WRONG: Sequence[tuple[Iterable[str], Callable[[Rows], Rows]]] = (
    (POSITIVE["intervals"], lambda values: values < 1),
    (("step",), lambda values: values < 0),  # 0 where all updates so far were skipped
    (SPENT, lambda values: ~((values >= 0) & np.isfinite(values))),
    (("lr_scale", "next_lr_scale"), lambda values: ~((values > 0) & np.isfinite(values))),
)


def _unsound(column: pa.ChunkedArray, sound: Callable[[str], bool]) -> Rows:
    """Return the rows whose text is not sound; each text is looked at once, and a missing one not at all."""
    none = [text for text in pc.drop_null(pc.unique(column)).to_pylist() if not sound(text)]
    return np.flatnonzero(pc.is_in(column, value_set=pa.array(none, pa.string())).to_numpy())


def _are_figures(text: str) -> bool:
    try:
        return all(isinstance(float(value), float) for value in plain(text).values())
    except ValueError:
        return False


def _broken(rows: pa.Table) -> dict[str, Rows]:
    """Return, by column, the rows that are no records; columns without such are left out."""
    found = {}
    there = set(rows.column_names)
    for name in there & REQUIRED["intervals"] - DEFAULTS["intervals"].keys():
        if rows.column(name).null_count:
            found[name] = np.flatnonzero(rows.column(name).is_null().to_numpy())

    def refuse(name: str, wrong: Callable[[Rows], Rows]) -> None:
        if name not in there:
            return
        values = rows.column(name).to_numpy()
        with np.errstate(invalid="ignore"):
            places = np.flatnonzero(wrong(values) & rows.column(name).is_valid().to_numpy())
        if len(places):
            found.setdefault(name, places)

    for names, wrong in _WRONG:
        for name in names:
            refuse(name, wrong)
    for name, sound in (("metrics", _are_figures), ("action", ACTIONS.__contains__)):
        if name in there and len(places := _unsound(rows.column(name), sound)):
            found.setdefault(name, places)
    return found
