"""Examples drawn by weight, and how many items a loader has left."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.data.weighted_draws import weighted_draws
from adasearch.errors import InputError
from adasearch.schedulers.adabatch import AdaBatch
from tests.controller.test_sampler import SIZES, loader_of, run

WEIGHTS = torch.arange(40, dtype=torch.float32) % 4  # every fourth example never comes


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("device_batch", [None, 4])
def test_each_epoch_is_its_draws_whatever_the_sizes(workers: int, device_batch: int | None) -> None:
    sampler = ResizableBatchSampler(40, 4, weights=WEIGHTS, seed=5, device_batch=device_batch)
    items = run(sampler, loader_of(sampler, 40, workers), 3, itertools.cycle(SIZES))
    seen = [each for _, item in items for each in item]
    expected = torch.cat([weighted_draws(WEIGHTS, 5, epoch) for epoch in range(5)]).tolist()
    assert len(seen) >= 120
    assert seen == expected[: len(seen)]
    assert all(WEIGHTS[each] for each in seen)


def test_cut_run_goes_on_with_the_same_draws() -> None:
    def built() -> ResizableBatchSampler:
        return ResizableBatchSampler(40, 7, weights=WEIGHTS)

    whole, first, second = built(), built(), built()
    expected = [item for _, item in run(whole, loader_of(whole, 40), 2, iter(()))]
    found = [item for _, item in itertools.islice(run(first, loader_of(first, 40), 2, iter(())), 4)]
    second.load_state_dict(first.state_dict())  # the fourth was not finished
    found = found[:3] + [item for _, item in run(second, loader_of(second, 40), 2, iter(()))]
    assert found == expected


def test_controller_draws_by_weight() -> None:
    data = TensorDataset(torch.randn(40, 3), torch.zeros(40, dtype=torch.int64), torch.arange(40))
    model = nn.Linear(3, 2)
    controller = BatchSizeController(
        *(model, torch.optim.SGD(model.parameters(), lr=0.1), data, AdaBatch(period=1)),
        batch_size=8,
        limits=Limits(smallest=8, largest=32),
        weights=WEIGHTS.tolist(),
        seed=2,
    )
    seen: list[int] = []
    for _ in range(3):
        for inputs, labels, numbers in controller.batches(DataLoader(data, batch_sampler=controller.sampler)):
            seen += numbers.tolist()
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
    assert seen == torch.cat([weighted_draws(WEIGHTS, 2, epoch) for epoch in range(5)])[: len(seen)].tolist()
    assert [row.batch_size for row in controller.history] == [8, 16, 32]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.ones(39), r"weights must be 40, one for each example but got shape=\(39,\)"),
        (torch.ones(40, 1), r"weights must be 40, one for each example but got shape=\(40, 1\)"),
        (-WEIGHTS, "weights must be one row of finite numbers, none below 0"),
        (torch.zeros(40), "weights must be one row of finite numbers, none below 0 and one above it"),
    ],
)
def test_weights_that_cannot_be_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ResizableBatchSampler(40, 4, weights=weights)


@pytest.mark.parametrize("theirs", [None, WEIGHTS + 1])
@pytest.mark.parametrize("mine", [None, WEIGHTS])
def test_checkpoint_of_other_weights_is_refused(mine: Any, theirs: Any) -> None:
    sampler, other = (ResizableBatchSampler(40, 4, weights=each) for each in (mine, theirs))
    if mine is None and theirs is None:
        sampler.load_state_dict(other.state_dict())
        assert "weights" not in other.state_dict()
        return
    with pytest.raises(InputError, match="the checkpoint has weights="):
        sampler.load_state_dict(other.state_dict())


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("device_batch", [None, 4])
@pytest.mark.parametrize("size", [4, 7, 9, 20])
def test_length_is_the_items_that_are_left_while_the_size_stays(
    size: int, device_batch: int | None, drop_last: bool
) -> None:
    sampler = ResizableBatchSampler(61, size, device_batch=device_batch, drop_last=drop_last)
    loader = loader_of(sampler, 61)
    for _ in range(3):
        expected = len(loader)
        found = sum(1 for _ in run(sampler, loader, sampler.epoch + 1, iter(())))
        assert found == expected > 0


def test_length_in_mid_epoch_counts_what_is_not_finished_at_the_present_size() -> None:
    sampler = ResizableBatchSampler(100, 10)
    loader = loader_of(sampler, 100)
    found: list[int] = []

    def sizes() -> Iterator[int]:
        for size in (10, 10, 20, 20, 20):
            found.append(len(loader))
            yield size

    list(run(sampler, loader, 1, sizes()))
    assert found == [9, 8, 7, 3, 2]


def test_length_counts_batches_drawn_ahead_at_their_size() -> None:
    sampler = ResizableBatchSampler(100, 10)
    loader = loader_of(sampler, 100, workers=2)
    for number, _ in enumerate(loader):
        sampler.take()
        sampler.finish()
        sampler.resize(50)
        if number == 1:
            break
    drawn = sampler.state_dict()["drawn"]
    assert {*drawn} == {10, 50}
    assert len(loader) == len(drawn) + math.ceil(max(0, 80 - sum(drawn)) / 50)
