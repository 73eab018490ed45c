"""The texts of Parquet files, a document a row: column ``text``, ``content``, or the only one of strings."""

from collections.abc import Iterator
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from adasearch.callbacks import Progress
from adasearch.data.sources.parquet_files import files_by_split, refuse_broken_shards
from adasearch.data.sources.parquet_reader import filesystem_of
from adasearch.data.sources.split_names import is_hidden
from adasearch.data.spec import Selection
from adasearch.data.text.documents import Document, Texts
from adasearch.errors import InputError, few, one_line

__all__ = ["parquet_texts"]

USUAL = ("text", "content")


def parquet_texts(place: str, selection: Selection, progress: Progress) -> Texts:
    """Return the texts of a file, or of a folder's files, with the splits that their names tell, and notes.

    Raises:
        InputError: no such files, damaged ones, or none or several columns that may be the text.
    """
    where = f"dataset parquet:{place}"
    filesystem, root = filesystem_of(place)
    found = _files(filesystem, root, where)
    by_split, notes = files_by_split(list(found), selection, where)
    if root not in found.values():  # one that is asked for by itself is whole
        refuse_broken_shards(by_split, where)
    documents = []
    names = [(split, found[name]) for split, names in by_split.items() for name in names]
    for done, (split, name) in enumerate(names):
        progress("reading text", done, len(names))
        documents += [Document(text, split) for text in _texts(filesystem, name)]
    progress("reading text", len(names), len(names))
    if not any(each.split == "train" for each in documents):
        raise InputError(f"{where}: the files have no text to train on")
    return documents, notes


def _files(filesystem: pyarrow.fs.FileSystem, root: str, where: str) -> dict[str, str]:
    """Return the Parquet files by their names below the root."""
    try:
        info = filesystem.get_file_info(root)
        found = [info]
        if info.type == pyarrow.fs.FileType.Directory:
            found = filesystem.get_file_info(pyarrow.fs.FileSelector(root, recursive=True))
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{where} cannot be reached: {error}") from error
    names = [each.path for each in found if each.is_file and each.path.lower().endswith(".parquet")]
    below = {name.removeprefix(root).strip("/") or PurePosixPath(name).name: name for name in names}
    seen = {
        short: name
        for short, name in below.items()
        if not any(is_hidden(part) or part.startswith("_") for part in short.split("/"))
    }
    if not seen:
        raise InputError(f"{where}: no Parquet file there")
    return seen


def _texts(filesystem: pyarrow.fs.FileSystem, name: str) -> Iterator[bytes]:
    """Yield the texts of a file; rows without one are left out."""
    try:
        with pq.ParquetFile(filesystem.open_input_file(name)) as file:
            column = _column(file.schema_arrow, name)
            for batch in file.iter_batches(columns=[column]):
                yield from (text.encode() for text in batch.column(0).to_pylist() if text)
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"Parquet file {name} is damaged or no Parquet file: {one_line(error)}") from error


def _column(schema: pa.Schema, name: str) -> str:
    texts = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    for usual in USUAL:
        if usual in texts:
            return usual
    if len(texts) != 1:
        kinds = f"the columns {few(texts)} of text" if texts else "no column of text"
        raise InputError(f"Parquet file {name} has {kinds}; the one to train on is called text or content")
    return str(texts[0])
