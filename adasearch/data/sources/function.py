"""A function of the user's own that returns data sets of PyTorch's kind.

It is called without arguments, in each process that trains, and returns a pair ``(train, test)`` of map-style
data sets, with None for ``test`` where a fifth of ``train`` shall be kept as test split. ``len(data)`` is the
number of examples and ``data[i]`` the pair (image, label): the image a Pillow image, or a uint8 tensor or
array of shape (3, height, width) or, grey, (1, height, width); the label an integer from 0. Images come
neither scaled nor augmented, for adasearch does both. Arrays need ``torch.utils.data.TensorDataset`` around
them.

Labels are taken from the attribute ``targets``, as torchvision's sets have it, and otherwise by going
through all examples. An attribute ``classes`` tells the number of classes, otherwise the largest label does.
An attribute ``flip`` that is False on ``train`` says that a mirrored image no longer shows its class.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from PIL import Image

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Listing, digest_of
from adasearch.data.sources.decoding import as_rgb
from adasearch.errors import InputError
from adasearch.user_code import load_own

__all__ = ["open_function"]

SAMPLE = 64  # images, evenly spaced, that tell one version of a user's data from another
EXPECTED = "(train, test) of map-style data sets, test may be None"


class _FunctionReader:
    """The examples of the user's data sets, one behind the other; every example is checked as it is read."""

    def __init__(self, name: str, sets: Sequence[Any], labels: np.ndarray) -> None:
        self._name = name
        self._sets = sets
        self._labels = labels
        self._first = len(sets[0])

    def image(self, row: int) -> Image.Image:
        """Return an example's picture."""
        image, label = _example(*self._find(row), self.where(row))
        if label != self._labels[row]:
            raise InputError(
                f"{self.where(row)} came with label {label}, but 'targets' or an earlier look "
                f"gave {self._labels[row]}"
            )
        return _picture(image, self.where(row))

    def where(self, row: int) -> str:
        """Name the split and the example."""
        split = "train" if row < self._first else "test"
        return f"example {self._find(row)[1]} of {split} of {self._name}"

    def _find(self, row: int) -> tuple[Any, int]:
        return (self._sets[0], row) if row < self._first else (self._sets[1], row - self._first)


def open_function(name: str, progress: Progress) -> Listing:
    """Call the function ``module:function`` and list its examples.

    Raises:
        InputError: it cannot be imported or called, or returns something else; the message says what.
    """
    function = load_own("dataset", name)
    if not callable(function):
        raise InputError(f"dataset {name!r} must be a function but is {_said(function)}")
    try:
        result = cast(Callable[[], object], function)()
    except (Exception, SystemExit) as error:  # whatever the user's function does
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"dataset {name!r} raised {reason}") from error
    sets = _checked(name, result)
    labels = np.concatenate([_labels(name, data, progress) for data in sets])
    reader = _FunctionReader(name, sets, labels)
    sample = [np.asarray(reader.image(row)) for row in np.linspace(0, len(labels) - 1, SAMPLE).astype(int)]
    counts = [_classes(name, data) for data in sets if hasattr(data, "classes")]
    if len(set(counts)) > 1:
        raise InputError(f"dataset {name!r}: train has {counts[0]} classes but test has {counts[1]}")
    return Listing(
        reader=reader,
        labels=labels,
        classes=counts[0] if counts else None,
        test_from=len(sets[0]) if len(sets) > 1 else None,
        flip=bool(getattr(sets[0], "flip", True)),
        names=digest_of(labels, *sample, [len(data) for data in sets], counts),
    )


def _checked(name: str, result: object) -> list[Any]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        length = f" of {len(result)}" if isinstance(result, tuple | list) else ""
        raise InputError(
            f"dataset {name!r} must return a pair {EXPECTED} but returned {_said(result)}{length}"
        )
    sets = [data for data in result if data is not None]
    for data in sets:
        if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
            raise InputError(
                f"dataset {name!r} must return a pair {EXPECTED} but one of them is {_said(data)}, "
                "which has no len() or no [i]"
            )
    if result[0] is None or not all(len(data) for data in sets):
        raise InputError(f"dataset {name!r} must return a pair {EXPECTED} but one of them has no examples")
    return sets


def _classes(name: str, data: Any) -> int:
    """Return how many classes a data set names or counts."""
    classes = data.classes
    if isinstance(classes, int) and classes >= 1:
        return classes
    if not hasattr(classes, "__len__"):
        raise InputError(
            f"dataset {name!r}: classes must be their names or their number but is {_said(classes)}"
        )
    return len(classes)


def _labels(name: str, data: Any, progress: Progress) -> np.ndarray:
    """Return the labels (examples,) of one data set as int64."""
    targets = getattr(data, "targets", None)
    if targets is None:
        found = []
        for row in range(len(data)):
            found.append(_example(data, row, f"dataset {name!r}, example {row}")[1])
            if (row + 1) % 500 == 0:
                progress("reading labels", row + 1, len(data))
        return np.array(found, dtype=np.int64)
    labels = np.asarray(targets)
    if labels.shape != (len(data),) or labels.dtype.kind not in "iu":
        raise InputError(
            f"dataset {name!r}: 'targets' must be {len(data)} integers but is {_said(targets)} "
            f"of shape {labels.shape} and type {labels.dtype}"
        )
    return labels.astype(np.int64)


def _example(data: Any, row: int, where: str) -> tuple[object, int]:
    try:
        example = data[row]
    except Exception as error:  # whatever the user's data set does
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{where} raised {reason}") from error
    if not isinstance(example, tuple | list) or len(example) != 2:
        raise InputError(f"{where} must be a pair (image, label) but is {_said(example)}")
    image, label = example
    number = np.asarray(label)
    if number.shape != () or number.dtype.kind not in "iu":
        raise InputError(f"{where}: the label must be an integer but is {_said(label)}: {label!r}")
    return image, int(number)


def _picture(image: object, where: str) -> Image.Image:
    if isinstance(image, Image.Image):
        return as_rgb(image, where)
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[0] not in (1, 3):
        raise InputError(
            f"{where}: the image must be a Pillow image or uint8 of shape (3, height, width) or (1, height, "
            f"width) but is {_said(image)} of shape {array.shape} and type {array.dtype}"
        )
    return Image.fromarray(
        np.ascontiguousarray(np.broadcast_to(array, (3, *array.shape[1:])).transpose(1, 2, 0))
    )


def _said(value: object) -> str:
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ in ("builtins", "torch", "numpy")
        else f"{kind.__module__}.{kind.__qualname__}"
    )
