"""What a change of batch size costs the loop that asks for it.

A loop takes batches with a pause between two, as a training step is one, so that loader processes can read
ahead. Every few batches the size changes. The cost is what the change itself takes, and how much longer than
usual the loop then waits until it holds a batch of the new size. adasearch's two ways, the batches of
``train`` (images in memory) and a ``DataLoader`` over ``ResizableBatchSampler``, take turns with what is
usual: a loader built anew, and bs-scheduler, which sets the size in a loader, at an epoch's end as its
documentation does or amid an epoch. Amid an epoch what worker processes drew ahead keeps its size; "late"
counts these batches.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch
from bs_scheduler import LambdaBS
from torch import Tensor
from torch.utils.data import DataLoader

from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.data.batches import Batches
from adasearch.data.splits import Dataset
from adasearch.io.tables import Column
from common import Row, in_units, keep, parser_of, random_images, spread
from data_path import InMemory, torchvision_loader

SIZES = (128, 96)  # near each other, so that a batch takes about as long
AFTER = 5  # batches between two changes, at least; as many as two worker processes draw ahead, and one
PAUSE_SECONDS = 0.05  # two worker processes read a batch in less

Batch = tuple[Tensor, Tensor]
Way = Callable[[int | None], Batch]
"""Gives the next batch; a number asks for another size first."""


def in_memory(data: Dataset) -> Way:
    """Return adasearch's batches of images in memory."""
    batches, place = Batches(data, seed=0), {"offset": 0, "step": 0, "batch_size": SIZES[0]}

    def take(size: int | None) -> Batch:
        if size is not None:
            place["batch_size"] = size
            batches.prepare(place["offset"], size, 100, 1, range(1))
        batch = next(batches.chunks(**place, parts=1, mine=range(1)))
        place["offset"] += place["batch_size"]
        place["step"] += 1
        return batch

    return take


def resizable(images: InMemory, workers: int) -> Way:
    """Return a loader over adasearch's sampler."""
    sampler = ResizableBatchSampler(len(images), SIZES[0])
    loader: DataLoader[Batch] = DataLoader(
        images, batch_sampler=sampler, num_workers=workers, persistent_workers=workers > 0
    )
    epoch: Iterator[Batch] = iter(loader)

    def take(size: int | None) -> Batch:
        nonlocal epoch
        if size is not None:
            sampler.resize(size)
        try:
            batch = next(epoch)
        except StopIteration:
            sampler.end_epoch()
            epoch = iter(loader)
            batch = next(epoch)
        sampler.take()
        sampler.finish()
        return batch

    return take


def built_anew(images: InMemory, workers: int) -> Way:
    """Return a loader that gives way to another at each change."""
    make = partial(DataLoader, images, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    epoch: Iterator[Batch] | None = iter(make(batch_size=SIZES[0]))

    def take(size: int | None) -> Batch:
        nonlocal epoch
        if size is not None:
            epoch = None  # its processes end first
            epoch = iter(make(batch_size=size))
        assert epoch is not None
        return next(epoch)

    return take


def bs_scheduler(images: InMemory, workers: int, *, amid: bool) -> Way:
    """Return a loader whose size bs-scheduler sets."""
    loader: DataLoader[Batch] = DataLoader(
        images, batch_size=SIZES[0], shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    scheduler = LambdaBS(loader, lambda epoch: SIZES[epoch % 2] / SIZES[0])
    epoch: Iterator[Batch] = iter(loader)

    def take(size: int | None) -> Batch:
        nonlocal epoch
        if size is not None:
            scheduler.step()
            epoch = epoch if amid else iter(loader)
        return next(epoch)

    return take


class Timed:
    """One way's waits: usual ones by size, and what each change cost."""

    def __init__(self, take: Way) -> None:
        self._take = take
        self._usual: dict[int, list[float]] = {size: [] for size in SIZES}
        self._changes: list[list[tuple[int, float]]] = []  # sizes and waits until a batch of the new size
        for _ in range(AFTER):
            self._wait(None)

    def _wait(self, size: int | None) -> tuple[int, float]:
        start = time.perf_counter()
        _, labels = self._take(size)
        waited = time.perf_counter() - start
        time.sleep(PAUSE_SECONDS)
        return len(labels), waited

    def change(self, size: int) -> None:
        """Change the size once, and take some batches more; first one to warm up after others' turns."""
        self._wait(None)
        waits = [self._wait(size)]
        while waits[-1][0] != size:
            waits.append(self._wait(None))
        self._changes.append(waits)
        for _ in range(AFTER):
            held, waited = self._wait(None)
            self._usual[held].append(waited)

    def row(self) -> Row:
        """Return what changes cost, in seconds, and how many batches late they were."""
        usual = {size: median(waits) for size, waits in self._usual.items()}
        costs = [sum(waited - usual[size] for size, waited in waits) for waits in self._changes[1:]]
        return {
            "late_batches": median(len(waits) - 1 for waits in self._changes[1:]),
            "usual_wait_seconds": usual[SIZES[0]],
            **spread(costs).columns("seconds"),
        }


COLUMNS = (
    Column("way", "way"),
    Column("workers", "worker processes"),
    Column("seconds", "ms", in_units(1e3, 3)),
    Column("seconds_low", "low", in_units(1e3, 3)),
    Column("seconds_high", "high", in_units(1e3, 3)),
    Column("late_batches", "batches late"),
    Column("times", "at least as many times adasearch's in memory"),
)


def main() -> None:
    """Measure and print."""
    arguments = parser_of(__doc__, "resize").parse_args()
    torch.set_num_threads(1)
    rounds = 7 if arguments.quick else 31
    # Larger than all rounds take, so that no epoch ends of itself.
    data = random_images((AFTER + 8) * (rounds + 3) * max(SIZES)).to(torch.device("cpu"))
    images = torchvision_loader(data, 0).dataset
    assert isinstance(images, InMemory)
    ways: dict[tuple[str, int], Way] = {("adasearch, in memory", 0): in_memory(data)}
    for workers in (0, 2):
        ways["adasearch, sampler", workers] = resizable(images, workers)
        ways["loader built anew", workers] = built_anew(images, workers)
        ways["bs-scheduler, epoch's end", workers] = bs_scheduler(images, workers, amid=False)
        ways["bs-scheduler, amid an epoch", workers] = bs_scheduler(images, workers, amid=True)
    timed = {name: Timed(way) for name, way in ways.items()}
    for number in range(1, rounds + 1):
        for each in timed.values():
            each.change(SIZES[number % 2])
    rows: list[Row] = [
        {"way": way, "workers": workers, **timed[way, workers].row()} for way, workers in timed
    ]
    ours = rows[0]["seconds_high"]
    for row in rows:
        low = row["seconds_low"]
        assert isinstance(ours, float)
        assert isinstance(low, float)
        row["times"] = low / ours if ours > 0 else None
    keep(rows, COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
