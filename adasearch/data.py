"""Images on the device, and batches of any size from an endless stream of permutations.

The whole set lives on the device as uint8, so a change of batch size is a longer slice and nothing more.
Sources: ``digits`` (scikit-learn's 1,797 images, no download), ``cifar10[:ROOT]`` and ``cifar100[:ROOT]``
(a torchvision folder, ``data`` by default), and ``parquet:PATH`` (a file, folder or URI of Parquet files).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from adasearch.errors import InputError
from adasearch.sources import Decoded, Progress, decode, no_progress

__all__ = ["Augmentation", "Batches", "DataSpec", "Dataset", "Split", "load_dataset"]

VALIDATION_SHARE = 0.1
SMALL_POOL = 10_000  # examples; below it a tenth is too few to compare errors, so a fifth is taken
TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which data: everything that decides what the splits contain.

    Args:
        source: ``digits``, ``cifar10[:ROOT]``, ``cifar100[:ROOT]`` or ``parquet:PATH``.
        subset: training examples to keep (a stratified draw), None for all.
        seed: of the split and of the draw.
    """

    source: str
    subset: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Random pad-and-crop by up to ``padding`` pixels and, if ``flip``, a random horizontal flip."""

    padding: int
    flip: bool


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """A data set ready to train on; the test split is absent unless it was asked for.

    ``mean`` and ``std`` are per channel, in [0, 1], over the training split. ``fingerprint`` identifies
    the decoded examples, their official split included.
    """

    train: Split
    val: Split
    test: Split | None
    classes: int
    image_size: int
    augmentation: Augmentation
    mean: Tensor
    std: Tensor
    fingerprint: str

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

    def normalise(self, images: Tensor) -> Tensor:
        """Turn uint8 images (batch, channels, height, width) into floats of mean 0 and variance 1."""
        dtype = torch.get_default_dtype()
        mean = (self.mean * 255).to(dtype).view(1, -1, 1, 1)
        std = (self.std * 255).to(dtype).view(1, -1, 1, 1)
        return images.to(dtype).sub_(mean).div_(std)


def load_dataset(spec: DataSpec, *, include_test: bool = False, progress: Progress = no_progress) -> Dataset:
    """Decode a source (or read it from the cache) and split it, stratified by label.

    The test split is the source's own or, where it has none, a fifth. Validation is a tenth of the rest,
    or a fifth where the rest is below 10,000 examples. A subset keeps that proportion.

    Raises:
        InputError: an unknown source, missing or damaged files, or a subset that does not fit.
    """
    decoded = decode(spec.source, progress)
    train, val, test = _indices(decoded, spec)
    images = torch.from_numpy(decoded.images)
    labels = torch.from_numpy(decoded.labels)

    def split(rows: np.ndarray) -> Split:
        index = torch.from_numpy(rows)
        return Split(images[index].contiguous(), labels[index].contiguous())

    train_split = split(train)
    mean, std = _channel_statistics(train_split.images)
    return Dataset(
        train=train_split,
        val=split(val),
        test=split(test) if include_test else None,
        classes=decoded.classes,
        image_size=decoded.images.shape[-1],
        augmentation=Augmentation(padding=decoded.images.shape[-1] // 8, flip=decoded.flip),
        mean=mean,
        std=std,
        fingerprint=decoded.fingerprint,
    )


def _channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel, each of shape (channels,), of uint8 images."""
    count = images.numel() // images.shape[1]
    total = square = torch.zeros(images.shape[1], dtype=torch.float64)
    for part in images.split(1024):  # in parts: as floats the whole set would take eight times its memory
        pixels = part.to(torch.float64).div_(255)
        total = total + pixels.sum(dim=(0, 2, 3))
        square = square + pixels.square().sum(dim=(0, 2, 3))
    mean = total / count
    return mean, (square / count - mean.square()).clamp_min(1e-6).sqrt()


