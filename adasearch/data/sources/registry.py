"""Where images come from, one kind of source per file.

To add a kind: one file here and one line in ``KINDS``. :func:`open_source` lists the examples and reads no
more images than it must; :func:`decode` reads them all. Every source takes an image size: images are then
resized by their shorter side and cropped to the middle. Without one all images have to be squares of the
first one's size.
"""

import difflib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from adasearch.callbacks import Progress, no_progress
from adasearch.data.sources.base import Decoded, Examples, ImageReader, Kind, Listing
from adasearch.data.sources.cache import decode_all
from adasearch.data.sources.digits import DIGITS
from adasearch.data.sources.folder import FOLDER
from adasearch.data.sources.function import open_function
from adasearch.data.sources.parquet import PARQUET
from adasearch.data.sources.torchvision_sets import CIFAR10, CIFAR100, FASHION_MNIST
from adasearch.data.spec import NO_SELECTION, Selection
from adasearch.data.text.kinds import TEXT_SOURCES, is_text
from adasearch.errors import InputError, few, unknown
from adasearch.user_code import find_own

__all__ = ["SOURCES", "absolute", "decode", "fetch", "open_source"]

KINDS: dict[str, Kind] = {
    "digits": DIGITS,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
    "fashion_mnist": FASHION_MNIST,
    "parquet": PARQUET,
    "folder": FOLDER,
}
SOURCES = {
    **{kind.usage: kind.what for kind in KINDS.values()},
    "module:function": "your own: a function that returns (train, test) as data sets of PyTorch's kind",
    **TEXT_SOURCES,
}
LARGEST_IMAGE = 8192  # pixels a side; mean and deviation of each pixel alone are then 1.6 GB


def open_source(
    source: str,
    *,
    image_size: int | None = None,
    selection: Selection = NO_SELECTION,
    progress: Progress = no_progress,
) -> Examples:
    """List the examples of a source named as in ``SOURCES``.

    Raises:
        InputError: an unknown source, files that are missing or damaged or hold something else, or labels
            that do not match the classes.
    """
    if image_size is not None and not 1 <= image_size <= LARGEST_IMAGE:
        rule = "be at least 1" if image_size < 1 else f"lie in 1 to {LARGEST_IMAGE}"
        raise InputError(f"--image-size must {rule} but got {image_size}")
    known, place = _kind(source)
    _check_selection(source, known, selection)
    listing = open_function(source, progress) if known is None else known.open(place, selection, progress)
    labels = listing.labels.astype(np.int64)
    classes = int(labels.max()) + 1 if listing.classes is None else listing.classes
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise InputError(
            f"{listing.reader.where(wrong[0])}: label {labels[wrong[0]]} is outside 0 to {classes - 1}"
        )
    if known is not None and known.selects:  # where names tell the splits
        _check_held_out(listing, labels)
    own_size = listing.arrays.shape[-1] if listing.arrays is not None else None
    size = image_size or own_size or _size_of_first(listing.reader)
    return Examples(
        source=source,
        reader=listing.reader,
        labels=labels,
        classes=classes,
        test_from=listing.test_from,
        flip=listing.flip,
        image_size=size,
        names=listing.names,
        state=listing.state,
        arrays=listing.arrays if size == own_size else None,
        remote=listing.remote,
        fitted=image_size is not None,
        val_from=listing.val_from,
        class_names=listing.class_names,
        weights=listing.weights,
        understood=listing.understood,
        notes=(*listing.notes, *_alike(listing.class_names or ())),
    )


def _alike(names: Sequence[str]) -> list[str]:
    """Return a line about classes that may be one, since only case or spaces tell them apart.

    >>> _alike(["cat", "Cat ", "dog"]), _alike(["a", "A"])
    (["classes 'cat', 'Cat ' differ in case or spaces alone"], [])
    """
    same: dict[str, list[str]] = {}
    for name in names:
        same.setdefault(" ".join(name.lower().split()), []).append(name)
    pairs = [
        of for key, of in same.items() if len(of) > 1 and (len(key) > 1 or len({*map(str.strip, of)}) == 1)
    ]
    return (
        [f"classes {few([repr(name) for name in pairs[0]])} differ in case or spaces alone"] if pairs else []
    )


