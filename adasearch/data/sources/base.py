"""What every source of images has in common: records, readers, and how a picture becomes pixels."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from adasearch.callbacks import Progress
from adasearch.data.spec import Selection
from adasearch.errors import InputError

__all__ = [
    "Decoded",
    "Examples",
    "Fingerprint",
    "ImageReader",
    "Kind",
    "Listing",
    "array_listing",
    "digest_of",
    "pixels",
]


class ImageReader(Protocol):
    """Reads images one at a time, in any order; copies of it work in other processes."""

    def image(self, row: int) -> Image.Image:
        """Return the image of a row as RGB.

        Raises:
            InputError: it cannot be read; the message names the row and its file.
        """
        ...

    def where(self, row: int) -> str:
        """Say where a row lies, for messages: "row 3 of Parquet file a.parquet"."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listing:
    """What a source knows before it decodes a picture.

    Args:
        reader: of the images.
        labels: (examples,), integers.
        classes: how many there are; None takes the largest label plus one.
        test_from: the first row of the source's own test split, None if it has none.
        flip: whether a mirrored image still shows its class.
        names: identifies the examples without decoding them, independent of where they lie; with
            ``arrays`` it is their :class:`Fingerprint`.
        state: identifies the files as they are now, in a cache of decoded images; None if nothing can.
        arrays: the images (examples, 3, size, size) as uint8 where the source has them decoded.
        remote: whether images come over the network.
        val_from: the first row of the source's own validation split, which ends at ``test_from``; None if it
            has none. Without a test split of its own a source has no validation split either.
        class_names: of all classes, in the order of their numbers; None if nothing tells them.
        weights: of each training row, by which it is drawn; None if no column was asked for.
        understood: what was told apart by names or guessed, for the line that says it.
        notes: lines about what is left out or used otherwise.
    """

    reader: ImageReader
    labels: np.ndarray
    classes: int | None
    test_from: int | None
    flip: bool
    names: str
    state: str | None = None
    arrays: np.ndarray | None = None
    remote: bool = False
    val_from: int | None = None
    class_names: Sequence[str] | None = None
    weights: np.ndarray | None = None
    understood: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """A source that was opened: its labels are at hand, its images can be read one by one.

    Args:
        source: what the user called it.
        reader: of the images.
        labels: (examples,) as int64, in the order of the rows.
        classes: how many there are; every label is below it.
        test_from: rows from here on are the source's own test split; None if it has none.
        flip: whether a mirrored image still shows its class.
        image_size: height and width in pixels of the decoded images.
        names: identifies the examples without decoding them.
        state: identifies the files as they are now; None if nothing can.
        arrays: the decoded images, where the source has them in memory at this size.
        remote: whether images come over the network.
        fitted: whether images of other sizes are resized and cropped to ``image_size``.
        val_from: the first row of the source's own validation split; None if it has none.
        class_names: of all classes, or None.
        weights: of each training row, or None.
        understood: what was told apart by names or guessed.
        notes: lines about what is left out or used otherwise.
    """

    source: str
    reader: ImageReader
    labels: np.ndarray
    classes: int
    test_from: int | None
    flip: bool
    image_size: int
    names: str
    state: str | None
    arrays: np.ndarray | None
    remote: bool
    fitted: bool
    val_from: int | None = None
    class_names: Sequence[str] | None = None
    weights: np.ndarray | None = None
    understood: Sequence[str] = ()
    notes: Sequence[str] = ()

    def class_name(self, label: int) -> str:
        """Return what a class is called: its number where nothing tells its name."""
        return str(label) if self.class_names is None else self.class_names[label]

    @property
    def fingerprint(self) -> str:
        """What identifies the examples where their images stay undecoded."""
        if self.arrays is not None:
            return self.names
        return digest_of(self.names, self.labels, self.image_size if self.fitted else "as they are")

    @property
    def nbytes(self) -> int:
        """How large the decoded images are."""
        return len(self.labels) * 3 * self.image_size**2

    def pixels(self, row: int) -> np.ndarray:
        """Return the image of a row, (3, image_size, image_size) as uint8.

        Raises:
            InputError: it cannot be read, or has another size and no ``--image-size`` was given.
        """
        return pixels(self.reader, row, self.image_size, fit=self.fitted)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of source.

    Args:
        usage: how a user writes it.
        what: one line for the list of data sets.
        open: lists the examples at a place.
        selects: which fields of a selection mean something to it.
        place: where it looks if the user names no place; None if one must be named.
        local: whether a place is a path of this machine (or a URI).
        fetch: downloads the set to a place; None if that cannot be.
    """

    usage: str
    what: str
    open: Callable[[str, Selection, Progress], Listing]
    selects: frozenset[str] = frozenset()
    place: str | None = None
    local: bool = True
    fetch: Callable[[str], None] | None = None


class ArrayReader:
    """Images (examples, 3, height, width) as uint8 that are in memory anyway."""

    def __init__(self, images: np.ndarray, name: str) -> None:
        self._images = images
        self._name = name

    def image(self, row: int) -> Image.Image:
        """Return a row as an RGB picture."""
        return Image.fromarray(self._images[row].transpose(1, 2, 0))

    def where(self, row: int) -> str:
        """Say which example of which set it is."""
        return f"example {row} of {self._name}"


def pixels(reader: ImageReader, row: int, size: int, *, fit: bool) -> np.ndarray:
    """Return an image (3, size, size) as uint8.

    With ``fit`` the shorter side is resized to ``size`` and the middle of the longer one kept.

    Raises:
        InputError: the image cannot be read or, without ``fit``, has another size.
    """
    image = reader.image(row)
    if image.size != (size, size):
        if not fit:
            raise InputError(
                f"{reader.where(row)}: {image.width}x{image.height} pixels but {size}x{size} expected; "
                "images of several sizes need --image-size N, which resizes and crops all of them to NxN"
            )
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).transpose(2, 0, 1)


def digest_of(*parts: object) -> str:
    """Return 16 hexadecimal digits that depend on all parts: arrays by content, others by their text."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).data if isinstance(part, np.ndarray) else str(part).encode())
    return digest.hexdigest()[:16]


class Fingerprint:
    """Identifies decoded examples: every pixel, every label, the number of classes and the split."""

    def __init__(
        self, shape: tuple[int, ...], classes: int, test_from: int | None, val_from: int | None = None
    ) -> None:
        own = "" if val_from is None else f" {val_from}"
        self._digest = hashlib.sha256(f"{shape} {classes} {test_from}{own}".encode())

    def add(self, array: np.ndarray) -> "Fingerprint":
        """Take the next images, in order; after the last of them the labels."""
        self._digest.update(np.ascontiguousarray(array).data)
        return self

    def text(self) -> str:
        """Return 16 hexadecimal digits."""
        return self._digest.hexdigest()[:16]


def array_listing(
    images: np.ndarray, labels: np.ndarray, *, name: str, classes: int, test_from: int | None, flip: bool
) -> Listing:
    """Return the listing of a source that has all its images in memory."""
    images = np.ascontiguousarray(images)
    return Listing(
        reader=ArrayReader(images, name),
        labels=labels,
        classes=classes,
        test_from=test_from,
        flip=flip,
        names=Fingerprint(images.shape, classes, test_from).add(images).add(labels).text(),
        arrays=images,
    )
