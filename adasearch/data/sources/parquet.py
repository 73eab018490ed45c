"""Parquet files with an image and a label column, as Hugging Face writes them.

A file whose name begins with "test" belongs to the test split. Images that stay in their files are read in
the order of training, at random, and Parquet gives a row only with its whole row group: a permuted pass reads
every group about as often as it has rows. Such a set wants small groups, which one line writes anew:
``pyarrow.parquet.write_table(table, path, row_group_size=32)``; a folder of image files has no such cost.
"""

import io
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from PIL import Image

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Kind, Listing, digest_of, picture
from adasearch.errors import InputError

__all__ = ["PARQUET"]

GROUPS_KEPT = 4  # row groups in memory per process: reading in order needs one, reading at random any number
FILES_KEPT = 32  # open files per process


class _Found(NamedTuple):
    """A Parquet file: its name in the file system, and size and time as they are now."""

    name: str
    size: int
    changed: str


class _Columns(NamedTuple):
    """What a file holds: where the images and labels are, and how many classes it names."""

    image: str
    label: str
    classes: int | None


class _ParquetReader:
    """The rows of several files, in their order; keeps the last few row groups."""

    def __init__(self, place: str, files: Sequence[tuple[str, str, Sequence[int]]]) -> None:
        """Take of each file its name, image column, and the rows of each row group."""
        self._arguments = (place, files)
        self._files = files
        self._group_starts = [np.cumsum([0, *groups]) for _, _, groups in files]
        self._file_starts = np.cumsum([0, *(starts[-1] for starts in self._group_starts)])
        self._filesystem: pyarrow.fs.FileSystem | None = None
        self._open = lru_cache(FILES_KEPT)(self._open_file)
        self._group = lru_cache(GROUPS_KEPT)(self._read_group)

    def __reduce__(self) -> tuple[type["_ParquetReader"], tuple[object, ...]]:
        """Let another process open its own files."""
        return type(self), self._arguments

    def _find(self, row: int) -> tuple[int, int]:
        number = int(np.searchsorted(self._file_starts, row, side="right")) - 1
        return number, row - int(self._file_starts[number])

    def image(self, row: int) -> Image.Image:
        """Return a row's picture."""
        number, inside = self._find(row)
        group = int(np.searchsorted(self._group_starts[number], inside, side="right")) - 1
        where = self.where(row)
        try:
            blob = self._group(number, group)[inside - int(self._group_starts[number][group])].as_py()
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{where} cannot be read: {error}") from error
        return picture(io.BytesIO(blob or b""), where)

    def where(self, row: int) -> str:
        """Name the file and the row in it."""
        number, inside = self._find(row)
        return f"row {inside} of Parquet file {self._files[number][0]}"

    def _open_file(self, number: int) -> pq.ParquetFile:
        if self._filesystem is None:
            self._filesystem, _ = _filesystem(self._arguments[0])
        return pq.ParquetFile(self._filesystem.open_input_file(self._files[number][0]))

    def _read_group(self, number: int, group: int) -> pa.Array:
        column = self._files[number][1]
        table = self._open(number).read_row_group(group, columns=[column], use_threads=False)
        found = table.column(0).combine_chunks()
        return found.field("bytes") if pa.types.is_struct(found.type) else found


def _open(place: str, progress: Progress) -> Listing:
    filesystem, path = _filesystem(place)
    found = _parquet_files(place, path, filesystem)
    train = [file for file in found if not Path(file.name).name.startswith("test")]
    test = [file for file in found if Path(file.name).name.startswith("test")]
    if not train:
        raise InputError(f"dataset parquet:{place}: only test files found, no training data")
    classes: int | None = None
    files, labels = [], []
    for done, file in enumerate(train + test, start=1):
        columns, groups, column = _read_labels(file.name, filesystem)
        if columns.classes is not None and classes not in (None, columns.classes):
            raise InputError(
                f"Parquet file {file.name} names {columns.classes} classes where the others name {classes}"
            )
        classes = columns.classes if columns.classes is not None else classes
        files.append((file.name, columns.image, groups))
        labels.append(column)
        progress("reading labels", done, len(found))
    if not sum(len(column) for column in labels):
        raise InputError(f"dataset parquet:{place}: the files have no rows")
    test_from = sum(len(column) for column in labels[: len(train)]) if test else None
    everything = np.concatenate(labels)
    names = [(file.name.removeprefix(path), file.size) for file in train + test]
    return Listing(
        reader=_ParquetReader(place, files),
        labels=everything,
        classes=classes,
        test_from=test_from,
        flip=True,
        names=digest_of(json.dumps(names), everything, classes, test_from),
        state=digest_of(place, json.dumps(found)),
        remote="://" in place,
    )


def _filesystem(place: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path in it."""
    try:
        if "://" in place:
            filesystem, path = pyarrow.fs.FileSystem.from_uri(place)
            return filesystem, path
        return pyarrow.fs.LocalFileSystem(), str(Path(place).expanduser().absolute())
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"dataset parquet:{place} cannot be reached: {error}") from error


def _parquet_files(place: str, path: str, filesystem: pyarrow.fs.FileSystem) -> list[_Found]:
    """Return the Parquet files of a file or folder, by name."""
    try:
        info = filesystem.get_file_info(path)
        if info.type == pyarrow.fs.FileType.Directory:
            found = filesystem.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
        else:
            found = [info]
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"dataset parquet:{place} cannot be reached: {error}") from error
    files = [
        _Found(item.path, item.size, str(item.mtime_ns))
        for item in found
        if item.is_file and item.path.endswith(".parquet")
    ]
    if not files:
        raise InputError(f"dataset parquet:{place}: no Parquet file there")
    return sorted(files)


def _read_labels(name: str, filesystem: pyarrow.fs.FileSystem) -> tuple[_Columns, list[int], np.ndarray]:
    """Return a file's columns, the rows of each row group, and its labels (rows,) as int64."""
    try:
        with pq.ParquetFile(filesystem.open_input_file(name)) as file:
            columns = _columns(name, file.schema_arrow)
            metadata = file.metadata
            groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
            labels = file.read(columns=[columns.label]).column(0)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"Parquet file {name} is damaged or no Parquet file: {error}") from error
    if labels.null_count:
        row = labels.is_null().to_numpy().argmax()
        raise InputError(f"row {row} of Parquet file {name}: column {columns.label!r} is empty")
    return columns, groups, labels.to_numpy().astype(np.int64)


def _columns(name: str, schema: pa.Schema) -> _Columns:
    images = [field.name for field in schema if _holds_images(field.type)]
    labels = [field.name for field in schema if pa.types.is_integer(field.type)]
    if not images:
        raise InputError(f"Parquet file {name} has no image column (struct with bytes, or binary)")
    if not labels:
        raise InputError(f"Parquet file {name} has no label column (integer)")
    preferred = [column for column in ("label", "fine_label") if column in labels]
    label = (preferred or labels)[0]
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = metadata.get("info", {}).get("features", {}).get(label, {}).get("names")
    return _Columns(images[0], label, len(names) if names else None)


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


PARQUET = Kind(
    usage="parquet:PATH",
    what="Parquet files with an image and a label column, as Hugging Face writes them; a file, folder or URI",
    open=_open,
)
