"""The sets that torchvision can read from a folder and, if asked, download to it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Kind, Listing, array_listing
from adasearch.data.spec import Selection
from adasearch.errors import AdasearchError, InputError

__all__ = ["CIFAR10", "CIFAR100", "FASHION_MNIST"]

FASHION_PADDING = 2  # pixels on each side, black as the background is: 28 become 32, and no pixel changes

# What torchvision's readers let out for files that are missing, cut short or something else.
_DAMAGE = (RuntimeError, OSError, EOFError, ValueError, AssertionError, KeyError)


def _reader(name: str) -> Callable[..., Any]:
    import torchvision

    reader: Callable[..., Any] = getattr(torchvision.datasets, name)
    return reader


def _open(kind: str, name: str, place: str, _: Selection, progress: Progress) -> Listing:
    root = Path(place).expanduser()
    parts: list[Any] = []
    for train in (True, False):
        progress(f"reading {kind}", len(parts), 2)
        try:
            parts.append(_reader(name)(root, train=train))
        except _DAMAGE as error:
            raise InputError(
                f"dataset {kind}: no intact torchvision copy under {str(root)!r}; add --download to fetch it "
                f"there, or name its root as {kind}:ROOT"
            ) from error
    progress(f"reading {kind}", 2, 2)
    images = np.concatenate([_three_channels(np.asarray(part.data)) for part in parts])
    labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
    classes, test_from = len(parts[0].classes), len(parts[0].data)
    listing = array_listing(images, labels, name=kind, classes=classes, test_from=test_from, flip=True)
    return replace(listing, class_names=[str(each) for each in parts[0].classes])


def _three_channels(images: np.ndarray) -> np.ndarray:
    """Turn colour (n, height, width, 3) or grey images (n, 28, 28) into (n, 3, height, width)."""
    if images.ndim == 4:
        return images.transpose(0, 3, 1, 2)
    edge = (FASHION_PADDING, FASHION_PADDING)
    return np.repeat(np.pad(images, ((0, 0), edge, edge))[:, None], 3, axis=1)


def _fetch(kind: str, name: str, place: str) -> None:
    """Let torchvision download what is not there yet; one process at a time.

    Raises:
        AdasearchError: the set cannot be fetched or written.
    """
    root = Path(place).expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{kind}.lock"):
            _reader(name)(root, train=True, download=True)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise AdasearchError(f"dataset {kind} cannot be downloaded to {str(root)!r}: {reason}") from error


def _kind(kind: str, name: str, what: str) -> Kind:
    return Kind(
        usage=f"{kind}[:ROOT]",
        what=f"{what} in a torchvision folder (default: data; --download fetches it)",
        open=partial(_open, kind, name),
        place="data",
        fetch=partial(_fetch, kind, name),
    )


CIFAR10 = _kind("cifar10", "CIFAR10", "CIFAR-10, 60,000 images of 32×32,")
CIFAR100 = _kind("cifar100", "CIFAR100", "CIFAR-100, 60,000 images of 32×32,")
FASHION_MNIST = _kind(
    "fashion_mnist", "FashionMNIST", "Fashion-MNIST, 70,000 grey images of 28×28, padded to 32×32,"
)