def _indices(decoded: Decoded, spec: DataSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of the training, validation and test split."""
    everything = np.arange(len(decoded.labels))
    if decoded.test_from is not None:
        pool, test = everything[: decoded.test_from], everything[decoded.test_from :]
    else:
        pool, test = _stratified(everything, decoded.labels, TEST_SHARE, spec)
    share = VALIDATION_SHARE if len(pool) >= SMALL_POOL else 2 * VALIDATION_SHARE
    if spec.subset is not None:
        most = len(pool) - max(1, round(len(pool) * share))
        if not decoded.classes <= spec.subset <= most:
            raise InputError(
                f"--subset must lie between {decoded.classes} (one example a class) and {most} "
                f"(the training split of {spec.source}) but got {spec.subset}"
            )
        share = 2 * VALIDATION_SHARE if spec.subset < SMALL_POOL else share
        kept = max(round(spec.subset / (1 - share)), spec.subset + decoded.classes)
        if len(pool) - kept >= decoded.classes:  # a stratified draw leaves at least one example a class
            _, pool = _stratified(pool, decoded.labels, kept, spec)
        train, val = _stratified(pool, decoded.labels, len(pool) - spec.subset, spec)
    else:
        train, val = _stratified(pool, decoded.labels, share, spec)
    return np.sort(train), np.sort(val), np.sort(test)


def _stratified(
    rows: np.ndarray, labels: np.ndarray, second: float, spec: DataSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Split ``rows`` in two, alike in labels; ``second`` is the share or number of the second part."""
    try:
        first, rest = train_test_split(rows, test_size=second, stratify=labels[rows], random_state=spec.seed)
    except ValueError as error:
        raise InputError(f"{spec.source} cannot be split by label: {error}") from error
    return first, rest


class Batches:
    """Batches of any size from an endless stream of permutations of one split.

    Permutation k is drawn from (seed, k) and augmentation from (seed, step), for the global batch: neither
    the batch size nor the number of workers changes which examples come, in which order, or how the
    examples of a step are cropped. No example is skipped or repeated when the size changes; a batch may
    cross the border between two permutations.
    """

    def __init__(self, data: Dataset, seed: int) -> None:
        self._data = data
        self._seed = seed
        self._device = data.train.images.device
        self._permutation_number = -1
        self._permutation = torch.empty(0, dtype=torch.int64)
        padding = data.augmentation.padding
        padded = torch.nn.functional.pad(data.train.images, (padding,) * 4)
        size = data.image_size
        # Every crop of every image as a view (examples, channels, rows, columns, height, width): no copy.
        self._crops = padded.unfold(2, size, 1).unfold(3, size, 1)

    def indices(self, offset: int, count: int) -> Tensor:
        """Return which examples the stream holds at ``offset`` to ``offset + count``, shape (count,)."""
        size = len(self._data.train)
        parts = []
        while count > 0:
            number, start = divmod(offset, size)
            if number != self._permutation_number:
                self._permutation = torch.randperm(size, generator=_generator(self._seed, 0, number))
                self._permutation_number = number
            parts.append(self._permutation[start : start + count])
            offset += len(parts[-1])
            count -= len(parts[-1])
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def chunks(
        self, offset: int, step: int, batch_size: int, parts: int, mine: range
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this worker's part of one global batch, augmented and normalised.

        The batch is cut into ``parts`` chunks whose sizes differ by at most one; ``mine`` says which of
        them this worker takes. Yields images (chunk, channels, height, width) and labels (chunk,).
        """
        augmentation = self._data.augmentation
        shifts = 2 * augmentation.padding + 1
        index = self.indices(offset, batch_size)
        generator = _generator(self._seed, 1, step)
        drawn = torch.randint(shifts * shifts * 2, (batch_size,), generator=generator)
        base, extra = divmod(batch_size, parts)
        for part in mine:
            start = part * base + min(part, extra)
            rows = slice(start, start + base + (part < extra))
            chosen = index[rows].to(self._device, non_blocking=True)
            crop = drawn[rows].to(self._device, non_blocking=True)
            place = crop // 2
            images = self._crops[chosen, :, place // shifts, place % shifts]
            if augmentation.flip:
                mirrored = (crop % 2).bool().view(-1, 1, 1, 1)
                images = torch.where(mirrored, images.flip(-1), images)
            yield self._data.normalise(images), self._data.train.labels[chosen]


def _generator(seed: int, stream: int, position: int) -> torch.Generator:
    """Return a generator that depends on all three numbers, so that any position can be drawn alone."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{position}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
