"""What the benchmarks share: works timed side by side, ratios with their intervals, and a table that is kept.

Works take turns within each round, so that all see the same weather of the machine; a ratio is the median
of the rounds' own ratios. Intervals are of 95 %, from order statistics; of fewer than six rounds
they are all there is.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from adasearch.data.splits import Augmentation, Dataset, Split
from adasearch.environment import device_name, versions
from adasearch.io.tables import Column, render
from adasearch.runs.speed import MIN_BLOCKS, median_interval

__all__ = [
    "Clock",
    "Row",
    "Spread",
    "clock_of",
    "clocked",
    "in_units",
    "interleaved",
    "keep",
    "parser_of",
    "per",
    "positive",
    "random_images",
    "spread",
]

Clock = Callable[[], float]
Row = dict[str, object]


class Spread(NamedTuple):
    """A median and its 95 % interval."""

    median: float
    low: float
    high: float

    def columns(self, name: str) -> Row:
        """Return it as three columns."""
        return {name: self.median, f"{name}_low": self.low, f"{name}_high": self.high}


def spread(values: Sequence[float]) -> Spread:
    """Return the median and its interval; of fewer than 6 values, the interval is all of them.

    >>> spread([1.0, 2.0, 3.0, 8.0])
    Spread(median=2.5, low=1.0, high=8.0)
    """
    if len(values) < MIN_BLOCKS:
        return Spread(statistics.median(values), min(values), max(values))
    return Spread(*median_interval(values))


def per(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Return how many times as long one work took as another, of the ratios of the rounds.

    >>> per([2.0, 4.0, 6.0, 8.0, 10.0, 12.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).median
    2.0
    """
    return spread([one / other for one, other in zip(over, under, strict=True)])


def interleaved(
    works: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, list[float]]:
    """Return the seconds of each work, round by round, each in an order drawn anew.

    Where every other round went backwards, the first and the last work ran twice in succession, and found in
    the caches what they had left there: a plain loop, mostly the first, was 2 to 4 % ahead of itself.

    A round that warms up comes first and does not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    order, draw = list(works), random.Random(0)
    for number in range(rounds + 1):
        draw.shuffle(order)
        for name in order:
            start = clock()
            works[name]()
            spent = clock() - start
            if number:
                seconds[name].append(spent)
    return seconds


def random_images(examples: int, image_size: int = 32, classes: int = 10) -> Dataset:
    """Return so many random images of CIFAR's kind, for training and for evaluation."""
    generator = torch.Generator().manual_seed(0)
    shape = (examples, 3, image_size, image_size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(examples) % classes)
    return Dataset(
        train=split,
        val=split,
        test=None,
        classes=classes,
        image_size=image_size,
        augmentation=Augmentation(padding=image_size // 8, flip=True),
        mean=torch.full((3,), 0.5),
        std=torch.full((3,), 0.29),
        fingerprint="random",
    )


def parser_of(doc: str | None, name: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small size, to see that it works")
    out = f"results/bench/{name}.parquet"
    parser.add_argument("--out", default=out, type=new_file, help=f"where the rows are kept [default: {out}]")
    return parser


def positive(text: str) -> int:
    """Return a number of an option that must be 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1 but got {text}")
    return number


def new_file(text: str) -> Path:
    """Return where rows are to be kept, the folder made, before anything is measured."""
    path = Path(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path.parent} cannot be made: {error.strerror}") from None
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder")
    return path


def clocked(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the choice of clock, for works that one process does alone."""
    parser.add_argument(
        "--core-seconds",
        action="store_true",
        help="count what this process computed, which waiting for a core does not lengthen",
    )
    return parser


def clock_of(chosen: argparse.Namespace) -> Clock:
    """Return the clock that was chosen."""
    return time.process_time if chosen.core_seconds else time.perf_counter


def in_units(factor: float, digits: int) -> Callable[[object], str]:
    """Return what writes seconds in another unit, ``factor`` of which make a second.

    >>> in_units(1e3, 2)(0.0123)
    '12.30'
    """

    def written(value: object) -> str:
        assert isinstance(value, float)
        return f"{factor * value:.{digits}f}"

    return written


def machine(threads: int | None = None) -> Row:
    """Return what figures depend on, as columns of each row."""
    return {
        "cpu": device_name("cpu"),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads() if threads is None else threads,
        "load": os.getloadavg()[0],
        **{f"{name}_version": value for name, value in versions().items()},
    }


def keep(rows: Sequence[Row], columns: Sequence[Column], out: Path) -> None:
    """Print a table, and keep all columns as Parquet, the machine's among them."""
    print(render(rows, columns, "text"), end="", flush=True)
    names = dict.fromkeys(name for row in rows for name in row)  # Arrow would take those of the first row
    full = [{name: row.get(name) for name in names} | machine() for row in rows]
    pq.write_table(pa.Table.from_pylist(full), out)
    print(f"kept in {out}")
