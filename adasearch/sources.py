"""Where images come from: files in, decoded arrays out, with a cache of what is slow to decode."""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from platformdirs import user_cache_path

from adasearch.errors import InputError, unknown

__all__ = ["SOURCES", "Decoded", "Progress", "absolute", "decode", "no_progress"]

SOURCES = {
    "digits": "scikit-learn's handwritten digits, 1,797 grey images, enlarged to 16×16; no download",
    "cifar10[:ROOT]": "CIFAR-10 in a torchvision folder (default: data), 60,000 images of 32×32",
    "cifar100[:ROOT]": "CIFAR-100 in a torchvision folder (default: data), 60,000 images of 32×32",
    "parquet:PATH": "Parquet files with an image and a label column, as Hugging Face writes them",
}
CACHE_VERSION = 1
DIGITS_SIZE = 16  # pixels; the originals have 8, too few for networks that halve the image five times

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """Images (examples, 3, height, width) as uint8 and labels (examples,) as int64, in file order.

    Rows from ``test_from`` on are the source's own test split; None if it has none. ``flip`` tells
    whether a mirrored image still shows its class.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: int
    test_from: int | None
    flip: bool
    fingerprint: str


def decode(source: str, progress: Progress = no_progress) -> Decoded:
    """Return the examples of a source named as in ``SOURCES``.

    Raises:
        InputError: an unknown source, or files that are missing, damaged or hold something else.
    """
    kind, _, place = source.partition(":")
    if source == "digits":
        return _digits()
    if kind in ("cifar10", "cifar100"):
        return _cifar(kind, Path(place or "data"))
    if kind == "parquet" and place:
        return _parquet(place, progress)
    raise unknown("dataset", source, SOURCES)


def absolute(source: str) -> str:
    """Return a source whose path does not depend on the working directory.

    >>> absolute("digits"), absolute("parquet:s3://bucket/images")
    ('digits', 'parquet:s3://bucket/images')
    """
    kind, colon, place = source.partition(":")
    if kind in ("cifar10", "cifar100"):
        return f"{kind}:{Path(place or 'data').expanduser().absolute()}"
    if not colon or "://" in place:
        return source
    return f"{kind}:{Path(place).expanduser().absolute()}"


def _digits() -> Decoded:
    import torch
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = torch.from_numpy(digits.images).mul(255 / 16).unsqueeze(1)
    large = torch.nn.functional.interpolate(grey, size=DIGITS_SIZE, mode="bilinear", align_corners=False)
    images = large.round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous().numpy()
    return _checked(images, digits.target.astype(np.int64), classes=10, test_from=None, flip=False)


def _cifar(kind: str, root: Path) -> Decoded:
    import torchvision

    reader = {"cifar10": torchvision.datasets.CIFAR10, "cifar100": torchvision.datasets.CIFAR100}[kind]
    try:
        parts = [reader(root, train=train) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"dataset {kind}: no intact torchvision copy under {str(root)!r}; name its root as {kind}:ROOT, "
            "or use parquet:PATH"
        ) from error
    images = np.concatenate([part.data for part in parts]).transpose(0, 3, 1, 2)
    labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
    return _checked(images, labels, classes=len(parts[0].classes), test_from=len(parts[0].data), flip=True)


def _checked(
    images: np.ndarray, labels: np.ndarray, *, classes: int, test_from: int | None, flip: bool
) -> Decoded:
    images = np.ascontiguousarray(images)
    digest = hashlib.sha256(f"{images.shape} {classes} {test_from}".encode())
    digest.update(images.data)
    digest.update(labels.data)
    return Decoded(
        images=images,
        labels=labels,
        classes=classes,
        test_from=test_from,
        flip=flip,
        fingerprint=digest.hexdigest()[:16],
    )


# --- Parquet ---------------------------------------------------------------------------------------


def _parquet(place: str, progress: Progress) -> Decoded:
    files, sizes, filesystem = _parquet_files(place)
    key = hashlib.sha256(json.dumps([CACHE_VERSION, sizes]).encode()).hexdigest()[:24]
    folder = user_cache_path("adasearch") / "decoded" / key
    if (folder / "meta.json").exists():
        return _from_cache(folder)
    train = [name for name in files if not Path(name).name.startswith("test")]
    test = [name for name in files if Path(name).name.startswith("test")]
    if not train:
        raise InputError(f"dataset parquet:{place}: only test files found, no training data")
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    classes: int | None = None
    test_from = None
    total = 0
    tables = []
    for name in train + test:
        table, image_column, label_column, named = _read_table(name, filesystem)
        tables.append((name, table, image_column, label_column))
        classes = named if named is not None else classes
        total += table.num_rows
    if not total:
        raise InputError(f"dataset parquet:{place}: the files have no rows")
    done = 0
    for name, table, image_column, label_column in tables:
        if name in test and test_from is None:
            test_from = done
        column = table.column(image_column).combine_chunks()
        blobs = column.field("bytes") if pa.types.is_struct(column.type) else column
        for row, blob in enumerate(blobs):
            images.append(_decode_image(blob.as_py(), name, row, images[0] if images else None))
            done += 1
            if done % 500 == 0 or done == total:
                progress("decoding images", done, total)
        labels.append(table.column(label_column).to_numpy().astype(np.int64))
    all_labels = np.concatenate(labels)
    classes = classes if classes is not None else int(all_labels.max()) + 1
    _check_labels(all_labels, classes, [(name, table.num_rows) for name, table, _, _ in tables])
    decoded = _checked(np.stack(images), all_labels, classes=classes, test_from=test_from, flip=True)
    _to_cache(decoded, folder)
    return decoded


def _parquet_files(place: str) -> tuple[list[str], list[tuple[str, int, str]], pyarrow.fs.FileSystem]:
    """Return the Parquet files of a file, folder or URI, with name, size and time of each."""
    try:
        if "://" in place:
            filesystem, path = pyarrow.fs.FileSystem.from_uri(place)
        else:
            filesystem, path = pyarrow.fs.LocalFileSystem(), str(Path(place).expanduser().absolute())
        info = filesystem.get_file_info(path)
        if info.type == pyarrow.fs.FileType.Directory:
            found = filesystem.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
        else:
            found = [info]
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"dataset parquet:{place} cannot be reached: {error}") from error
    files = sorted(
        (item for item in found if item.is_file and item.path.endswith(".parquet")),
        key=lambda item: item.path,
    )
    if not files:
        raise InputError(f"dataset parquet:{place}: no Parquet file there")
    return (
        [item.path for item in files],
        [(item.path, item.size, str(item.mtime)) for item in files],
        filesystem,
    )


def _read_table(name: str, filesystem: pyarrow.fs.FileSystem) -> tuple[pa.Table, str, str, int | None]:
    """Return a file's table, its image and label columns, and the number of classes if it names them."""
    try:
        table = pq.read_table(name, filesystem=filesystem)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"Parquet file {name} is damaged or no Parquet file: {error}") from error
    images = [field.name for field in table.schema if _holds_images(field.type)]
    labels = [field.name for field in table.schema if pa.types.is_integer(field.type)]
    if not images:
        raise InputError(f"Parquet file {name} has no image column (struct with bytes, or binary)")
    if not labels:
        raise InputError(f"Parquet file {name} has no label column (integer)")
    preferred = [column for column in ("label", "fine_label") if column in labels]
    label = (preferred or labels)[0]
    for column in (images[0], label):
        if table.column(column).null_count:
            raise InputError(f"Parquet file {name}: column {column!r} has empty values")
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    names = metadata.get("info", {}).get("features", {}).get(label, {}).get("names")
    return table, images[0], label, len(names) if names else None


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _decode_image(blob: bytes, name: str, row: int, first: np.ndarray | None) -> np.ndarray:
    from PIL import Image

    try:
        image: np.ndarray = np.asarray(Image.open(io.BytesIO(blob)).convert("RGB")).transpose(2, 0, 1)
    # Pillow's readers let all of these out, depending on where the damage lies.
    except (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError) as error:
        raise InputError(f"Parquet file {name}: the image in row {row} cannot be read: {error}") from error
    if image.shape[1] != image.shape[2]:
        raise InputError(
            f"Parquet file {name}: images must be square but row {row} has {image.shape[1:]} pixels"
        )
    if first is not None and image.shape != first.shape:
        raise InputError(
            f"Parquet file {name}: images must be of one size but row {row} has {image.shape[1:]} pixels "
            f"after {first.shape[1:]}"
        )
    return image


