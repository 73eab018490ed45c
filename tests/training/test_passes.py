"""Passes that fit into memory: found by trying, remembered, and without a trace in the results."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from torch import Tensor, nn

from adasearch.data.splits import Dataset
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import IntervalRecord, Limits
from adasearch.schedulers import BatchSizeScheduler
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.deba import Deba
from adasearch.signal_sets import NOISE
from adasearch.tasks.images import Images
from adasearch.training import memory, passes
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.training.memory import (
    PeakMemory,
    default_limit,
    is_out_of_memory,
    room_for_passes,
    watched,
)
from adasearch.training.passes import Passes
from tests.training.test_loop import Recipe

CPU = torch.device("cpu")
IMAGES = Images(classes=10, image_size=16)
LIMITS = Limits(smallest=8, largest=128)
MIB = 2**20
CONFIG = TrainConfig(
    architecture="resnet18",
    scale="nano",
    seed=0,
    hyperparameters=Hyperparameters(batch_size=32, lr=0.05),
    budget=320,
    interval=80,
    evaluate_every=160,
)


class Refusing(nn.Module):
    """A small network with BatchNorm that runs out of memory in training beyond so many examples.

    Its first layer has seen the batch by then, as on a real device.
    """

    def __init__(self, classes: int, image_size: int, most: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
        self.most = most

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images)
        if self.training and len(images) > self.most:
            raise torch.OutOfMemoryError(f"{len(images)} examples are too many")
        output: Tensor = self.last(hidden)
        return output


@pytest.fixture(autouse=True)
def _architectures(cache_dir: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for most in (2, 10, 10_000):
            build = lambda classes, image_size, most=most: Refusing(classes, image_size, most)  # noqa: E731
            patch.setitem(ARCHITECTURES, f"up to {most}", {"nano": build})
        yield


def outcome(
    data: Dataset, config: TrainConfig, scheduler: BatchSizeScheduler | None = None
) -> list[IntervalRecord]:
    return list(train(config, scheduler or Constant(), LIMITS, data))


def signals(records: Sequence[IntervalRecord]) -> list[str]:
    return [repr((record.signals, record.decision, record.val_error)) for record in records]


def test_step_that_ran_out_of_memory_is_done_again_as_if_the_passes_had_been_small(digits: Dataset) -> None:
    """32 examples do not fit, nor 16: four passes of 8, and BatchNorm has not seen the failed ones."""
    found = outcome(digits, replace(CONFIG, architecture="up to 10"))
    told = outcome(digits, replace(CONFIG, architecture="up to 10000", device_batch=8))
    assert signals(found) == signals(told)
    assert [record.out_of_memory for record in found] == [2, 0, 0, 0]
    assert [record.device_batch for record in found] == [8] * 4
    assert [record.passes for record in found] == [4] * 4


def test_growth_beyond_memory_is_met_when_it_comes(digits: Dataset) -> None:
    start = replace(CONFIG, hyperparameters=Hyperparameters(batch_size=10, lr=0.05))
    grows = Recipe(moves=((1, 64, 1.0),))
    found = outcome(digits, replace(start, architecture="up to 10"), grows)
    assert [record.out_of_memory for record in found] == [0, 0, 3, 0]
    assert [(record.signals.batch_size, record.passes) for record in found] == [
        (10, 1), (10, 1), (64, 8), (64, 8),
    ]  # fmt: skip


@pytest.mark.parametrize("needs", [NOISE, frozenset({"grad_norm", "mean_grad_norm"})], ids=["noise", "norms"])
def test_signals_of_the_interval_are_those_of_the_steps_as_they_were_done(
    digits: Dataset, needs: frozenset[str]
) -> None:
    found = outcome(digits, replace(CONFIG, architecture="up to 10"), Recipe(needs=needs))
    told = outcome(digits, replace(CONFIG, architecture="up to 10000", device_batch=8), Recipe(needs=needs))
    assert signals(found) == signals(told)


def test_what_was_found_is_remembered_for_the_next_run(digits: Dataset, cache_dir: Path) -> None:
    config = replace(CONFIG, architecture="up to 10")
    outcome(digits, config)
    again = outcome(digits, config)
    assert [record.out_of_memory for record in again] == [0] * 4
    assert again[0].device_batch == 8
    for other in (replace(config, scale="nano", precision="bfloat16"), replace(config, memory_limit=10**12)):
        assert Passes(other, IMAGES, CPU, world=1).device_batch == 512
    (cache_dir / "adasearch" / "device_batch.json").write_text("{damaged")
    assert Passes(config, IMAGES, CPU, world=1).device_batch == 512


def test_a_size_that_never_fitted_is_not_remembered(digits: Dataset, cache_dir: Path) -> None:
    config = replace(CONFIG, architecture="up to 2")
    with pytest.raises(torch.OutOfMemoryError):
        outcome(digits, config)
    assert Passes(config, IMAGES, CPU, world=1).device_batch == 512


@pytest.mark.parametrize("content", ["[]", "3", '{"key": null}', '"text"'])
def test_a_foreign_file_of_sizes_is_passed_over_and_replaced(
    digits: Dataset, cache_dir: Path, content: str
) -> None:
    file = cache_dir / "adasearch" / "device_batch.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    config = replace(CONFIG, architecture="up to 10")
    assert outcome(digits, config)[0].out_of_memory == 2
    assert Passes(config, IMAGES, CPU, world=1).device_batch == 8
    assert Passes(replace(config, compile=True), IMAGES, CPU, world=1).device_batch == 512


def test_a_given_size_counts_and_is_shrunk_too(digits: Dataset) -> None:
    found = outcome(digits, replace(CONFIG, architecture="up to 10", device_batch=20))
    assert [record.out_of_memory for record in found] == [1, 0, 0, 0]
    assert found[0].device_batch == 8


def test_network_that_fits_in_no_size_says_so(digits: Dataset) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="not even 4 examples fit into memory: 4 examples are"):
        outcome(digits, replace(CONFIG, architecture="up to 2"))


# --- the cap on a CPU ------------------------------------------------------------------------------


def test_pass_on_a_cpu_is_refused_once_it_keeps_more_than_its_limit() -> None:
    network = nn.Sequential(nn.Linear(1000, 1000), nn.ReLU(), nn.Linear(1000, 1000), nn.ReLU())
    images = torch.randn(8000, 1000)  # each layer keeps 32 MB of its input
    with watched(200 * MIB):
        network(images)
    with pytest.raises(torch.OutOfMemoryError, match="a pass keeps more than the 40 MiB"), watched(40 * MIB):
        network(images)


def test_room_is_what_the_limit_leaves_beside_the_process_and_its_training() -> None:
    parameters = [torch.zeros(MIB)]  # 4 MiB each of gradient and momentum
    present = psutil.Process().memory_info().rss
    room = room_for_passes(present + 100 * MIB, CPU, parameters)
    assert room is not None
    after = psutil.Process().memory_info().rss  # what the allocator gave back is room, too
    assert room == pytest.approx(present + 100 * MIB - after - 8 * MIB, abs=20 * MIB)
    assert room_for_passes(None, CPU, parameters) is None
    with pytest.raises(torch.OutOfMemoryError, match=r"may take 100 MiB, but before its first pass it has"):
        room_for_passes(100 * MIB, CPU, parameters)


def test_run_under_a_cap_makes_smaller_passes_and_trains_alike(digits: Dataset) -> None:
    """A real network: what 128 examples of resnet18 keep is too much, what fewer keep is not."""
    config = replace(CONFIG, architecture="vit_b_16", hyperparameters=Hyperparameters(batch_size=128))
    free = outcome(digits, config, Deba())
    room = room_for_passes(10**12, CPU, [])  # after what the run before held was given back
    assert room is not None
    limit = 10**12 - room + 20 * MIB
    capped = outcome(digits, replace(config, memory_limit=limit), Deba())
    assert free[0].passes == 1
    assert capped[0].passes > 1
    assert sum(record.out_of_memory for record in capped) >= 1
    assert [r.signals.batch_size for r in capped] == [r.signals.batch_size for r in free]
    for one, other in zip(capped, free, strict=True):
        assert one.signals.train_loss == pytest.approx(other.signals.train_loss, rel=1e-3)


def test_proven_sizes_are_not_watched_again(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def noted(room: int | None) -> object:
        sizes.append(room)
        return watched(room)

    monkeypatch.setattr(passes, "watched", noted)
    outcome(digits, replace(CONFIG, memory_limit=10**12), Recipe(moves=((1, 48, 1.0), (2, 16, 1.0))))
    assert len([room for room in sizes if room is not None]) == 2  # 32 examples, 48, and not 16


def test_a_worker_may_take_its_share() -> None:
    whole = default_limit(10**6)
    assert 0.5 * whole < psutil.virtual_memory().total * 0.9 + 1
    assert default_limit(1) <= whole


@pytest.mark.parametrize(
    ("quota", "cpus"), [("200000 100000", 2.0), ("max 100000", 8.0), ("50000 100000", 0.5)]
)
def test_share_of_a_container_goes_by_its_own_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cpus: float
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(memory, "QUOTAS", ((str(tmp_path / "cpu.max"),),))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert default_limit(1) == pytest.approx(default_limit() * min(1, 1 / cpus), rel=1e-6)


def test_errors_that_mean_memory_are_told_from_others() -> None:
    refused = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 512 bytes"
    assert is_out_of_memory(RuntimeError(refused))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_peak_memory_is_that_since_the_start() -> None:
    peak = PeakMemory(CPU)
    before = peak.read()
    if before is None:
        pytest.skip("this system does not let a process reset its peak")
    block = torch.ones(40 * MIB)
    during = peak.read()
    assert during is not None
    assert during - before > 150 * MIB
    del block
    later = PeakMemory(CPU).read()
    assert later is not None
    assert later < during - 100 * MIB
