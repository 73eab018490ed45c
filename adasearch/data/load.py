"""From a source of images to the splits of a data set, in memory or streamed.

Small sets live on the device as uint8, so that a change of batch size is a longer slice and nothing more.
What would take more than ``memory_limit`` when decoded stays in its files, and worker processes read it ahead
of its use (:mod:`adasearch.data.streaming`). Both give the same batches.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor

from adasearch.callbacks import Progress, no_progress
from adasearch.data.cards import DataCard
from adasearch.data.sources.base import Examples
from adasearch.data.sources.cache import decode_all, keep_numbers, kept_numbers
from adasearch.data.sources.registry import open_source
from adasearch.data.spec import DataSpec
from adasearch.data.splits import Augmentation, Dataset, Split
from adasearch.data.streaming import RowLoader, StreamedSplit
from adasearch.data.understood import understood
from adasearch.errors import InputError

__all__ = ["card_of", "load_dataset"]

VALIDATION_SHARE = 0.1
SMALL_POOL = 10_000  # examples; below it a tenth is too few to compare errors, so a fifth is taken
TEST_SHARE = 0.2
SAMPLE = 4096
"""Training images, evenly spaced, from which the mean and deviation of a streamed set are taken.

The means of photographs scatter by about 0.15, so that of 4,096 is known to about 0.0025.
"""
PIECE = 1024  # images; as floats the whole set would take eight times its memory


def card_of(spec: DataSpec, progress: Progress = no_progress) -> DataCard:
    """Open a source and split it, but copy no image out of the cache; what a streamed set needs is measured.

    Raises:
        InputError: as :func:`load_dataset`.
    """
    examples = open_source(
        spec.source, image_size=spec.image_size, selection=spec.selection, progress=progress
    )
    train, val, test = _indices(examples, spec)
    if examples.nbytes > spec.memory_limit:  # its workers find the mean and deviation that are kept here
        fingerprint = _streamed(examples, spec, train, val, None, progress).fingerprint
    else:
        fingerprint = decode_all(examples, progress).fingerprint
    return DataCard(
        train=len(train),
        val=len(val),
        classes=examples.classes,
        image_size=examples.image_size,
        fingerprint=fingerprint,
        understood=(understood(examples, spec, len(val), len(test)), *examples.notes),
    )


def load_dataset(spec: DataSpec, *, include_test: bool = False, progress: Progress = no_progress) -> Dataset:
    """Open a source, split it, stratified by label, and decode it if it fits in memory.

    The test split is the source's own or, where it has none, a fifth. Validation is the source's own, too,
    if it has both, and otherwise a tenth of the rest, or a fifth where the rest is below 10,000 examples. A
    subset keeps that proportion.

    Raises:
        InputError: an unknown source, missing or damaged files, or a subset that does not fit.
    """
    examples = open_source(
        spec.source, image_size=spec.image_size, selection=spec.selection, progress=progress
    )
    train, val, test = _indices(examples, spec)
    if examples.nbytes > spec.memory_limit:
        return _streamed(examples, spec, train, val, test if include_test else None, progress)
    decoded = decode_all(examples, progress)
    images = torch.from_numpy(decoded.images)
    labels = torch.from_numpy(decoded.labels)

    def split(rows: np.ndarray) -> Split:
        index = torch.from_numpy(rows)
        return Split(images[index].contiguous(), labels[index].contiguous())

    train_split = split(train)
    mean, std = _channel_statistics(images for images, _ in train_split.pieces(PIECE))
    return Dataset(
        train=train_split,
        val=split(val),
        test=split(test) if include_test else None,
        classes=examples.classes,
        image_size=examples.image_size,
        augmentation=_augmentation(examples),
        mean=mean,
        std=std,
        fingerprint=decoded.fingerprint,
        weights=_weights(examples, spec, train),
    )


def _augmentation(examples: Examples) -> Augmentation:
    return Augmentation(padding=examples.image_size // 8, flip=examples.flip)


def _streamed(
    examples: Examples,
    spec: DataSpec,
    train: np.ndarray,
    val: np.ndarray,
    test: np.ndarray | None,
    progress: Progress,
) -> Dataset:
    loader = RowLoader(examples)
    labels = torch.from_numpy(examples.labels)

    def split(rows: np.ndarray) -> StreamedSplit:
        index = torch.from_numpy(rows)
        return StreamedSplit(loader, index, labels[index])

    train_split = split(train)
    mean, std = _sampled_statistics(
        train_split, f"{examples.fingerprint} {spec.subset} {spec.seed} {SAMPLE}", progress
    )
    return Dataset(
        train=train_split,
        val=split(val),
        test=None if test is None else split(test),
        classes=examples.classes,
        image_size=examples.image_size,
        augmentation=_augmentation(examples),
        mean=mean,
        std=std,
        fingerprint=examples.fingerprint,
        weights=_weights(examples, spec, train),
    )


def _sampled_statistics(split: StreamedSplit, key: str, progress: Progress) -> tuple[Tensor, Tensor]:
    """Return the statistics of at most ``SAMPLE`` images, which are kept: decoding them takes a while."""
    kept = kept_numbers(key)
    if kept is None:
        count = min(SAMPLE, len(split))
        chosen = torch.arange(count) * len(split) // count
        sample = StreamedSplit(split.loader, split.rows[chosen], split.labels[chosen])

        def pieces() -> Iterable[Tensor]:
            done = 0
            for images, _ in sample.pieces(PIECE):
                done += len(images)
                progress("measuring mean and deviation of a sample", done, len(sample))
                yield images

        kept = [statistic.tolist() for statistic in _channel_statistics(pieces())]
        keep_numbers(key, kept)
    mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in kept)
    return mean, std


def _channel_statistics(pieces: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel, each of shape (channels,), of uint8 images."""
    count = 0
    total = square = torch.zeros((), dtype=torch.float64)
    for images in pieces:
        pixels = images.to(torch.float64).div_(255)
        total = total + pixels.sum(dim=(0, 2, 3))
        square = square + pixels.square().sum(dim=(0, 2, 3))
        count += math.prod(images.shape) // images.shape[1]
    mean = total / count
    return mean, (square / count - mean.square()).clamp_min(1e-6).sqrt()


