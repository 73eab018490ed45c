"""How fast a network trains on this device: seconds per step, and per measuring, against the batch size.

Measured through :func:`adasearch.training.loop.train`, so that a profile times what a trial does, with its
clocks: events on a GPU, synchronised once per block of steps. Run it alone on the device.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from scipy import stats

from adasearch.functions.train_function import train_function
from adasearch.profiles.modelled_time import signals_paid
from adasearch.profiles.profile import SpeedPoint
from adasearch.records import Decision, IntervalRecord, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold
from adasearch.signal_sets import MOMENTS, SIGNAL_SETS
from adasearch.tasks.base import Data
from adasearch.training.config import TrainConfig
from adasearch.training.loop import train
from adasearch.training.memory import PeakMemory
from adasearch.training.task import TrialTask

__all__ = ["FixedBatch", "ladder", "measure_point", "median_interval"]

BLOCK_SECONDS = 0.1  # of steps that are timed together at least
BLOCK_STEPS = (2, 64)
SIGNAL_STEPS = 8  # at least; one of them is measured where that takes extra passes
WARM = {"cuda": 2}  # blocks that are not counted, else one: in the second cuDNN tries its kernels
MIN_BLOCKS = 6  # blocks; a 95 % interval of a median needs as many
MAX_BLOCKS = 60  # blocks
NARROW = 0.02  # half the width of the interval, as a share of the median, at which it is narrow
SETTLED_LR = 1e-4  # weights that hardly move cannot overflow, and a step takes as long


@dataclass(frozen=True, slots=True)
class FixedBatch:
    """Keeps the batch size, and has signals measured all the same."""

    needs: frozenset[str] = frozenset()
    lr_schedules: frozenset[str] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Hold."""
        return hold(history[-1], "a profile runs at a fixed batch")


