"""What a data set is made of: splits, and how their images are normalised and augmented."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from adasearch.choices import Task
from adasearch.data.crops import Crops

__all__ = ["LAYOUT", "Augmentation", "Dataset", "ExampleSplit", "Feed", "Normaliser", "Split"]

LAYOUT = torch.channels_last  # of images and networks; as fast or faster, on a CPU, too: benchmarks/layout.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random pad-and-crop by up to ``padding`` pixels and, if ``flip``, a random horizontal flip."""

    padding: int
    flip: bool


class Feed(Protocol):
    """Gives the training images that a stream of batches asks for, at places of that stream.

    What differs between images in memory and images in files is in here; order, cuts and augmentation are
    drawn by :class:`~adasearch.data.batches.Batches` for both.
    """

    def expect(self, shares: Sequence[range]) -> None:
        """Hear which places of the stream come next, one range a step; nothing else is read ahead."""
        ...

    def crops(self, places: range, rows: Tensor) -> tuple[Crops, Tensor, Tensor]:
        """Return the crops of some images, which of these images stand at ``places``, and their labels.

        ``rows`` (places,) are the split's rows that stand there. Returns images' numbers (places,) and
        labels (places,), on the device as the crops are.
        """
        ...


class ExampleSplit(Protocol):
    """Examples with their labels (examples,) as int64 at hand; images in memory or in files."""

    @property
    def labels(self) -> Tensor:
        """The label of each example, on the device."""
        ...

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> "ExampleSplit":
        """Return the split with its labels, and the images that it gives, on ``device``."""
        ...

    def pieces(self, size: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (piece, channels, height, width) as uint8 and labels (piece,), in order.

        Of all pieces of ``size`` examples, the last one shorter, worker ``rank`` of ``world`` gets its own.
        """
        ...

    def feed(self, padding: int, rows_at: Callable[[range], Tensor]) -> Feed:
        """Return what gives images to a stream; ``rows_at`` says which rows stand at places of it."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images (examples, channels, height, width) as uint8 and labels (examples,) as int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """Return the split on ``device``."""
        return Split(self.images.to(device), self.labels.to(device))

    def pieces(self, size: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels, in order, of every ``world``-th piece of ``size`` examples."""
        for start in range(rank * size, len(self), world * size):
            yield self.images[start : start + size], self.labels[start : start + size]

    def feed(self, padding: int, rows_at: Callable[[range], Tensor]) -> Feed:
        """Return what gives images to a stream: crops of all images."""
        return _MemoryFeed(Crops(self.images, padding), self.labels)


class _MemoryFeed:
    """All crops of all images, so that a batch of any size is one indexing."""

    def __init__(self, crops: Crops, labels: Tensor) -> None:
        self._crops = crops
        self._labels = labels

    def expect(self, shares: Sequence[range]) -> None:
        """Nothing to prepare: all is here."""

    def crops(self, places: range, rows: Tensor) -> tuple[Crops, Tensor, Tensor]:
        """Return all crops there are, the rows, and their labels."""
        rows = rows.to(self._labels.device, non_blocking=True)
        return self._crops, rows, self._labels[rows]


class Normaliser:
    """Turns uint8 images into floats of mean 0 and variance 1, with their channels last in memory.

    Floats are of PyTorch's default type when it is made.

    Args:
        mean: of each channel, (channels,), in [0, 1].
        std: likewise.
        image_size: pixels a side. Mean and deviation are kept at this size: three numbers a pixel are too
            few to compute with fast.
    """

    def __init__(self, mean: Tensor, std: Tensor, image_size: int) -> None:
        shape = (1, len(mean), image_size, image_size)
        self._dtype = torch.get_default_dtype()
        self._mean, self._std = (
            (each * 255).to(self._dtype).view(1, -1, 1, 1).expand(shape).contiguous(memory_format=LAYOUT)
            for each in (mean, std)
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Return images (batch, channels, height, width), normalised."""
        return images.to(self._dtype, memory_format=LAYOUT).sub_(self._mean).div_(self._std)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A data set ready to train on; the test split is absent unless it was asked for.

    ``mean`` and ``std`` are per channel, in [0, 1], over the training split (or a sample of it, where images
    stay in files). ``fingerprint`` identifies the examples, their official split included. ``weights``
    (training examples,), on the CPU, are those by which examples are drawn; None where each comes once an
    epoch.
    """

    train: ExampleSplit
    val: ExampleSplit
    test: ExampleSplit | None
    classes: int
    image_size: int
    augmentation: Augmentation
    mean: Tensor
    std: Tensor
    fingerprint: str
    weights: Tensor | None = None
    task: Task = "images"

    def to(self, device: torch.device) -> "Dataset":
        """Return the data set with its splits on ``device``."""
        return replace(
            self,
            train=self.train.to(device),
            val=self.val.to(device),
            test=None if self.test is None else self.test.to(device),
            # In the type of the network first: not every device has float64.
            mean=self.mean.to(torch.get_default_dtype()).to(device),
            std=self.std.to(torch.get_default_dtype()).to(device),
        )

    def normaliser(self) -> Normaliser:
        """Return what turns the images of each split into the network's input."""
        return Normaliser(self.mean, self.std, self.image_size)
