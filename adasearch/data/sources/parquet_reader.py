"""The images of Parquet files, read one row at a time, in any order and in any process."""

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from PIL import Image

from adasearch.data.sources.decoding import picture
from adasearch.data.sources.split_names import is_hidden, splits_in
from adasearch.errors import InputError, one_line

__all__ = ["Found", "ParquetReader", "files_at", "filesystem_of"]

GROUPS_KEPT = 4  # row groups in memory per process: reading in order needs one, reading at random any number
FILES_KEPT = 32  # open files per process


class Found(NamedTuple):
    """A Parquet file: its name in the file system, and size and time as they are now."""

    name: str
    size: int
    changed: str

    def relative(self, root: str) -> str:
        """Return the name below a folder; of the file itself that is its last part."""
        return self.name.removeprefix(root).strip("/") or PurePosixPath(self.name).name


class ParquetReader:
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

    def __reduce__(self) -> tuple[type["ParquetReader"], tuple[object, ...]]:
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
            found = self._group(number, group)[inside - int(self._group_starts[number][group])].as_py()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise InputError(f"{where} cannot be read: {one_line(error)}") from error
        blob = found.get("bytes") if isinstance(found, dict) else found
        if not blob and isinstance(found, dict) and found.get("path"):
            raise InputError(
                f"{where}: the image cannot be read: only its path {found['path']!r} is in the file, no bytes"
            )
        return picture(io.BytesIO(blob or b""), where)

    def where(self, row: int) -> str:
        """Name the file and the row in it."""
        number, inside = self._find(row)
        return f"row {inside} of Parquet file {self._files[number][0]}"

    def _open_file(self, number: int) -> pq.ParquetFile:
        if self._filesystem is None:
            self._filesystem, _ = filesystem_of(self._arguments[0])
        return pq.ParquetFile(self._filesystem.open_input_file(self._files[number][0]))

    def _read_group(self, number: int, group: int) -> pa.ChunkedArray:
        column = self._files[number][1]
        table = self._open(number).read_row_group(group, columns=[column], use_threads=False)
        return table.column(0)


def files_at(place: str, path: str, filesystem: pyarrow.fs.FileSystem) -> tuple[list[Found], list[str]]:
    """Return the Parquet files of a file or folder, by name, and other files that are called as splits.

    Raises:
        InputError: there is none, or the place cannot be reached.
    """
    try:
        info = filesystem.get_file_info(path)
        if info.type == pyarrow.fs.FileType.Directory:
            listed = filesystem.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
        else:
            listed = [info]
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"dataset parquet:{place} cannot be reached: {error}") from error
    found = sorted(
        Found(item.path, item.size, str(item.mtime_ns))
        for item in listed
        if item.is_file and not _hidden(item.path, path)
    )
    files, others = ([file for file in found if _is_parquet(file) == told] for told in (True, False))
    if not files:
        raise InputError(f"dataset parquet:{place}: no Parquet file there")
    names = [file.relative(path) for file in others]
    return files, [name for name in names if splits_in(PurePosixPath(name).stem)]


def _is_parquet(file: Found) -> bool:
    return file.name.lower().endswith(".parquet")


def _hidden(name: str, root: str) -> bool:
    """Tell whether a file, or a folder above it in the set, is hidden, or a writer's draft as Spark's."""
    return any(is_hidden(part) or part.startswith("_") for part in name.removeprefix(root).split("/") if part)


def filesystem_of(place: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path in it."""
    try:
        if "://" in place:
            filesystem, path = pyarrow.fs.FileSystem.from_uri(place)
            return filesystem, path
        return pyarrow.fs.LocalFileSystem(), str(Path(place).expanduser().absolute())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"dataset parquet:{place} cannot be reached: {one_line(error)}") from error