def _check_selection(source: str, known: Kind | None, selection: Selection) -> None:
    """Refuse to select what this kind of source does not have; balanced weights need labels alone."""
    for field in fields(Selection):
        value = getattr(selection, field.name)
        able = field.name in known.selects if known else False
        if value is not None and not able and (field.name, value) != ("weights", "balanced"):
            takers = ", ".join(f"{name}:" for name, kind in KINDS.items() if field.name in kind.selects)
            raise InputError(
                f"--{field.name.replace('_', '-')} {value} is for {takers} but got --dataset {source}"
            )


def _check_held_out(listing: Listing, labels: np.ndarray) -> None:
    """Refuse classes that occur where errors are counted and never in training."""
    held_out = listing.test_from if listing.val_from is None else listing.val_from
    if held_out is None:
        return
    lacking = np.setdiff1d(labels[held_out:], labels[:held_out])
    if len(lacking):
        row = held_out + int(np.flatnonzero(labels[held_out:] == lacking[0])[0])
        name = str(lacking[0]) if listing.class_names is None else listing.class_names[lacking[0]]
        raise InputError(
            f"{listing.reader.where(row)}: class {name!r} has images to validate or test with but none to "
            "train on"
        )


def decode(
    source: str,
    progress: Progress = no_progress,
    *,
    image_size: int | None = None,
    selection: Selection = NO_SELECTION,
) -> Decoded:
    """Return the examples of a source, all images decoded and in memory (or mapped from the cache).

    Raises:
        InputError: as :func:`open_source`, or an image cannot be read or has another size.
    """
    examples = open_source(source, image_size=image_size, selection=selection, progress=progress)
    return decode_all(examples, progress)


def fetch(source: str) -> None:
    """Download a source to its place, if it is not there yet.

    Raises:
        InputError: this kind of source cannot be downloaded.
        AdasearchError: the download failed.
    """
    known, place = _kind(source)
    if known is None or known.fetch is None:
        able = ", ".join(name for name, kind in KINDS.items() if kind.fetch is not None)
        raise InputError(f"--download is for {able} but got --dataset {source}")
    known.fetch(place)


def absolute(source: str) -> str:
    """Return a source whose path does not depend on the working directory.

    >>> absolute("digits"), absolute("parquet:s3://bucket/images"), absolute("my_module:load")
    ('digits', 'parquet:s3://bucket/images', 'my_module:load')
    """
    kind = source.partition(":")[0]
    if kind not in KINDS or not KINDS[kind].local:
        return source
    _, place = _kind(source)
    return source if "://" in place else f"{kind}:{Path(place).expanduser().absolute()}"


def _kind(source: str) -> tuple[Kind | None, str]:
    """Return the kind and place of a source; no kind for a function of the user's own.

    Raises:
        InputError: neither.
    """
    name, colon, place = source.partition(":")
    if is_text(source):
        raise InputError(f"dataset {source} is text, and not images")
    if name not in KINDS:
        if not colon or not place or _misspelt(name):
            raise unknown("dataset", source, SOURCES)
        return None, place
    kind = KINDS[name]
    if colon and not kind.local:
        raise unknown("dataset", source, SOURCES)
    place = place or kind.place or ""
    if not place and kind.place is None:
        raise unknown("dataset", source, SOURCES)
    return kind, place


def _misspelt(name: str) -> bool:
    """Tell whether a name is close to a kind's and no module."""
    near = difflib.get_close_matches(name, KINDS, n=1, cutoff=0.8)
    return bool(near) and find_own(name) is None


def _size_of_first(reader: ImageReader) -> int:
    """Return the size that all images have to have where none was asked for."""
    image = reader.image(0)
    if image.width != image.height:
        raise InputError(
            f"{reader.where(0)}: {image.width}x{image.height} pixels; images that are not square need "
            "--image-size N (224 is usual for photographs), which resizes and crops all of them to NxN"
        )
    return image.width
