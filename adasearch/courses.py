"""The intervals of many trials: kept as columns, made into records for the trial that is asked for."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adasearch.parts import rows_in
from adasearch.records import IntervalRecord
from adasearch.rows import interval_of
from adasearch.schemas import SCHEMAS

__all__ = ["Courses"]


class Courses(Mapping[str, list[IntervalRecord]]):
    """The intervals of trials by trial id, in order of interval.

    A million intervals take 0.3 GB as columns and several times that as records, so records are made anew at
    each look-up.

    Args:
        parts: tables in the columns of ``intervals``; trials come in the order in which they first appear.
    """

    def __init__(self, parts: Sequence[pa.Table]) -> None:
        table = pa.concat_tables(parts) if parts else SCHEMAS["intervals"].empty_table()
        for name in ("trial_id", "interval"):  # a row without them is nobody's
            if table.column(name).null_count:
                table = table.filter(pc.is_valid(table.column(name)))
        self._rows = table.combine_chunks()
        trials = self._rows.column("trial_id").combine_chunks()
        coded = trials.dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False)
        intervals = self._rows.column("interval").to_numpy()
        self._order = np.lexsort((intervals, codes))  # stable: by trial, then by interval
        ends = np.cumsum(np.bincount(codes, minlength=len(coded.dictionary)))
        names = coded.dictionary.to_pylist()
        self._spans = dict(zip(names, zip([0, *ends[:-1]], ends, strict=True), strict=True)) if names else {}

    def __getitem__(self, trial_id: str) -> list[IntervalRecord]:
        """Return the intervals of a trial."""
        begin, end = self._spans[trial_id]
        chosen = self._order[begin:end]
        whole = chosen[-1] - chosen[0] + 1 == len(chosen) and np.all(np.diff(chosen) == 1)
        rows = self._rows.slice(chosen[0], len(chosen)) if whole else self._rows.take(chosen)
        return [interval_of(row) for row in rows_in(rows, "intervals")]

    def __iter__(self) -> Iterator[str]:
        """Go through the trials' ids."""
        return iter(self._spans)

    def __len__(self) -> int:
        """Return how many trials there are."""
        return len(self._spans)
