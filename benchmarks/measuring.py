"""What measuring and deciding cost: training with a method's signals against a loop without adasearch.

Whole intervals take turns on one network: a loop of plain PyTorch, adasearch measuring nothing, then each set
of signals with the decision of a method that reads them. Batches, augmentation and optimiser are the same
throughout. With two workers (two processes, gloo) the plain loop is that of DistributedDataParallel.

Ratios between intervals are as noisy as the machine. "itself" is less so: what the run's own stopwatch
counts within an interval for measuring, and for halves beyond whole passes, over the rest of that interval.
"net" is that less what the optimiser's updates take longer where nothing is measured, in the same round:
elsewhere they find in the caches what measuring fetched. Neither counts the decision (``decisions.py``),
drawing a batch as two chunks, or, with several workers, a hook in Python in place of DDP's own reduction.
"""

import gc
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn

from adasearch.io.tables import Column
from adasearch.schedulers import SCHEDULERS, BatchSizeScheduler
from adasearch.schedulers.deba import Deba
from adasearch.signal_sets import NOISE
from common import (
    Clock,
    Row,
    clock_of,
    clocked,
    in_units,
    interleaved,
    keep,
    parser_of,
    per,
    positive,
    spread,
)
from measured_course import Course, Point

ARMS: dict[str, BatchSizeScheduler] = {
    "nothing": SCHEDULERS["constant"](),
    "deba": Deba(),
    "deba, mean gradient": Deba(gradient="mean_gradient"),
    "noise scale, diversity": SCHEDULERS["noise_scale"](),  # both read the same two signals
    "cosine": SCHEDULERS["simigrad"](),
}


def points(*, quick: bool) -> list[Point]:
    """Return what is measured."""
    nano = ("mobilenet_v3_small", "vit_b_16", "resnet18")
    if quick:
        return [
            Point("mobilenet_v3_small", "nano", 32, 32, 4, image_size=16),
            Point("mobilenet_v3_small", "nano", 32, 32, 1, image_size=16, workers=2),
        ]
    return [
        *(Point(name, "nano", 32, 32, 30, image_size=16) for name in nano),
        *(Point(name, "nano", 32, 128, 8, image_size=16) for name in nano),
        *(
            Point(name, "nano", size, 32, rounds)
            for name in nano
            for size, rounds in ((32, 10), (128, 6), (512, 2))
        ),
        Point("resnet18", "full", 32, 32, 4),
        Point("resnet18", "full", 128, 32, 2),
        *(Point("mobilenet_v3_small", "nano", size, 32, 10, workers=2) for size in (32, 128)),
    ]


def measure(point: Point, clock: Clock) -> list[Row]:
    """Return a row for each arm."""
    course = Course(point, clock)
    works: dict[str, Callable[[], object]] = {"plain": course.plain}
    works |= {
        name: course.arm(name, scheduler)
        for name, scheduler in ARMS.items()
        if _measured_alone(scheduler, point)
    }
    costs = course.costs
    if point.workers > 1:
        for name, scheduler in ARMS.items():
            if name not in works:
                hooked = Course(point, clock, hooked=scheduler.needs & NOISE)
                works[name] = hooked.arm(name, scheduler)
                costs |= hooked.costs
    found = interleaved(works, point.rounds, clock)
    return [
        {
            "architecture": point.architecture,
            "scale": point.scale,
            "image_size": point.image_size,
            "workers": point.workers,
            "batch_size": point.batch_size,
            "steps": point.steps,
            "signals": name,
            **spread([each / point.steps for each in found["plain"]]).columns("plain_step_seconds"),
            **per(seconds, found["plain"]).columns("ratio"),
            **per(seconds, found["nothing"]).columns("ratio_to_nothing"),
            **spread([1 + each.share() for each in costs[name][1:]]).columns("itself"),
            **spread(
                [
                    1 + each.share(saved=nothing.update - each.update)
                    for each, nothing in zip(costs[name][1:], costs["nothing"][1:], strict=True)
                ]
            ).columns("net"),
        }
        for name, seconds in found.items()
        if name != "plain"
    ]


def _measured_alone(scheduler: BatchSizeScheduler, point: Point) -> bool:
    """Tell whether the signals need no hook, which slows the reduction itself down."""
    return point.workers == 1 or not scheduler.needs & NOISE


def measure_together(rank: int, workers: int, meeting: str, some: Sequence[Point], out: str) -> None:
    """Measure points as one of several workers; the first one keeps the rows."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=workers)
    rows = [row for point in some for row in measure(point, time.perf_counter)]
    if rank == 0:
        Path(out).write_text(json.dumps(rows))
    gc.collect()  # DDP's reducers, whose threads must not outlive the group
    dist.barrier()
    dist.destroy_process_group()


def with_workers(some: Sequence[Point]) -> list[Row]:
    """Measure points of as many workers each."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "rows.json")
        workers = some[0].workers
        spawn(measure_together, args=(workers, f"{folder}/meeting", some, str(out)), nprocs=workers)
        rows: list[Row] = json.loads(out.read_text())
        return rows


def percent_more(value: object) -> str:
    """Write a ratio as what it is above 1."""
    assert isinstance(value, float)
    return f"{100 * (value - 1):+.1f} %"


COLUMNS = (
    Column("architecture", "network"),
    Column("scale", "scale"),
    Column("image_size", "pixels"),
    Column("workers", "workers"),
    Column("batch_size", "batch"),
    Column("steps", "steps"),
    Column("plain_step_seconds", "ms a step", in_units(1e3, 1)),
    Column("signals", "measured"),
    Column("itself", "itself", percent_more),
    Column("itself_low", "low", percent_more),
    Column("itself_high", "high", percent_more),
    Column("net", "net", percent_more),
    Column("net_low", "low", percent_more),
    Column("net_high", "high", percent_more),
    Column("ratio_to_nothing", "over nothing", percent_more),
    Column("ratio_to_nothing_low", "low", percent_more),
    Column("ratio_to_nothing_high", "high", percent_more),
    Column("ratio", "over plain loop", percent_more),
    Column("ratio_low", "low", percent_more),
    Column("ratio_high", "high", percent_more),
)


def main() -> None:
    """Measure and print."""
    parser = clocked(parser_of(__doc__, "measuring"))
    parser.add_argument("--scale", choices=["nano", "full"], help="networks of this scale alone")
    parser.add_argument("--batch-size", type=positive, help="points of this batch size alone")
    parser.add_argument("--rounds", type=positive, help="of each point, in place of its own number")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [
        replace(point, rounds=arguments.rounds or point.rounds)
        for point in points(quick=arguments.quick)
        if arguments.scale in (None, point.scale) and arguments.batch_size in (None, point.batch_size)
    ]
    if not chosen:
        known = sorted({(point.scale, point.batch_size) for point in points(quick=arguments.quick)})
        parser.error(f"--scale and --batch-size must be of {known}")
    alone = [point for point in chosen if point.workers == 1]
    clock = clock_of(arguments)
    rows = [
        row
        for point in track(alone, "measuring", console=Console(stderr=True), auto_refresh=False)
        for row in measure(point, clock)
    ]
    together = [point for point in chosen if point.workers > 1]
    rows += with_workers(together) if together else []
    keep(rows, COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
