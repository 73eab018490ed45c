"""One Parquet file of ours: read, checked, and brought to this version's columns."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from adasearch.errors import InputError, one_line
from adasearch.io.filesystem import is_local, open_regular, read_whole
from adasearch.io.seal import check_parquet, sealed_parquet
from adasearch.io.text import printable, source_of
from adasearch.store.rows import DEFAULTS
from adasearch.store.schemas import SCHEMA_VERSION, SCHEMAS, Table

__all__ = [
    "PartError",
    "check_ours",
    "in_columns",
    "parquet_bytes",
    "read_part",
    "read_with_metadata",
    "rows_in",
    "small_parquet_bytes",
    "values_in",
]

DECIDED_BY = ("reason", "train_loss", "val_loss")
TOLD_BY = {"image_size": ("dataset",), "decided": DECIDED_BY}
"""Columns that an older version did not write, and those that tell what would stand in them."""

SMALL_FILE_BYTES = 2**20  # bytes; pages one by one take twice as long as a small file in one go


class PartError(Exception):
    """A file that readers skip.

    Attributes:
        kind: "unreadable" for one that is no whole Parquet file, "foreign" for one that is not ours,
            "second" for one beside that of its trial.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def read_part(
    files: pafs.FileSystem, path: str, table: Table, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the rows of a file of ``table``, columns that an older version did not write as nulls.

    ``columns`` are those that are wanted, all by default.

    Raises:
        PartError: it cannot be read, or is not ours.
        InputError: a newer version wrote it.
        StoreError: the object store does not answer.
    """
    return read_with_metadata(files, path, table, columns)[0]


def _opened(files: pafs.FileSystem, path: str) -> pa.NativeFile:
    """Return a file to read from: a large one on a disk as it lies there, any other in memory."""
    if not is_local(files):
        return pa.BufferReader(read_whole(files, path))
    file = open_regular(files, path)
    if file.size() >= SMALL_FILE_BYTES:
        return file
    with file:
        return pa.BufferReader(file.read_buffer())


def read_with_metadata(
    files: pafs.FileSystem, path: str, table: Table, columns: Sequence[str] | None = None
) -> tuple[pa.Table, dict[bytes, bytes]]:
    """Return the rows of a file as :func:`read_part` does, and the file's own metadata."""
    try:
        with _opened(files, path) as file:
            check_parquet(file)
            file.seek(0)
            part = pq.ParquetFile(file, page_checksum_verification=True)
            schema = part.schema_arrow  # which is made anew each time
            check_ours(schema, path, table)
            there = columns and _to_read(columns, schema.names)
            rows = in_columns(part.read(there, use_threads=part.num_row_groups > 1), table, columns)
        rows.validate(full=True)
        return rows, schema.metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise PartError("unreadable", one_line(error)) from error


def parquet_bytes(rows: pa.Table, **options: Any) -> memoryview:
    """Return rows as a Parquet file: with Parquet's own checksums of its pages and a digest of it all.

    ``options`` are those of ``pyarrow.parquet.write_table``.
    """
    data = io.BytesIO()
    pq.write_table(rows, data, write_page_checksum=True, **options)
    return memoryview(sealed_parquet(data.getbuffer()))


def small_parquet_bytes(rows: pa.Table) -> memoryview:
    """Return few rows as a Parquet file, as :func:`parquet_bytes` and in less than half of the bytes.

    What files of many rows have takes more room than the few rows themselves, and time to read: statistics of
    each column, dictionaries, and Arrow's schema beside Parquet's own, from which all our types come back.
    """
    data = io.BytesIO()
    with pq.ParquetWriter(
        data,
        rows.schema,
        compression="snappy",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        write_page_checksum=True,
    ) as writer:
        writer.write_table(rows)
        writer.add_key_value_metadata(rows.schema.metadata or {})
    return memoryview(sealed_parquet(data.getbuffer()))


def check_ours(schema: pa.Schema, path: str, table: Table) -> None:
    """Check by a file's metadata that it is of ``table`` and of a version that this one reads.

    Raises:
        PartError: it is not ours.
        InputError: a newer version wrote it.
    """
    metadata = schema.metadata or {}
    if metadata.get(b"adasearch.table") != table.encode():
        raise PartError("foreign", f"not our {table}")
    try:
        version = int(metadata.get(b"adasearch.schema_version", b"0"))
    except ValueError as error:
        raise PartError("foreign", f"its schema version is no number: {error}") from error
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}, but this adasearch reads up to {SCHEMA_VERSION}"
        )


def in_columns(part: pa.Table, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Return rows in ``columns`` of ``table`` (default: all): nulls for those it lacks, others left out.

    Raises:
        PartError: a column has another type than ours.
    """
    schema = SCHEMAS[table]
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    if part.schema.equals(schema, check_metadata=True):
        return part
    arrays = []
    for field in schema:
        index = part.schema.get_field_index(field.name)
        try:
            arrays.append(_lacking(part, field) if index < 0 else part.column(index).cast(field.type))
        except pa.ArrowException as error:
            raise PartError("foreign", f"column {field.name}: {one_line(error)}") from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _to_read(columns: Sequence[str], there: Sequence[str]) -> list[str]:
    """Return which of a file's columns are read to have those that are wanted."""
    told = [each for name in columns if name not in there for each in TOLD_BY.get(name, ())]
    return [name for name in there if name in {*columns, *told}]


def _lacking(part: pa.Table, field: pa.Field) -> pa.Array | pa.ChunkedArray:
    """Return a column that a file of an older version lacks: nulls, but for what other columns tell."""
    told = TOLD_BY.get(field.name, ())
    if not told or not set(told) <= set(part.column_names):
        return pa.nulls(part.num_rows, field.type)
    if field.name == "decided":
        return _decided(part)
    names = part.column("dataset").to_pylist()
    return pa.array([None if name is None else source_of(name)[1] for name in names], field.type)


def _decided(part: pa.Table) -> pa.ChunkedArray:
    """Return whether an interval was decided, by its reason and its losses."""
    reason, *losses = (part.column(name) for name in DECIDED_BY)
    decided = pc.not_equal(reason, "end of the budget")
    for loss in losses:
        decided = pc.and_(decided, pc.fill_null(pc.is_finite(loss), True))
    return decided


def rows_in(part: pa.Table, table: Table) -> list[dict[str, Any]]:
    """Return rows as dictionaries, with the records' defaults where an older version wrote nothing.

    Raises:
        ValueError: a value has no counterpart in Python.
    """
    names = part.column_names  # outside the loop: Arrow makes the list anew each time
    columns = [values_in(part.column(name), DEFAULTS[table].get(name)) for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def values_in(column: pa.ChunkedArray, default: Any = None) -> list[Any]:
    """Return a column as Python's values; numbers by way of numpy, which takes a tenth of Arrow's time."""
    if default is not None and column.null_count:
        column = pc.fill_null(column, default)
    if column.null_count == len(column):
        return [None] * len(column)
    if pa.types.is_string(column.type):
        return [each if each is None else printable(each) for each in column.to_pylist()]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        try:
            return list(column.to_pylist())
        except OverflowError as error:
            raise ValueError(f"a time that no calendar has: {error}") from error
    values: list[Any] = pc.fill_null(column, 0).to_numpy().tolist()
    if column.null_count:
        for index in np.flatnonzero(column.is_null().to_numpy()):
            values[index] = None
    return values