def _indices(examples: Examples, spec: DataSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of the training, validation and test split."""
    if examples.classes < 2:
        raise InputError(f"{spec.source} has images of {examples.classes} class, but at least 2 are needed")
    everything = np.arange(len(examples.labels))
    if examples.val_from is not None:
        pool, val, test = np.split(everything, [examples.val_from, examples.test_from or len(everything)])
        return _own_validation(examples, spec, pool), val, test
    if examples.test_from is not None:
        pool, test = np.split(everything, [examples.test_from])
    else:
        pool, test = _stratified(everything, examples, TEST_SHARE, spec)
    share = VALIDATION_SHARE if len(pool) >= SMALL_POOL else 2 * VALIDATION_SHARE
    if spec.subset is not None:
        _check_subset(examples, spec, len(pool) - max(1, round(len(pool) * share)))
        share = 2 * VALIDATION_SHARE if spec.subset < SMALL_POOL else share
        kept = max(round(spec.subset / (1 - share)), spec.subset + examples.classes)
        if len(pool) - kept >= examples.classes:  # a stratified draw leaves at least one example a class
            _, pool = _stratified(pool, examples, kept, spec)
        train, val = _stratified(pool, examples, len(pool) - spec.subset, spec)
    else:
        train, val = _stratified(pool, examples, share, spec)
    return np.sort(train), np.sort(val), np.sort(test)


def _own_validation(examples: Examples, spec: DataSpec, pool: np.ndarray) -> np.ndarray:
    """Return the rows to train on where the source has a validation split of its own, which stays whole."""
    if spec.subset is None:
        return pool
    _check_subset(examples, spec, len(pool))
    if len(pool) - spec.subset < examples.classes:  # a stratified draw leaves at least one example a class
        return np.sort(np.random.default_rng(spec.seed).permutation(pool)[: spec.subset])
    return np.sort(_stratified(pool, examples, spec.subset, spec)[1])


def _check_subset(examples: Examples, spec: DataSpec, most: int) -> None:
    if spec.subset is not None and not examples.classes <= spec.subset <= most:
        raise InputError(
            f"--subset must lie between {examples.classes} (one example a class) and {most} "
            f"(the training split of {spec.source}) but got {spec.subset}"
        )


def _stratified(
    rows: np.ndarray, examples: Examples, second: float, spec: DataSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Split ``rows`` in two, alike in labels; ``second`` is the share or number of the second part."""
    labels = examples.labels[rows]
    try:
        first, rest = train_test_split(rows, test_size=second, stratify=labels, random_state=spec.seed)
    except ValueError as error:
        present, counts = np.unique(labels, return_counts=True)
        rarest = counts.argmin()
        if counts[rarest] >= 2:
            raise InputError(
                f"{spec.source} cannot be split by label: {len(rows):,} images are too few for "
                f"{len(present):,} classes"
            ) from error
        draws = 1 + (examples.test_from is None) + (spec.subset is not None)
        raise InputError(
            f"{spec.source} cannot be split by label: class {examples.class_name(int(present[rarest]))!r} "
            f"has {counts[rarest]} of the {len(rows):,} images, but at least {draws + 1} are needed"
        ) from error
    return first, rest


def _weights(examples: Examples, spec: DataSpec, train: np.ndarray) -> Tensor | None:
    """Return by which weight each training example is drawn; None where each comes once an epoch."""
    if spec.selection.weights is None:
        return None
    if examples.weights is not None:
        weights = examples.weights[train]
        if not weights.any():
            raise InputError(
                f"column {spec.selection.weights!r} for --weights is 0 in all {len(train):,} images that are "
                f"trained on, of {len(examples.weights):,} with a weight"
            )
        return torch.from_numpy(weights)
    labels = torch.from_numpy(examples.labels[train])
    return 1 / labels.bincount(minlength=examples.classes)[labels].to(torch.float64)
