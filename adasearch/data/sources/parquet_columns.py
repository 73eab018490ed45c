"""Which columns of a Parquet file hold images and labels, and what the labels mean.

The file's own ``huggingface`` metadata decide (Image, ClassLabel), then names and types. Where more than one
column is left, the user chooses.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adasearch.data.spec import Selection
from adasearch.errors import InputError, few, unknown

__all__ = ["Columns", "columns_of", "label_values", "weight_values"]

IMAGE_NAMES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png")
LABEL_NAMES = (
    "label",
    "labels",
    "fine_label",
    "class",
    "category",
    "target",
    "class_label",
    "y",
    "cls",
    "label_id",
    "class_id",
    "category_id",
)
OTHER_KINDS = ("Audio", "Video", "Pdf", "Nifti")  # of Hugging Face, which have bytes and a path, too
LARGEST = 2**53  # up to which floats tell integers apart
NO_LABELS = (  # "image_id" and "imageId", too
    "id",
    "index",
    "idx",
    "width",
    "height",
    "size",
    "row",
    "year",
    "fold",
    "age",
    "seed",
    "timestamp",
    "frame",
    "count",
    "num",
    "page",
    "version",
    "path",
    "url",
    "filename",
    "file_name",  # not "class_name"
)
_HUMP = re.compile(r"(?<=[a-z\d])(?=[A-Z])")  # of imageId


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a file holds its images and labels, and the names of the classes if it tells them."""

    image: str
    label: str
    classes: Sequence[str] | None


