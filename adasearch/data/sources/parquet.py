"""Parquet files with an image and a label column, as Hugging Face writes them.

Names tell the splits (:mod:`adasearch.data.sources.parquet_files`), and the file's metadata, else names, the
columns (:mod:`adasearch.data.sources.parquet_columns`). Images that stay in their files are read in
the order of training, at random, and Parquet gives a row only with its whole row group: a permuted pass reads
every group about as often as it has rows. Such a set wants small groups, which one line writes anew:
``pyarrow.parquet.write_table(table, path, row_group_size=32)``; a folder of image files has no such cost.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pyarrow.parquet as pq

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Kind, Listing, digest_of
from adasearch.data.sources.parquet_columns import Columns, columns_of, label_values, weight_values
from adasearch.data.sources.parquet_files import files_by_split, refuse_broken_shards
from adasearch.data.sources.parquet_folders import agreeing, folder_columns, with_folders
from adasearch.data.sources.parquet_reader import Found, ParquetReader, files_at, filesystem_of
from adasearch.data.sources.parquet_row_splits import refuse_other_splits
from adasearch.data.sources.split_names import held_out, splits_in
from adasearch.data.spec import Selection
from adasearch.errors import InputError, few, one_line, unknown

__all__ = ["PARQUET"]


class _Read(NamedTuple):
    """A file whose labels were read: its columns, the rows of each row group, and the labels (rows,)."""

    file: Found
    columns: Columns
    groups: list[int]
    labels: pa.ChunkedArray

    @property
    def rows(self) -> int:
        return sum(self.groups)

    @property
    def unlabelled(self) -> int:
        """How many rows have no label: none at all, or -1."""
        if len(self.labels) < self.rows:
            return self.rows
        numbers = pa.types.is_integer(self.labels.type)
        return int(
            self.labels.null_count + (pc.sum(pc.equal(self.labels, -1)).as_py() or 0 if numbers else 0)
        )


def _open(place: str, selection: Selection, progress: Progress) -> Listing:
    filesystem, path = filesystem_of(place)
    files, others = files_at(place, path, filesystem)
    found = {file.relative(path): file for file in files}
    by_split, notes = files_by_split(list(found), selection, f"dataset parquet:{place}")
    if all(file.name != path for file in found.values()):  # one that is asked for by itself is whole
        refuse_broken_shards(by_split, f"dataset parquet:{place}")
    told = folder_columns([name for names in by_split.values() for name in names])
    splits: dict[str, list[_Read]] = {split: [] for split in by_split}
    for split, names in by_split.items():
        for name in names:
            chosen = _chosen(splits["train"], selection)
            read = _read(found[name], told[name], filesystem, chosen, split)
            splits[split] += [read] if read.rows or split == "train" else []
            progress("reading labels", sum(map(len, splits.values())), sum(map(len, by_split.values())))
    if not any(read.rows for read in splits["train"]):
        raise InputError(f"dataset parquet:{place}: the files have no rows")
    notes += [f"not read, since no .parquet: {few(others)}"] if others else []
    for split in ("validation", "test"):
        notes += _without_labels(splits, split)
    notes += held_out(splits)
    reads = [read for split in splits.values() for read in split]
    labels, class_names = _numbered(reads, splits["train"])
    rows = [sum(read.rows for read in splits[split]) for split in ("train", "validation")]
    test_from = sum(rows) if splits["test"] else None
    val_from = rows[0] if splits["validation"] else None
    columns = reads[0].columns
    in_folders = {column for of in told.values() for column in of}
    sizes = [(read.file.name.removeprefix(path), read.file.size) for read in reads]
    classes = None if class_names is None else len(class_names)
    chosen_image = selection.image_column and f"image column {selection.image_column}"
    return Listing(
        reader=ParquetReader(place, [(read.file.name, read.columns.image, read.groups) for read in reads]),
        labels=labels,
        classes=classes,
        test_from=test_from,
        flip=True,
        names=digest_of(
            json.dumps(sizes), labels, classes, test_from, *filter(None, (val_from, chosen_image))
        ),
        state=digest_of(place, json.dumps(list(found.values())), selection),
        remote="://" in place,
        val_from=val_from,
        class_names=class_names,
        weights=_weights(splits["train"], filesystem, selection),
        understood=(
            f"label column `{columns.label}`" + (", told by folders" if columns.label in in_folders else ""),
            *([f"image column `{columns.image}`"] if chosen_image else []),
        ),
        notes=tuple(notes),
    )


def _chosen(train: list["_Read"], selection: Selection) -> Selection:
    """Return the selection with the columns of the first training file, which the others share."""
    if not train:
        return selection
    columns = train[0].columns
    return replace(selection, image_column=columns.image, label_column=columns.label)


def _without_labels(splits: dict[str, list["_Read"]], split: str) -> list[str]:
    """Leave a split out whose rows have no labels; return a line that says so."""
    rows = sum(read.rows for read in splits[split])
    missing = sum(read.unlabelled for read in splits[split])
    if not missing:
        return []
    splits[split] = []
    return [f"the {split} split is left out, since {missing:,} of its {rows:,} rows have no label"]


def _numbered(files: list["_Read"], train: list["_Read"]) -> tuple[np.ndarray, list[str] | None]:
    """Return labels (rows,) as int64 and the classes' names; texts are numbered in their order.

    Raises:
        InputError: files that differ in their classes or in the kind of their labels.
    """
    first = files[0]
    names = None if first.columns.classes is None else list(first.columns.classes)
    for read in files:
        if read.labels.type != first.labels.type:
            raise InputError(
                f"Parquet file {read.file.name} has labels of type {read.labels.type} where the others have "
                f"{first.labels.type}"
            )
        theirs = None if read.columns.classes is None else list(read.columns.classes)
        if theirs is not None and names is not None and theirs != names:
            raise InputError(
                f"Parquet file {read.file.name} names "
                + (
                    f"the classes {few(theirs)}, others {few(names)}"
                    if len(theirs) == len(names)
                    else f"{len(theirs)} classes where the others name {len(names)}"
                )
            )
        names = names or theirs
    column = pa.chunked_array([chunk for read in files for chunk in read.labels.chunks], first.labels.type)
    if not pa.types.is_large_string(first.labels.type):
        numbers = pc.fill_null(column, -1).to_numpy().astype(np.int64)
        return (numbers, names) if names else _without_gaps(numbers)
    trained = pa.chunked_array([chunk for read in train for chunk in read.labels.chunks], pa.large_string())
    texts = sorted(trained.unique().to_pylist())
    labels = pc.index_in(column, value_set=pa.array(texts, pa.large_string()))
    if labels.null_count:
        lacking = column.filter(pc.is_null(labels)).unique().to_pylist()
        raise InputError(
            f"the test or validation split has class {few(lacking)}, which is not among the "
            f"{len(texts)} classes of the training split"
        )
    return labels.to_numpy().astype(np.int64), texts


def _without_gaps(numbers: np.ndarray) -> tuple[np.ndarray, list[str] | None]:
    """Return labels numbered anew, and their names, where less than half of all up to the largest occur."""
    values = np.unique(numbers)
    if values[0] < 0 or 2 * len(values) > values[-1]:
        return numbers, None
    return np.searchsorted(values, numbers), [str(value) for value in values]


def _weights(
    train: list["_Read"], filesystem: pyarrow.fs.FileSystem, selection: Selection
) -> np.ndarray | None:
    """Return the weight of each training row where a column is named; balanced ones need no column."""
    if selection.weights in (None, "balanced"):
        return None
    found = []
    for read in train:
        with _reading(read.file.name), pq.ParquetFile(filesystem.open_input_file(read.file.name)) as file:
            if selection.weights not in file.schema_arrow.names:
                known = [*file.schema_arrow.names, "balanced"]
                raise unknown("column for --weights", str(selection.weights), known)
            column = file.read(columns=[selection.weights]).column(0)
        found.append(weight_values(column, partial(_row_of, read.file.name)))
    weights = np.concatenate(found)
    if not weights.any():
        raise InputError(
            f"column {selection.weights!r} for --weights is 0 in all {len(weights):,} training rows"
        )
    return weights


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        raise InputError(f"Parquet file {name} is damaged or no Parquet file: {one_line(error)}") from error


def _row_of(name: str, row: int) -> str:
    return f"row {row} of Parquet file {name}"


def _read(
    found: Found,
    told: Mapping[str, int | str | None],
    filesystem: pyarrow.fs.FileSystem,
    selection: Selection,
    split: str,
) -> "_Read":
    """Return a file's columns, the rows of each row group, and its labels; ``told`` is what its folders name.

    Of a split that is not trained on, a file may lack the column.
    """
    name, labelled = found.name, split == "train"
    with _reading(name), pq.ParquetFile(filesystem.open_input_file(name)) as file:
        held, metadata = file.schema_arrow, file.metadata
        schema = with_folders(held, told)
        groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        column = schema.get_field_index(selection.label_column) if selection.label_column else -1
        if not labelled and (column < 0 or pa.types.is_null(schema.field(column).type)):
            return _Read(
                found, Columns(image="", label="", classes=None), groups, pa.chunked_array([], pa.null())
            )
        columns = columns_of(f"Parquet file {name}", schema, selection)
        called = {split} if split != "train" or selection.split is None else splits_in(selection.split)
        refuse_other_splits(file, f"Parquet file {name}", columns, called)
        if columns.label in held.names:
            labels = label_values(file.read(columns=[columns.label]).column(0), partial(_row_of, name))
            agreeing(labels, columns, told, f"Parquet file {name}")
        else:
            kind = schema.field(columns.label).type
            constant = pa.chunked_array([pa.array([told[columns.label]] * metadata.num_rows, kind)])
            labels = label_values(constant, partial(_row_of, name))
    if labelled and labels.null_count:
        row = labels.combine_chunks().is_null().to_numpy(zero_copy_only=False).argmax()
        raise InputError(f"{_row_of(name, row)}: column {columns.label!r} is empty")
    return _Read(found, columns, groups, labels)


PARQUET = Kind(
    usage="parquet:PATH",
    what="Parquet files with an image and a label column, as Hugging Face writes them; a file, folder or URI",
    open=_open,
    selects=frozenset({"label_column", "image_column", "config", "split", "weights"}),
)