def ladder(limits: Limits) -> list[int]:
    """Return the batch sizes to profile: from the smallest on by doubling, and the largest.

    >>> ladder(Limits(smallest=16, largest=143))
    [16, 32, 64, 128, 143]
    """
    sizes = []
    size = limits.smallest
    while size < limits.largest:
        sizes.append(size)
        size *= 2
    return [*sizes, limits.largest]


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, low and high end of its 95 % interval from order statistics; needs at least 6 values.

    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    (3.5, 1.0, 6.0)
    """
    ends = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    return statistics.median(values), float(ends.low), float(ends.high)


def measure_point(
    config: TrainConfig,
    batch_size: int,
    data: Data | TrialTask,
    device: str,
    *,
    most_seconds: float,
    heard: Callable[[], None] = lambda: None,
) -> SpeedPoint:
    """Time one batch size: steps that measure nothing, then each signal set.

    Blocks of steps are timed until the interval of the median is narrow (2 %), or ``most_seconds`` are spent.
    The first block of each is not counted, on a GPU the first two. ``heard`` is called after each block. A
    training function of the user's own comes as a task in place of ``data``: its own steps are timed, through
    its controller.

    Raises:
        torch.OutOfMemoryError: not even the smallest pass fits.
    """
    memory = PeakMemory(torch.device(device))
    steps, warm = BLOCK_STEPS[0], WARM.get(torch.device(device).type, 1)
    (probe,) = _taken(_Blocks(config, batch_size, steps, frozenset(), warm), data, device, lambda _: False)
    lasting = _plain(probe) / steps
    steps = min(max(steps, round(BLOCK_SECONDS / lasting)), BLOCK_STEPS[1])
    found: list[float] = []
    spent, interval = 0.0, (lasting, lasting, lasting)
    device_batch = probe.device_batch

    def time_steps(record: IntervalRecord) -> bool:
        nonlocal device_batch, spent, interval
        device_batch = record.device_batch
        found.append(_plain(record) / steps)
        spent += record.train_seconds
        heard()
        if len(found) < MIN_BLOCKS:
            return True
        interval = median_interval(found)
        narrow = (interval[2] - interval[1]) / 2 <= NARROW * interval[0]
        return not (narrow or spent > most_seconds or len(found) >= MAX_BLOCKS)

    _taken(_Blocks(config, batch_size, steps, frozenset(), warm), data, device, time_steps)
    in_pairs, measuring = _from_successive(config, batch_size, data, device), {}
    for name, signals in SIGNAL_SETS.items():
        needs = frozenset(signals) | (MOMENTS if name == "products" else frozenset())
        if name == "noise" and in_pairs:  # which cost what norms cost; this is the price of halves
            needs |= {"inner_product_variance"}
        each: list[float] = []
        spent, count = 0.0, max(steps, SIGNAL_STEPS)

        def time_measuring(record: IntervalRecord) -> bool:
            nonlocal spent
            times = sum(signals_paid(record.signals, count, record.noise_form).values())  # noqa: B023 - called at once
            cost = record.measure_seconds
            if isinstance(data, TrialTask) and record.noise_form in ("passes", "halves"):  # not in its own
                cost += max(0.0, _plain(record) - count * interval[0])  # noqa: B023
            each.append(cost / max(1, times))  # noqa: B023
            spent += record.train_seconds
            heard()
            return len(each) < MIN_BLOCKS and spent <= most_seconds / 4  # noqa: B023

        _taken(_Blocks(config, batch_size, count, needs, warm), data, device, time_measuring)
        measuring[name] = statistics.median(each)
    return SpeedPoint(
        batch_size=batch_size,
        device_batch=device_batch,
        step_seconds=interval[0],
        step_seconds_low=interval[1],
        step_seconds_high=interval[2],
        repeats=len(found),
        measure_seconds=measuring,
        peak_memory_bytes=memory.read(),
    )


def _from_successive(config: TrainConfig, batch_size: int, data: Data | TrialTask, device: str) -> bool:
    """Tell whether the built-in loop has the noise between examples from steps in succession."""
    if isinstance(data, TrialTask):
        return False
    (pair,) = _taken(_Blocks(config, batch_size, 2, MOMENTS, 0), data, device, lambda _: False)
    return pair.noise_form == "successive"


def _plain(record: IntervalRecord) -> float:
    return record.train_seconds - record.measure_seconds - record.resize_seconds


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Blocks of so many steps at a batch size."""

    config: TrainConfig
    batch_size: int
    steps: int
    needs: frozenset[str]
    warm: int

    @property
    def timed(self) -> TrainConfig:
        """The run whose intervals they are, the first ``warm`` of which warm up."""
        span = self.batch_size * self.steps
        hyper = replace(
            self.config.hyperparameters,
            batch_size=self.batch_size,
            lr=SETTLED_LR,
            lr_schedule="constant",
            warmup=0.0,
        )
        whole = span * (self.warm + MAX_BLOCKS + 1)
        return replace(
            self.config,
            hyperparameters=hyper,
            budget=whole,
            interval=span,
            evaluate_every=whole,
            evaluate_at=(),
        )


def _taken(
    blocks: _Blocks, data: Data | TrialTask, device: str, take: Callable[[IntervalRecord], bool]
) -> list[IntervalRecord]:
    """Train block after block until ``take`` has enough; return what it took."""
    taken: list[IntervalRecord] = []

    def on_interval(record: IntervalRecord) -> bool:
        taken.append(record)
        return take(record)

    limits = Limits(smallest=blocks.batch_size, largest=blocks.batch_size)
    scheduler = FixedBatch(blocks.needs)
    if not isinstance(data, TrialTask):
        records = train(blocks.timed, scheduler, limits, data, device=device)
        for record in islice(records, blocks.warm, None):
            if not on_interval(record):
                break
        return taken
    told = data.function
    assert told is not None, "the task is of a function"
    assert told.examples is not None, "its study knows them"
    params = {**told.params, "lr": SETTLED_LR, "batch_size": blocks.batch_size}
    task = replace(
        data,
        config=blocks.timed,
        limits=limits,
        function=replace(told, params=params, epochs=blocks.timed.budget / told.examples),
    )
    train_function(
        task,
        torch.device(device),
        lambda record: record.signals.interval < blocks.warm or on_interval(record),
        scheduler=scheduler,
    )
    return taken
