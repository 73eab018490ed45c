"""Images that stay in their files: decoded in worker processes, ahead of their use and no further.

One ``DataLoader`` per data set, with worker processes that live as long as it does, serves training and
evaluation. Its batch sampler hands out whatever rows are asked for next. That is not
:class:`~adasearch.ResizableBatchSampler`, with which it shares the permutations and the cuts: that one is for
loops that learn of a new size while the loader runs ahead, and lets batches on their way keep their size,
while here an interval's size and number of steps are known when it begins, so that the loader is told exactly
these and no batch of a former size is ever decoded. Each worker of a run reads its own share of a batch only.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from adasearch.data.crops import Crops
from adasearch.data.sources.base import Examples
from adasearch.data.splits import Feed
from adasearch.errors import InputError

__all__ = ["RowLoader", "StreamedSplit"]

PIECE = 64  # images that a process decodes at a time: a batch is spread over all processes
PREFETCH = 4  # pieces ahead per process
MOST_PROCESSES = 16


class _Rows(TorchDataset[Tensor]):
    """The images of a source by row, several at a time; errors travel as values, to keep their one line."""

    def __init__(self, examples: Examples) -> None:
        self._examples = examples

    def __getitems__(self, rows: list[int]) -> Tensor | InputError:
        size = self._examples.image_size
        images = torch.empty((len(rows), 3, size, size), dtype=torch.uint8)
        try:
            # In the order of the files: a Parquet row group that several rows share is read once.
            for place, row in sorted(enumerate(rows), key=itemgetter(1)):
                images[place] = torch.from_numpy(self._examples.pixels(row).copy())
        except InputError as error:
            return error
        return images


class _Reading:
    """Pieces of rows on their way through the loader; one that was interrupted goes on where it was."""

    def __init__(self, pieces: Iterator[list[int]]) -> None:
        self._left = pieces
        self._asked: deque[list[int]] = deque()  # and not arrived yet

    def ask(self) -> Iterator[list[int]]:
        yield from tuple(self._asked)
        for piece in self._left:
            self._asked.append(piece)
            yield piece

    def arrived(self) -> None:
        self._asked.popleft()


class _Asking:
    """A batch sampler that hands out the pieces of whichever reading is under way."""

    def __init__(self) -> None:
        self.reading = _Reading(iter(()))

    def __iter__(self) -> Iterator[list[int]]:
        return self.reading.ask()


def _as_it_is(batch: Any) -> Any:  # torch declares a list here, which __getitems__ need not give
    return batch


class RowLoader:
    """Decodes rows of a source in worker processes, as many as torch has threads (at most 16).

    One reading at a time is under way; where another begins meanwhile, the former goes on afterwards.
    """

    def __init__(self, examples: Examples) -> None:
        self.image_size = examples.image_size
        self._examples = examples
        self._rows = _Rows(examples)
        self._asking = _Asking()
        self._remote = examples.remote
        self._loader: DataLoader[Tensor] | None = None

    def __reduce__(self) -> tuple[type["RowLoader"], tuple[Examples]]:
        """Let another process start loader processes of its own."""
        return type(self), (self._examples,)

    def _start(self) -> "DataLoader[Tensor]":
        return DataLoader(
            self._rows,
            batch_sampler=self._asking,
            num_workers=min(torch.get_num_threads(), MOST_PROCESSES),
            prefetch_factor=PREFETCH,
            persistent_workers=True,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # of seeds that nobody uses; the global one stays as it is
            # Network file systems do not survive a fork.
            multiprocessing_context="spawn" if self._remote else None,
        )

    def now(self, rows: Tensor) -> Tensor:
        """Return images (rows, 3, height, width) as uint8, decoded in this process."""
        return _checked(self._rows.__getitems__(rows.tolist()))

    def read(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images (rows, 3, height, width) as uint8 of each batch of rows (rows,), in pieces.

        The pieces of a batch hold at most 64 images and none reaches into the next batch.

        Raises:
            InputError: an image cannot be read.
        """
        reading = _Reading(piece.tolist() for batch in batches for piece in batch.split(PIECE))
        while True:
            self._asking.reading = reading
            if self._loader is None:
                self._loader = self._start()
            for images in self._loader:
                reading.arrived()
                yield _checked(images)
                if self._asking.reading is not reading:
                    break  # the loader is another's now, and what was on its way to us is lost
            else:
                return


