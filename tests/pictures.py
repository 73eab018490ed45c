"""Small pictures, and sources of them, for tests."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from adasearch.data.sources.base import Decoded


def pictures(count: int, size: int = 8, seed: int = 0) -> np.ndarray:
    """Return random images of shape (count, 3, size, size)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def encoded(image: np.ndarray) -> bytes:
    """Return an image of shape (channels, height, width) as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(
    path: Path,
    images: Sequence[bytes | None],
    labels: Sequence[int | None],
    *,
    names: Sequence[str] | None = None,
    kind: str = "struct",
    image_column: str = "img",
    label_column: str = "label",
) -> Path:
    """Write a file in Hugging Face's layout; ``kind`` may be a plain binary column instead."""
    if kind == "struct":
        image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        rows = [{"bytes": blob, "path": None} for blob in images]
        column = pa.array(rows, image_type)
    else:
        column = pa.array(images, {"binary": pa.binary(), "large_binary": pa.large_binary()}[kind])
    table = pa.table({image_column: column, label_column: pa.array(labels, pa.int64())})
    if names is not None:
        features = {label_column: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def write_pictures(path: Path, images: np.ndarray, *, classes: int = 3, kind: str = "struct") -> Path:
    """Write images whose labels go round the classes."""
    blobs = [encoded(image) for image in images]
    labels = [row % classes for row in range(len(images))]
    return write_parquet(path, blobs, labels, names=[f"class {n}" for n in range(classes)], kind=kind)


class Calls:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.told.append((what, done, total))


def assert_equal(one: Decoded, other: Decoded) -> None:
    """Check that two sources hold the same examples."""
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    for name in ("classes", "test_from", "flip", "fingerprint"):
        assert getattr(one, name) == getattr(other, name), name


def write_image(path: Path, image: np.ndarray) -> Path:
    """Write an image (3, height, width) as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(image))
    return path


def write_folder(root: Path, images: np.ndarray, *, classes: int = 3) -> list[int]:
    """Write images whose labels go round the classes into a folder per class; return labels in that order."""
    for row, image in enumerate(images):
        write_image(root / f"class {row % classes}" / f"{row:04}.png", image)
    return sorted(row % classes for row in range(len(images)))


def in_folder_order(images: np.ndarray, classes: int = 3) -> np.ndarray:
    """Return what ``write_folder`` was given in the order in which the folder lists it."""
    return np.concatenate([images[label::classes] for label in range(classes)])
