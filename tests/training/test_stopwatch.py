"""The stopwatch, on clocks that the tests move by hand."""

import pytest
import torch

from adasearch.training.stopwatch import Stopwatch
from tests.conftest import HandClock


def test_sections_add_up_under_their_names(clock: HandClock) -> None:
    watch = Stopwatch(torch.device("cpu"))
    for seconds, name in [(1.0, "train"), (2.0, "eval"), (4.0, "train")]:
        with watch.section(name):
            clock.now += seconds
        clock.now += 50  # outside every section: nobody's
    assert watch.read() == {"train": 5.0, "eval": 2.0}


def test_nested_sections_are_each_charged_in_full(clock: HandClock) -> None:
    watch = Stopwatch(torch.device("cpu"))
    with watch.section("train"):
        clock.now += 1
        with watch.section("measure"):
            clock.now += 2
    assert watch.read() == {"train": 3.0, "measure": 2.0}


def test_reading_starts_afresh(clock: HandClock) -> None:
    watch = Stopwatch(torch.device("cpu"))
    with watch.section("train"):
        clock.now += 1
    watch.read()
    assert watch.read() == {}
    with watch.section("train"):
        clock.now += 2
    assert watch.read() == {"train": 2.0}


def test_section_that_raises_is_charged_too(clock: HandClock) -> None:
    watch = Stopwatch(torch.device("cpu"))

    def fail() -> None:
        clock.now += 3
        raise RuntimeError

    with pytest.raises(RuntimeError), watch.section("train"):
        fail()
    assert watch.read() == {"train": 3.0}


def test_another_clock_counts_in_its_place() -> None:
    other = HandClock()
    watch = Stopwatch(torch.device("cpu"))
    watch.clock = other
    with watch.section("train"):
        other.now += 3
    assert watch.read() == {"train": 3.0}


def test_the_real_clock_runs() -> None:
    watch = Stopwatch(torch.device("cpu"))
    with watch.section("train"):
        torch.randn(100).sum()
    assert 0 < watch.read()["train"] < 10


def test_gpu_sections_take_device_time_and_wait_for_the_device_once(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_clock = HandClock()
    waits: list[torch.device] = []

    class Event:
        """An event that notes when the device reached it, in milliseconds as CUDA tells them."""

        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = device_clock.now

        def elapsed_time(self, end: "Event") -> float:
            assert waits, "read before the device was waited for"
            return (end.at - self.at) * 1000

    monkeypatch.setattr("torch.cuda.Event", Event)
    monkeypatch.setattr("torch.cuda.synchronize", waits.append)
    watch = Stopwatch(torch.device("cuda"))
    for _ in range(3):
        with watch.section("train"):
            clock.now += 1  # launching kernels takes the host's time, which is not counted
            device_clock.now += 2
            with watch.section("measure"):
                device_clock.now += 0.5
    assert waits == []
    assert watch.read() == pytest.approx({"train": 7.5, "measure": 1.5})
    assert waits == [torch.device("cuda")]
    assert watch.read() == {}
    assert len(waits) == 1
