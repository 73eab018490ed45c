"""What estimates of the noise between examples are worth and cost, beside the noise of whole batches.

An interval's noise is ``tr(Sigma) / B``: how far the gradient of a batch of B examples lies from the expected
one, squared. What it is said to be by:

* halves: a batch's two halves apart, some steps of an interval, evenly spaced. Two passes take the place of
  one, and BatchNorm normalises each half by itself. That is what adasearch does in one process without
  BatchNorm, with three of 32 steps.
* successive: batches one after the other, pairs of an interval that share none. No further pass; the weights
  move between the two, which is told as noise. That is what adasearch does with BatchNorm, with eight pairs.
* ratio: 16 successive pairs times what the halves of one step an interval were of them over the intervals so
  far (double sampling: an average of either that forgets by 0.8 an interval).

What it is: of each step two further batches that are drawn anew, at the same weights, BatchNorm's statistics
as they were; they train nothing. "bias" is the median over intervals of an estimate over that, and "error"
the factor by which it is off, of the root mean square of logarithms. "cost" is what it takes more processor
time than the passes of the interval alone.

The cosine is that of two halves of a batch, by all 32 steps. Halves tell it as it is, the others by
``|G|^2 / (|G|^2 + 2 tr(Sigma) / B)``, with ``|G|^2`` the pairs' inner product; "cosine_error" is the root
mean square of what it is off by.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.data.splits import Dataset, Split
from adasearch.io.tables import Column, fraction, times
from adasearch.networks.registry import build_model
from common import Row, keep, parser_of

NETWORKS = ("mobilenet_v3_small", "resnet18", "vit_b_16")
STEPS = 32  # of an interval
WARM = 2  # intervals left out: at the start all falls steeply
HALVES, SUCCESSIVE = (1, 3, 8, 32), (1, 3, 8, 16)  # steps, and pairs, of an interval
FORGET = 0.8  # of the ratio's averages, an interval

Found = tuple[float, float]
"""``tr(Sigma) / B`` and the cosine of halves."""


@dataclass(slots=True)
class Interval:
    """What one interval showed: noise by step, and seconds."""

    true: list[float] = field(default_factory=list)
    halves: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    pass_seconds: list[float] = field(default_factory=list)
    halves_seconds: list[float] = field(default_factory=list)
    successive_seconds: list[float] = field(default_factory=list)


def evenly(count: int, of: int) -> list[int]:
    """Return so many places, evenly spaced.

    >>> evenly(3, 32)
    [5, 16, 26]
    """
    return [(2 * number + 1) * of // (2 * count) for number in range(count)]


class Training:
    """Trains a nano network by momentum, and looks at the noise at each step."""

    def __init__(self, network: str, batch_size: int, lr: float) -> None:
        data = load_dataset(DataSpec(source="digits")).to(torch.device("cpu"))
        assert isinstance(data, Dataset)
        split, shape = data.train, (1, -1, 1, 1)
        assert isinstance(split, Split)
        self._images = (split.images.float() / 255 - data.mean.view(shape)) / data.std.view(shape)
        self._labels = split.labels
        torch.manual_seed(0)
        self._network = build_model(network, "nano", classes=data.classes, image_size=data.image_size).train()
        self._parameters = list(self._network.parameters())
        self._optimizer = torch.optim.SGD(self._parameters, lr=lr, momentum=0.9, weight_decay=5e-4)
        self._draw = torch.Generator().manual_seed(0)
        self._batch_size = batch_size
        self._order = torch.empty(0, dtype=torch.long)

    def _gradient(self, rows: Tensor) -> Tensor:
        loss = nn.functional.cross_entropy(self._network(self._images[rows]), self._labels[rows])
        return torch.cat([each.flatten() for each in torch.autograd.grad(loss, self._parameters)])

    def _anew(self) -> Tensor:
        return torch.randperm(len(self._labels), generator=self._draw)[: self._batch_size]

    def _next(self) -> Tensor:
        if len(self._order) < self._batch_size:
            self._order = torch.randperm(len(self._labels), generator=self._draw)
        rows, self._order = self._order[: self._batch_size], self._order[self._batch_size :]
        return rows

    def _step(self, gradient: Tensor) -> None:
        sizes = [each.numel() for each in self._parameters]
        for parameter, part in zip(self._parameters, gradient.split(sizes), strict=True):
            parameter.grad = part.view_as(parameter)
        self._optimizer.step()

    def interval(self) -> Interval:
        """Train an interval's steps."""
        found = Interval()
        for _ in range(STEPS):
            rows, began = self._next(), time.process_time()
            gradient = self._gradient(rows)
            found.pass_seconds.append(time.process_time() - began)
            buffers = [each.clone() for each in self._network.buffers()]
            began, middle = time.process_time(), self._batch_size // 2
            first, rest = self._gradient(rows[:middle]), self._gradient(rows[middle:])
            found.halves.append((first - rest).square().sum().item() / 4)
            found.cosines.append(nn.functional.cosine_similarity(first, rest, dim=0).item())
            found.halves_seconds.append(time.process_time() - began - found.pass_seconds[-1])
            apart = self._gradient(self._anew()) - self._gradient(self._anew())
            found.true.append(apart.square().sum().item() / 2)
            with torch.no_grad():
                for buffer, before in zip(self._network.buffers(), buffers, strict=True):
                    buffer.copy_(before)
            found.gradients.append(gradient)
            self._step(gradient)
        return found


