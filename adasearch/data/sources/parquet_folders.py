"""Columns that folders name and files do not hold, as Hive and Spark write them: ``label=cat/``."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

import pyarrow as pa

from adasearch.data.sources.parquet_columns import Columns
from adasearch.data.sources.split_names import SPLIT_COLUMNS, splits_in
from adasearch.errors import InputError, few

__all__ = ["agreeing", "folder_columns", "with_folders"]

_NONE = "__HIVE_DEFAULT_PARTITION__"
_Value = int | str | None


def folder_columns(paths: Sequence[str]) -> dict[str, dict[str, _Value]]:
    """Return of each file, by its path, the columns that its folders name; integers where all of one are.

    >>> folder_columns(["label=3/a.parquet", "label=10/a.parquet"])["label=3/a.parquet"]
    {'label': 3}
    """
    texts = {path: _named_by(path) for path in paths}
    values: dict[str, set[str]] = {}
    for named in texts.values():
        for key, text in named.items():
            values.setdefault(key, set()).add(text)
    numbers = {key for key, of in values.items() if all(_is_number(text) for text in of - {_NONE})}

    def value(key: str, text: str) -> _Value:
        return None if text == _NONE else int(text) if key in numbers else text

    return {path: {key: value(key, text) for key, text in named.items()} for path, named in texts.items()}


def _named_by(path: str) -> dict[str, str]:
    pairs = [part.split("=", 1) for part in PurePosixPath(path).parts[:-1] if "=" in part]
    return {
        key: unquote(text)
        for key, text in pairs
        if key and not (key.lower() in SPLIT_COLUMNS and splits_in(text))
    }


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and len(text) < 19


def with_folders(schema: pa.Schema, told: Mapping[str, _Value]) -> pa.Schema:
    """Return a file's columns, and those that its folders name and it does not hold."""
    for name, value in told.items():
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string() if isinstance(value, str) else pa.int64()))
    return schema


def agreeing(labels: pa.ChunkedArray, columns: Columns, told: Mapping[str, _Value], where: str) -> None:
    """Refuse labels that a file holds where its folder tells others.

    Raises:
        InputError: with both.
    """
    if columns.label not in told:
        return
    folder = told[columns.label]
    for held in labels.unique().to_pylist():
        names = columns.classes or ()
        named = names[held] if isinstance(held, int) and 0 <= held < len(names) else held
        if str(folder) not in (str(held), str(named)):
            raise InputError(
                f"{where}: column {columns.label!r} holds {few([held])} but the folder tells "
                f"{columns.label}={folder}"
            )
