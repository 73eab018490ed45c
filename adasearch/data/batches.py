"""Training batches of any size from an endless stream of permutations, augmented and normalised."""

import hashlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from adasearch.data.permutations import PermutationStream, part_rows
from adasearch.data.splits import Dataset
from adasearch.data.weighted_draws import weighted_draws

__all__ = ["Batches", "seed_of"]


class Batches:
    """Batches of any size from an endless stream of permutations of one split.

    Permutation k is drawn from (seed, k) and augmentation from (seed, step), for the global batch: neither
    the batch size nor the number of workers, nor whether images are in memory or in files, changes which
    examples come, in which order, or how the examples of a step are cropped. No example is skipped or
    repeated when the size changes; a batch may cross the border between two permutations. Where the data have
    weights, draws with replacement take the place of permutations, as many as there are examples. ``stream``
    tells which examples stand where.
    """

    def __init__(self, data: Dataset, seed: int) -> None:
        self._data = data
        self._normalise = data.normaliser()
        self._seed = seed
        draw = None if data.weights is None else partial(weighted_draws, data.weights, seed)
        self.stream = PermutationStream(len(data.train), partial(seed_of, seed, 0), draw)
        self._feed = data.train.feed(data.augmentation.padding, self.stream.at)

    def prepare(self, offset: int, batch_size: int, steps: int, parts: int, mine: range) -> None:
        """Say what the next steps take: ``steps`` batches from ``offset`` on, this worker its parts of each.

        Images in files are read ahead so far and no further, so that nothing is read in vain when the batch
        size changes. What was not announced, such as an edge of other ``parts``, is read when asked for.
        """
        first = part_rows(batch_size, parts, mine[0]).start
        last = part_rows(batch_size, parts, mine[-1]).stop
        starts = range(offset, offset + steps * batch_size, batch_size)
        self._feed.expect([range(start + first, start + last) for start in starts])

    def chunks(
        self, offset: int, step: int, batch_size: int, parts: int, mine: range
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this worker's part of one global batch, augmented and normalised.

        The batch is cut into ``parts`` chunks whose sizes differ by at most one; ``mine`` says which of
        them this worker takes. Yields images (chunk, channels, height, width) and labels (chunk,). A step
        may be asked for again, also in other parts.
        """
        augmentation = self._data.augmentation
        shifts = 2 * augmentation.padding + 1
        generator = torch.Generator().manual_seed(seed_of(self._seed, 1, step))
        drawn = torch.randint(shifts * shifts * 2, (batch_size,), generator=generator)
        for part in mine:
            rows = part_rows(batch_size, parts, part)
            places = range(offset + rows.start, offset + rows.stop)
            crops, which, labels = self._feed.crops(places, self.stream.at(places))
            crop = drawn[rows].to(labels.device, non_blocking=True)
            corner = crop // 2
            mirrored = (crop % 2).bool() if augmentation.flip else None
            images = crops.take(which, corner // shifts, corner % shifts, mirrored)
            yield self._normalise(images), labels


def seed_of(seed: int, stream: int, position: int) -> int:
    """Return a seed that depends on all three numbers, so that any position can be drawn alone."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
