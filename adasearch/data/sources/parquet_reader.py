"""The images of Parquet files, read one row at a time, in any order and in any process."""

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from PIL import Image

from adasearch.data.sources.decoding import picture
from adasearch.errors import InputError, one_line

__all__ = ["ParquetReader", "filesystem_of"]

GROUPS_KEPT = 4  # row groups in memory per process: reading in order needs one, reading at random any number
FILES_KEPT = 32  # open files per process


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


def filesystem_of(place: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path in it."""
    try:
        if "://" in place:
            filesystem, path = pyarrow.fs.FileSystem.from_uri(place)
            return filesystem, path
        return pyarrow.fs.LocalFileSystem(), str(Path(place).expanduser().absolute())
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"dataset parquet:{place} cannot be reached: {one_line(error)}") from error
