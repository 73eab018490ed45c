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

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from torch import distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn

from adasearch.measure import GradientMeter
from adasearch.noise import NOISE, NoiseMeter
from adasearch.per_example import mixes_examples
from adasearch.run import Run
from adasearch.schedulers import SCHEDULERS, BatchSizeScheduler
from adasearch.schedulers.deba import Deba
from adasearch.tables import Column
from adasearch.timing import Stopwatch
from adasearch.train import Hyperparameters, TrainConfig
from common import (
    Clock,
    Row,
    clock_of,
    clocked,
    interleaved,
    keep,
    parser_of,
    per,
    positive,
    random_images,
    spread,
)
from decisions import LIMITS, row_of

IMAGES = 4096
HISTORY = [row_of(index, 16) for index in range(100)]

ARMS: dict[str, BatchSizeScheduler] = {
    "nothing": SCHEDULERS["constant"](),
    "deba": Deba(),
    "deba, mean gradient": Deba(gradient="mean_gradient"),
    "noise scale, diversity": SCHEDULERS["noise_scale"](),  # both read the same two signals
    "cosine": SCHEDULERS["simigrad"](),
}


@dataclass(frozen=True)
class Point:
    """What is measured at once: a network, a batch size, and the steps of an interval."""

    architecture: str
    scale: str
    batch_size: int
    steps: int
    rounds: int
    image_size: int = 32
    workers: int = 1


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


@dataclass(frozen=True)
class Cost:
    """Seconds of an interval: for measuring itself, for the optimiser's updates, and for all of it."""

    own: float
    update: float
    whole: float

    def share(self, saved: float = 0.0) -> float:
        """Return what measuring takes, less what it saves, over an interval without it.

        >>> Cost(own=6.0, update=8.0, whole=44.0).share(saved=2.0)
        0.1
        """
        spent = self.own - saved
        return spent / (self.whole - spent)


class Course:
    """A network that trains on, whoever's turn it is.

    Args:
        point: the network and its batches.
        clock: of the run's own stopwatch.
        hooked: signals for which several workers show their gradients before they are reduced.
    """

    def __init__(self, point: Point, clock: Clock, *, hooked: frozenset[str] = frozenset()) -> None:
        self.point = point
        config = TrainConfig(
            architecture=point.architecture,
            scale=point.scale,
            seed=0,
            hyperparameters=Hyperparameters(batch_size=point.batch_size, lr=1e-4),
            budget=10**12,
            interval=IMAGES,
            evaluate_every=10**12,
        )
        data = random_images(IMAGES, point.image_size).to(torch.device("cpu"))
        self.run = Run(config, hooked, data, torch.device("cpu"))
        self.run.clock = Stopwatch(torch.device("cpu"), clock)
        self.costs: dict[str, list[Cost]] = {}  # of each arm's intervals, the one that warms up included
        self.update_seconds = 0.0
        self.run.optimizer.register_step_pre_hook(lambda *_: self._add_to_update(-clock()))
        self.run.optimizer.register_step_post_hook(lambda *_: self._add_to_update(clock()))

    def _add_to_update(self, seconds: float) -> None:
        self.update_seconds += seconds

    def plain(self) -> None:
        """Take an interval's steps as a loop without adasearch does."""
        run, size = self.run, self.point.batch_size
        forward = run.parallel or run.network
        total = torch.zeros(())
        for _ in range(self.point.steps):
            mine = range(run.rank, run.rank + 1)
            images, labels = next(run.batches.chunks(run.examples_seen, run.step, size, run.world, mine))
            run.optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(forward(images), labels)
            loss.backward()
            run.optimizer.step()
            total += loss.detach()
            run.step += 1
            run.examples_seen += size
        total.item()

    def arm(self, name: str, scheduler: BatchSizeScheduler) -> Callable[[], None]:
        """Return what takes an interval's steps, measures what the scheduler needs, and decides."""
        run = self.run
        costs = self.costs[name] = []
        meter = GradientMeter(run.parameters, scheduler.needs)
        noise = NoiseMeter(
            run.parameters,
            scheduler.needs,
            world=run.world,
            rank=run.rank,
            least=2 if mixes_examples(run.network) else 1,
        )

        def interval() -> None:
            run.meter = meter
            if run.world == 1:  # elsewhere the hook keeps the meter that it was given
                run.noise = noise
            self.update_seconds = 0.0
            run.steps_until(
                run.examples_seen + self.point.steps * self.point.batch_size, self.point.batch_size, 1.0
            )
            scheduler.decide(HISTORY, LIMITS)
            costs.append(cost(run.clock.read(), self.update_seconds, self.point.steps, run.noise.measured))

        return interval


def cost(seconds: Mapping[str, float], update: float, steps: int, halved: int) -> Cost:
    """Return what an interval of so many steps cost, some of them as two halves.

    >>> cost({"train": 44.0, "measure": 2.0, "halves": 4.0, "whole": 30.0}, 3.0, 32, 2)
    Cost(own=4.0, update=3.0, whole=44.0)
    """
    own = seconds.get("measure", 0.0)
    if "halves" in seconds:
        own += seconds["halves"] - halved * seconds["whole"] / (steps - halved)
    return Cost(own, update, seconds["train"])


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
    dist.destroy_process_group()
    if rank == 0:
        Path(out).write_text(json.dumps(rows))


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


def milliseconds(value: object) -> str:
    """Write seconds as milliseconds."""
    assert isinstance(value, float)
    return f"{1e3 * value:.1f}"


COLUMNS = (
    Column("architecture", "network"),
    Column("scale", "scale"),
    Column("image_size", "pixels"),
    Column("workers", "workers"),
    Column("batch_size", "batch"),
    Column("steps", "steps"),
    Column("plain_step_seconds", "ms a step", milliseconds),
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
        sizes = sorted({point.batch_size for point in points(quick=arguments.quick)})
        parser.error(
            f"--batch-size must be one of {sizes}, and of that --scale, but got {arguments.batch_size}"
        )
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