def _checked(images: Tensor | InputError) -> Tensor:
    if isinstance(images, InputError):
        raise images
    return images


class StreamedSplit:
    """Some rows of a source with their labels; images are read when they are asked for."""

    def __init__(self, loader: RowLoader, rows: Tensor, labels: Tensor) -> None:
        self.loader = loader
        self.rows = rows  # (examples,), on the CPU
        self.labels = labels

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device) -> "StreamedSplit":
        """Return the split with its labels, and the images that it gives, on ``device``."""
        return StreamedSplit(self.loader, self.rows, self.labels.to(device))

    def pieces(self, size: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels, in order, of every ``world``-th piece of ``size`` examples."""
        starts = range(rank * size, len(self), world * size)
        arriving = self.loader.read(self.rows[start : start + size] for start in starts)
        for start in starts:
            labels = self.labels[start : start + size]
            images = _gathered(arriving, len(labels))
            yield images.to(labels.device, non_blocking=True), labels

    def feed(self, padding: int, rows_at: Callable[[range], Tensor]) -> Feed:
        """Return what gives images to a stream: it reads those that were announced ahead."""
        return _FileFeed(self, padding, rows_at)


def _gathered(arriving: Iterator[Tensor], count: int) -> Tensor:
    """Take pieces until there are ``count`` images."""
    pieces: list[Tensor] = []
    while count > 0:
        pieces.append(next(arriving))
        count -= len(pieces[-1])
    return torch.cat(pieces)


class _FileFeed:
    """Keeps this worker's share of the step under way, and reads the shares of the next ones ahead."""

    def __init__(self, split: StreamedSplit, padding: int, rows_at: Callable[[range], Tensor]) -> None:
        self._split = split
        self._padding = padding
        self._rows_at = rows_at
        self.expect(())

    def expect(self, shares: Sequence[range]) -> None:
        """Begin to read the shares of the next steps; what was announced before is forgotten."""
        self._coming = deque(shares)
        self._arriving = self._split.loader.read(self._split.rows[self._rows_at(share)] for share in shares)
        self._hold(range(0))

    def _hold(self, share: range) -> None:
        """Make room for the images of the next step's share."""
        self._share = share
        self._filled = 0
        shape = (len(share), 3, *[self._split.loader.image_size] * 2)
        self._images = torch.empty(shape, dtype=torch.uint8, pin_memory=self._split.labels.is_cuda)

    def crops(self, places: range, rows: Tensor) -> tuple[Crops, Tensor, Tensor]:
        """Return all crops of just the images asked for, their numbers 0, 1, ..., and their labels."""
        labels = self._split.labels
        images = self._images_at(places, rows).to(labels.device, non_blocking=True)
        which = torch.arange(len(rows), device=labels.device)
        return Crops(images, self._padding), which, labels[rows.to(labels.device, non_blocking=True)]

    def _images_at(self, places: range, rows: Tensor) -> Tensor:
        """Return images (places, 3, height, width); those beyond the share are read here and now."""
        if self._coming and _overlap(self._coming[0], places):
            self._fill(self._share.stop)  # the loader gives all there is, in order
            self._hold(self._coming.popleft())
        held = _overlap(self._share, places)
        if not held:
            return self._split.loader.now(self._split.rows[rows])
        self._fill(held.stop)
        inside = self._images[held.start - self._share.start : held.stop - self._share.start]
        if held == places:
            return inside
        before = rows[: held.start - places.start]
        after = rows[held.stop - places.start :]
        now = self._split.loader.now
        return torch.cat([now(self._split.rows[before]), inside, now(self._split.rows[after])])

    def _fill(self, stop: int) -> None:
        """Wait until the share is there up to a place of the stream."""
        while self._filled < stop - self._share.start:
            images = next(self._arriving)
            self._images[self._filled : self._filled + len(images)] = images
            self._filled += len(images)


def _overlap(one: range, other: range) -> range:
    return range(max(one.start, other.start), min(one.stop, other.stop))