def _check_labels(labels: np.ndarray, classes: int, files: list[tuple[str, int]]) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if not len(wrong):
        return
    row = int(wrong[0])
    for name, rows in files:
        if row < rows:
            raise InputError(
                f"Parquet file {name}: label {labels[wrong[0]]} in row {row} is outside 0 to {classes - 1}"
            )
        row -= rows


def _to_cache(decoded: Decoded, folder: Path) -> None:
    """Write a folder beside its place and rename it there, so that readers see all of it or nothing."""
    with suppress(OSError):  # a cache that cannot be written costs time, no run
        _write_cache(decoded, folder)


def _write_cache(decoded: Decoded, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    np.save(draft / "images.npy", decoded.images)
    np.save(draft / "labels.npy", decoded.labels)
    meta = {name: getattr(decoded, name) for name in ("classes", "test_from", "flip", "fingerprint")}
    (draft / "meta.json").write_text(json.dumps(meta))
    try:
        os.rename(draft, folder)
    except OSError:  # another process was first; its copy is the same
        shutil.rmtree(draft, ignore_errors=True)


def _from_cache(folder: Path) -> Decoded:
    meta = json.loads((folder / "meta.json").read_text())
    # Pages of the file are shared by all processes that read it, and only the rows used are read.
    images = np.load(folder / "images.npy", mmap_mode="c")
    return Decoded(images=images, labels=np.load(folder / "labels.npy"), **meta)
