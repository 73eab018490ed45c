"""A network that trains on while a plain loop and adasearch take turns, and what each interval cost."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from adasearch.records import Precision
from adasearch.schedulers import BatchSizeScheduler
from adasearch.signals.interval import IntervalMeter
from adasearch.signals.per_example import mixes_examples
from adasearch.tasks.base import Data
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.precision import autocast
from adasearch.training.run import Run
from common import Clock, random_images
from histories import LIMITS, row_of

__all__ = ["Cost", "Course", "Point"]

CPU = torch.device("cpu")
IMAGES = 4096
HISTORY = [row_of(index, 16) for index in range(100)]


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
    precision: Precision = "float32"
    optimizer: Literal["sgd", "adamw"] = "sgd"
    device_batch: int | None = None


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
        data: to train on; None for random images.
        device: to train on. On a GPU the seconds of updates are those of their launch, and say nothing.
    """

    def __init__(
        self,
        point: Point,
        clock: Clock,
        *,
        hooked: frozenset[str] = frozenset(),
        data: Data | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.point = point
        config = TrainConfig(
            architecture=point.architecture,
            scale=point.scale,
            seed=0,
            hyperparameters=Hyperparameters(batch_size=point.batch_size, lr=1e-4, optimizer=point.optimizer),
            precision=point.precision,
            device_batch=point.device_batch,
            budget=10**12,
            interval=IMAGES,
            evaluate_every=10**12,
        )
        data = (data or random_images(IMAGES, point.image_size)).to(device)
        self.run = Run(config, hooked, data, device)
        self.run.clock.clock = clock
        self.hooked = bool(hooked)
        self.costs: dict[str, list[Cost]] = {}  # of each arm's intervals, the one that warms up included
        self.update_seconds = 0.0
        self.run.optimizer.register_step_pre_hook(lambda *_: self._add_to_update(-clock()))
        self.run.optimizer.register_step_post_hook(lambda *_: self._add_to_update(clock()))

    def _add_to_update(self, seconds: float) -> None:
        self.update_seconds += seconds

    def plain(self) -> None:
        """Take an interval's steps as a loop without adasearch does, in as many passes."""
        run, size = self.run, self.point.batch_size
        forward = run.parallel or run.network
        passes = run.passes.count(size)
        mine = range(run.rank * passes, (run.rank + 1) * passes)
        total = torch.zeros((), device=run.device)
        for _ in range(self.point.steps):
            run.optimizer.zero_grad(set_to_none=True)
            for inputs, targets in run.batches.chunks(
                run.examples_seen, run.step, size, run.world * passes, mine
            ):
                with autocast(run.config.precision, run.device):
                    output = forward(inputs)
                    loss = nn.functional.cross_entropy(output.flatten(0, -2), targets.flatten())
                (loss if passes == 1 else loss / passes).backward()
                total += loss.detach()
            run.optimizer.step()
            run.step += 1
            run.examples_seen += size
        total.item()

    def arm(self, name: str, scheduler: BatchSizeScheduler) -> Callable[[], None]:
        """Return what takes an interval's steps, measures what the scheduler needs, and decides."""
        run = self.run
        costs = self.costs[name] = []
        meter = IntervalMeter(
            run.parameters,
            scheduler.needs,
            world=run.world,
            rank=run.rank,
            least=2 if mixes_examples(run.network) else 1,
            timed=partial(run.clock.section, "measure"),
        )

        def interval() -> None:
            if not self.hooked:  # the hook keeps the meter that it was given
                run.meter = meter
            self.update_seconds = 0.0
            measured = run.steps_until(
                run.examples_seen + self.point.steps * self.point.batch_size, self.point.batch_size, 1.0
            )
            scheduler.decide(HISTORY, LIMITS)
            halved = measured.get("noise_count", 0)
            costs.append(cost(run.clock.read(), self.update_seconds, self.point.steps, halved))

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