def columns_of(where: str, schema: pa.Schema, selection: Selection) -> Columns:
    """Return the columns of a file.

    Raises:
        InputError: there is none, or there are several.
    """
    features = _features(schema)
    twice = [name for name in schema.names if schema.names.count(name) > 1]
    if twice:
        raise InputError(f"{where} has {twice.count(twice[0])} columns called {twice[0]!r}")
    image = selection.image_column or _image_column(where, schema, features)
    label = selection.label_column or _label_column(where, schema, features)
    for option, name, holds in (("image", image, _holds_images), ("label", label, _holds_labels)):
        if name not in schema.names:
            raise unknown(f"column of {where}", name, schema.names)
        if not holds(schema.field(name).type):
            raise InputError(f"{where}: column {name!r} {_instead(schema.field(name).type)}, no {option}s")
    names = features.get(label, {}).get("names")
    classes = [str(name) for name in names] if isinstance(names, list) and names else None
    same = [name for name in classes or () if (classes or []).count(name) > 1]
    if same:
        raise InputError(f"{where}: column {label!r} names class {same[0]!r} {same.count(same[0])} times")
    return Columns(image=image, label=label, classes=classes)


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """Return what Hugging Face's metadata say of each column; nothing where they say nothing readable."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {name: feature for name, feature in told.items() if isinstance(feature, dict)}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def _image_column(where: str, schema: pa.Schema, features: dict[str, dict[str, Any]]) -> str:
    kinds = {name: feature.get("_type") for name, feature in features.items()}
    fitting = [field.name for field in schema if _holds_images(field.type)]
    fitting = [name for name in fitting if kinds.get(name) not in OTHER_KINDS]
    told = [name for name in fitting if kinds.get(name) == "Image"]
    structs = [name for name in fitting if pa.types.is_struct(schema.field(name).type)]
    found = _narrowed(told or structs or fitting, IMAGE_NAMES)
    if not found:
        raise InputError(
            f"{where} has no image column (struct with bytes, or binary) but {_listed(schema, schema.names)}"
        )
    return _only(where, "image", schema, found)


def _label_column(where: str, schema: pa.Schema, features: dict[str, dict[str, Any]]) -> str:
    fitting = [field.name for field in schema if _holds_labels(field.type)]
    told = [name for name in fitting if features.get(name, {}).get("_type") == "ClassLabel"]
    if told:
        return _only(where, "label", schema, _narrowed(told, LABEL_NAMES))
    named = [name for name in schema.names if name.lower() in LABEL_NAMES]
    if named:
        column = _only(where, "label", schema, named)
        if column not in fitting:
            kind = schema.field(column).type
            raise InputError(f"{where}: column {column!r} {_instead(kind)}, no label of one class")
        return column
    possible = [name for name in fitting if not _counts(name)]
    if not any(_holds_integers(schema.field(name).type) for name in possible):
        raise InputError(
            f"{where} has no label column (integer, or called {few(LABEL_NAMES)}) but "
            f"{_listed(schema, schema.names)}; --label-column NAME takes one"
        )
    # floats are measured; texts and truth values may as well be the labels, and the integers something else
    rivals = [name for name in possible if not _holds_floats(schema.field(name).type)]
    return _only(where, "label", schema, rivals)


def _counts(name: str) -> bool:
    """Tell whether a column is called as one that numbers, measures or finds the images."""
    plain = _HUMP.sub("_", name).lower()
    if plain in LABEL_NAMES:  # classId
        return False
    return name.startswith("__") or plain in NO_LABELS or plain.rpartition("_")[2] in NO_LABELS


def _narrowed(found: list[str], names: Sequence[str]) -> list[str]:
    """Return those of several columns that have a usual name, if any has."""
    return found[:1] if len(found) == 1 else [name for name in found if name.lower() in names] or found


def _only(where: str, option: str, schema: pa.Schema, found: list[str]) -> str:
    if len(found) > 1:
        raise InputError(
            f"{where} has {len(found)} {option} columns: {_listed(schema, found)}; "
            f"--{option}-column NAME takes one of them"
        )
    return found[0]


def _listed(schema: pa.Schema, names: Sequence[str]) -> str:
    return few([f"{name} ({_short(schema.field(schema.get_field_index(name)).type)})" for name in names])


def _short(kind: pa.DataType) -> str:
    return str(kind) if len(str(kind)) < 30 else str(kind)[:27] + "..."


def _instead(kind: pa.DataType) -> str:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"holds lists ({_short(kind)})"
    return f"holds {_short(kind)}"


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    kind = _plain(kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _holds_integers(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(_plain(kind)))


def _holds_floats(kind: pa.DataType) -> bool:
    kind = _plain(kind)
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _holds_text(kind: pa.DataType) -> bool:
    kind = _plain(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _holds_labels(kind: pa.DataType) -> bool:
    number = _holds_integers(kind) or _holds_floats(kind) or pa.types.is_boolean(_plain(kind))
    return bool(number or _holds_text(kind))


def label_values(column: pa.ChunkedArray, name: Callable[[int], str]) -> pa.ChunkedArray:
    """Return labels (rows,) as int64 or large_string, null where a row has none.

    ``name`` says where a row lies.

    Raises:
        InputError: a number that is no integer.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if _holds_text(column.type):
        texts = column.cast(pa.large_string())
        return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.large_string()), texts)
    if _holds_floats(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        broken = pc.or_(pc.not_equal(column, pc.floor(column)), pc.greater(pc.abs(column), LARGEST))
        broken = pc.fill_null(broken, False).to_numpy().nonzero()[0]
        if len(broken):
            value = column[int(broken[0])].as_py()
            raise InputError(f"{name(int(broken[0]))}: {value} is no label, which is an integer")
    if pa.types.is_uint64(column.type):
        large = (
            pc.fill_null(pc.greater(column, pa.scalar(2**63 - 1, pa.uint64())), False).to_numpy().nonzero()[0]
        )
        if len(large):
            value = column[int(large[0])].as_py()
            raise InputError(f"{name(int(large[0]))}: label {value} is too large, the most is {2**63 - 1}")
    return column.cast(pa.int64())


def weight_values(column: pa.ChunkedArray, name: Callable[[int], str]) -> np.ndarray:
    """Return weights (rows,) as float64.

    Raises:
        InputError: one is no number, not finite or below 0.
    """
    kind = column.type
    if not (pa.types.is_integer(kind) or _holds_floats(kind) or pa.types.is_boolean(kind)):
        raise InputError(f"{name(0)}: the column of --weights {_instead(kind)}, no numbers")
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    values = column.cast(pa.int8() if pa.types.is_boolean(kind) else column.type).cast(
        pa.float64(), safe=False
    )
    numbers = pc.fill_null(values, float("nan")).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(numbers) | (numbers < 0))
    if len(wrong):
        raise InputError(
            f"{name(int(wrong[0]))}: a weight must be a number of at least 0 but is {numbers[wrong[0]]}"
        )
    return np.asarray(numbers)
