"""Columns that tell the split of each row, in files whose rows would all be taken for one."""

import pyarrow.parquet as pq

from adasearch.data.sources.parquet_columns import Columns
from adasearch.data.sources.split_names import SPLIT_COLUMNS, splits_in
from adasearch.errors import InputError, few

__all__ = ["refuse_other_splits"]

_TOLD_BY_TRUTH = {
    *("is_train", "is_training", "is_training_image", "is_val", "is_valid", "is_validation", "is_test"),
    *("istrain", "istraining", "isval", "isvalid", "isvalidation", "istest"),
}


def refuse_other_splits(file: pq.ParquetFile, where: str, columns: Columns, split: set[str]) -> None:
    """Refuse a file of which a column says that rows are of another split than the file.

    ``split`` is that of the file, empty where its name is none.

    Raises:
        InputError: with the column and its values.
    """
    for name in file.schema_arrow.names:
        texts = name.lower() in SPLIT_COLUMNS
        if name in (columns.label, columns.image) or not (texts or name.lower() in _TOLD_BY_TRUTH):
            continue
        values = file.read(columns=[name]).column(0).unique().drop_null().to_pylist()
        if texts:
            told = [splits_in(value) if isinstance(value, str) else set() for value in values]
            apart = any(told) and any(of != split for of in told)
        else:
            apart = len(values) == 2 and all(value in (0, 1) for value in values)
        if split and apart:
            raise InputError(
                f"{where}: column {name!r} tells splits ({few(sorted(map(str, values)))}) but all rows would "
                f"be taken for {few(sorted(split))}; write a file for each, as train.parquet and test.parquet"
            )
