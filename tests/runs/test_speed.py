"""The ladder of batch sizes, and when a time is known well enough."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.data.splits import Dataset
from adasearch.profiles.profile import SpeedPoint
from adasearch.records import IntervalRecord, Limits
from adasearch.runs import speed
from adasearch.runs.speed import FixedBatch, ladder, measure_point, median_interval
from adasearch.signal_sets import SIGNAL_SETS
from adasearch.training.config import Hyperparameters, TrainConfig
from tests.rows import interval_at

CONFIG = TrainConfig(
    architecture="tests.own_nets:good",
    scale="nano",
    seed=0,
    hyperparameters=Hyperparameters(batch_size=16),
    budget=320,
    interval=160,
    evaluate_every=320,
)


@given(st.integers(1, 500), st.integers(0, 5000))
def test_ladder_doubles_from_the_smallest_and_ends_at_the_largest(smallest: int, more: int) -> None:
    sizes = ladder(Limits(smallest=smallest, largest=smallest + more))
    assert (sizes[0], sizes[-1]) == (smallest, smallest + more)
    assert all(a < b <= 2 * a for a, b in pairwise(sizes))


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=40))
def test_interval_of_the_median_holds_the_median(values: list[float]) -> None:
    median, low, high = median_interval(values)
    assert min(values) <= low <= median <= high <= max(values)


def timed(
    seconds: Iterator[float],
    monkeypatch: pytest.MonkeyPatch,
    digits: Dataset,
    *,
    device: str = "cpu",
    most_seconds: float = 1e9,
) -> tuple[SpeedPoint, int]:
    """Measure batch 16 on steps that take ``seconds`` each; return the point and the number of blocks."""
    seen = 0

    def train(
        config: TrainConfig, scheduler: FixedBatch, *rest: object, **more: object
    ) -> Iterator[IntervalRecord]:
        nonlocal seen
        steps = config.interval // 16
        for _ in range(2 if device == "cuda" else 1):  # warm up
            yield interval_at(0, seconds=1000.0)
        while True:
            seen += 1
            measured = 0.5 * steps if scheduler.needs else 0.0
            whole = next(seconds) * steps + measured
            record = interval_at(1, seen=config.interval, seconds=whole + 0.125)
            signals = replace(record.signals, grad_norm=1.0 if scheduler.needs else None)
            yield replace(record, signals=signals, measure_seconds=measured, resize_seconds=0.125)

    monkeypatch.setattr(speed, "train", train)
    return measure_point(CONFIG, 16, digits, device, most_seconds=most_seconds), seen


def test_steady_times_are_known_after_six_blocks(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    point, _ = timed(iter(lambda: 2.0, None), monkeypatch, digits)
    assert point.step_seconds == point.step_seconds_low == point.step_seconds_high == pytest.approx(2.0)
    assert point.repeats == 6
    assert point.measure_seconds == dict.fromkeys(SIGNAL_SETS, pytest.approx(0.5))


def test_block_in_which_a_gpu_tries_its_kernels_does_not_count(
    monkeypatch: pytest.MonkeyPatch, digits: Dataset
) -> None:
    """Nor where there is time for one block of a signal set alone."""
    monkeypatch.setattr(speed, "PeakMemory", lambda device: SimpleNamespace(read=lambda: None))
    steady = iter(lambda: 2.0, None)
    point, _ = timed(steady, monkeypatch, digits, device="cuda", most_seconds=0.0)
    assert point.step_seconds_high == pytest.approx(2.0)
    assert point.measure_seconds == dict.fromkeys(SIGNAL_SETS, pytest.approx(0.5))


def test_times_that_vary_are_taken_until_the_cap(monkeypatch: pytest.MonkeyPatch, digits: Dataset) -> None:
    def varying() -> Iterator[float]:
        while True:
            yield from (1.0, 3.0)

    point, _ = timed(varying(), monkeypatch, digits)
    assert point.repeats == speed.MAX_BLOCKS
    assert [point.step_seconds_low, point.step_seconds_high] == pytest.approx([1.0, 3.0])


def test_real_steps_are_timed(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "BLOCK_SECONDS", 0.0)
    heard: list[int] = []
    point = measure_point(CONFIG, 16, digits, "cpu", most_seconds=0.0, heard=lambda: heard.append(1))
    assert point.repeats == 6
    assert 0 < point.step_seconds_low <= point.step_seconds <= point.step_seconds_high < 1
    assert set(point.measure_seconds) == set(SIGNAL_SETS)
    assert all(seconds > 0 for seconds in point.measure_seconds.values())
    assert len(heard) == 6 + len(SIGNAL_SETS)  # no time: six blocks of steps, one of each signal set


def test_noise_has_the_price_of_halves_with_batchnorm_too(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored runs may have it from halves; that of successive steps is charged as norms."""
    monkeypatch.setattr(speed, "BLOCK_SECONDS", 0.0)
    taken = speed._taken
    forms: list[str | None] = []

    def heard(blocks: Any, *rest: Any) -> list[IntervalRecord]:
        records = taken(blocks, *rest)
        if "grad_noise" in blocks.needs and blocks.steps >= speed.SIGNAL_STEPS:
            forms.extend({record.noise_form for record in records})
        return records

    monkeypatch.setattr(speed, "_taken", heard)
    measure_point(replace(CONFIG, architecture="resnet18"), 16, digits, "cpu", most_seconds=0.0)
    assert forms == ["halves", "halves"]  # of the moments, and with the products