def by_halves(count: int) -> Callable[[Interval], Found]:
    """Return what estimates from the halves of so many steps."""

    def estimate(found: Interval) -> Found:
        steps = evenly(count, STEPS)
        return (
            statistics.fmean(found.halves[each] for each in steps),
            statistics.fmean(found.cosines[each] for each in steps),
        )

    return estimate


def cosine_of(noise: float, square: float) -> float:
    """Return the cosine of halves that follows from ``tr(Sigma) / B`` and ``|G|^2``."""
    return square / (square + 2 * noise)


def by_successive(count: int) -> Callable[[Interval], Found]:
    """Return what estimates from so many pairs of batches one after the other."""

    def estimate(found: Interval) -> Found:
        began = time.process_time()
        noise = square = 0.0
        for pair in evenly(count, STEPS // 2):
            one, other = found.gradients[2 * pair : 2 * pair + 2]
            noise += (one - other).square().sum().item() / 2 / count
            square += (one @ other).item() / count
        found.successive_seconds.append((time.process_time() - began) / count)
        return noise, cosine_of(noise, square)

    return estimate


def by_ratio(count: int) -> Callable[[Interval], Found]:
    """Return what estimates from 16 successive pairs, set right by the halves of so many steps."""
    halves, successive = by_halves(count), by_successive(16)
    sums = [0.0, 0.0]

    def estimate(found: Interval) -> Found:
        cheap, cosine = successive(found)
        for place, value in enumerate((halves(found)[0], cheap)):
            sums[place] = FORGET * sums[place] + value
        square = 2 * cheap * cosine / (1 - cosine) + cheap  # the batches' own
        noise = cheap * sums[0] / sums[1]
        return noise, cosine_of(noise, square - noise)

    return estimate


def rows_of(network: str, batch_size: int, lr: float, intervals: int) -> Sequence[Row]:
    """Return a row for each estimate."""
    training = Training(network, batch_size, lr)
    estimates = {("halves", each): by_halves(each) for each in HALVES}
    estimates |= {("successive", each): by_successive(each) for each in SUCCESSIVE}
    estimates |= {("ratio", 1): by_ratio(1)}
    ratios: dict[tuple[str, int], list[float]] = {key: [] for key in estimates}
    costs: dict[tuple[str, int], list[float]] = {key: [] for key in estimates}
    cosines: dict[tuple[str, int], list[float]] = {key: [] for key in estimates}
    for number_of_it in range(WARM + intervals):
        found = training.interval()
        if number_of_it < WARM:
            continue
        true, passes = statistics.fmean(found.true), sum(found.pass_seconds)
        halves, cosine = statistics.median(found.halves_seconds), statistics.fmean(found.cosines)
        for key, estimate in estimates.items():
            noise, told = estimate(found)
            ratios[key].append(noise / true)
            cosines[key].append(told - cosine)
            pairs = statistics.median(found.successive_seconds or [0.0])
            seconds = {
                "halves": key[1] * halves,
                "successive": key[1] * pairs,
                "ratio": key[1] * halves + 16 * pairs,
            }
            costs[key].append(seconds[key[0]] / passes)
    return [
        {
            "network": network,
            "batch_size": batch_size,
            "lr": lr,
            "intervals": intervals,
            "estimate": kind,
            "times": count,
            "bias": statistics.median(ratios[kind, count]),
            "error": math.exp(
                math.sqrt(statistics.fmean(math.log(each) ** 2 for each in ratios[kind, count]))
            ),
            "cosine_error": math.sqrt(statistics.fmean(each**2 for each in cosines[kind, count])),
            "cost": statistics.median(costs[kind, count]),
        }
        for kind, count in estimates
    ]


COLUMNS = (
    Column("network", "network"),
    Column("batch_size", "batch"),
    Column("lr", "lr", str),
    Column("estimate", "from"),
    Column("times", "times", str),
    Column("bias", "bias", times),
    Column("error", "off by", times),
    Column("cosine_error", "cosine off by", "{:.3f}".format),
    Column("cost", "cost", fraction),
)


def main() -> None:
    """Measure and print."""
    arguments = parser_of(__doc__, "noise_estimators").parse_args()
    torch.set_num_threads(1)
    points = [(name, size, lr) for name in NETWORKS for size, lr in ((32, 0.02), (32, 0.1), (128, 0.05))]
    points, intervals = (points[:1], 3) if arguments.quick else (points, 24)
    bar = track(points, "measuring", console=Console(stderr=True), auto_refresh=False)
    keep([row for point in bar for row in rows_of(*point, intervals)], COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
