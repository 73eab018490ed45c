"""With ``drop_last`` an epoch is an epoch: what is left out counts as passed, and a run ends as it should."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LinearLR
from torch.utils.data import BatchSampler, DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.ramp import Ramp
from tests.controller.test_controller import Script

EXAMPLES = 100


class Run:
    def __init__(self, scheduler: Any, *, workers: int = 0, **options: Any) -> None:
        self.data = TensorDataset(torch.randn(EXAMPLES, 4), torch.arange(EXAMPLES) % 3)
        self.model = nn.Linear(4, 3)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.controller = BatchSizeController(
            *(self.model, self.optimizer, self.data, scheduler),
            **{
                "batch_size": 32,
                "limits": Limits(smallest=4, largest=EXAMPLES),
                "drop_last": True,
                "epochs": 4,
                **options,
            },
        )
        self.loader = DataLoader(self.data, batch_sampler=self.controller.sampler, num_workers=workers)
        self.sizes: list[list[int]] = []

    def passes(self, epochs: int) -> Iterator[None]:
        for _ in range(self.controller.epoch, epochs):
            self.sizes.append([])
            for inputs, labels in self.controller.batches(self.loader):
                self.sizes[-1].append(len(labels))
                self.controller.step(nn.functional.cross_entropy(self.model(inputs), labels))
                yield


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_ends_at_one_and_rows_stand_at_whole_epochs(workers: int) -> None:
    run = Run(Constant(), workers=workers)
    found = [run.controller.progress for _ in run.passes(4)]
    assert found[2] == 0.25  # 96 of 100 examples were used, and that was the first epoch
    assert found[-1] == 1.0
    assert [row.epoch for row in run.controller.history] == [1, 2, 3, 4]
    assert run.sizes == [[32] * 3] * 4


@pytest.mark.parametrize("workers", [0, 2])
def test_milestones_fall_where_the_epochs_end(workers: int) -> None:
    grown = Run(AdaBatch(period=1), workers=workers)
    ramp = Run(Ramp(points=f"48@{EXAMPLES}, 96@{2 * EXAMPLES}"), workers=workers)
    for run in (grown, ramp):
        for _ in run.passes(3):
            pass
    assert grown.sizes == [[32] * 3, [64], [100]]
    assert ramp.sizes == [[32] * 3, [48] * 2, [96]]


def test_smaller_batch_than_the_rest_waits_for_the_next_epoch() -> None:
    run = Run(Script(sizes=(4, 4)), batch_size=64)
    places = [run.controller.examples_seen for _ in run.passes(2)]
    assert run.sizes == [[64], [4] * 25]  # 36 are left out though the decision was 4
    assert places == [EXAMPLES, *range(EXAMPLES + 4, 2 * EXAMPLES + 1, 4)]


@pytest.mark.parametrize("epochs", [1, 2.5, 3])
def test_curve_at_a_constant_size_is_that_of_a_plain_loop(epochs: float) -> None:
    run = Run(Constant(), epochs=epochs)
    built: list[int] = []

    def linear(optimizer: torch.optim.Optimizer, steps: int) -> LinearLR:
        built.append(steps)
        return LinearLR(optimizer, 1, 0, total_iters=steps)

    rates: list[float] = []
    run.optimizer.register_step_pre_hook(lambda one, *_: rates.append(one.param_groups[0]["lr"]))
    run.controller.curve(linear)
    for _ in run.passes(3):
        if run.controller.progress == 1:
            break
    updates = int(epochs * len(BatchSampler(range(EXAMPLES), 32, drop_last=True)) + 0.5)
    assert built == [updates]
    assert rates == pytest.approx([0.1 * (1 - step / updates) for step in range(updates)])


@pytest.mark.parametrize("cut", [2, 3, 4])
def test_cut_run_goes_on_at_its_place(cut: int) -> None:
    whole = Run(AdaBatch(period=1), interval=0.5)
    for _ in whole.passes(4):
        pass
    first, second = Run(AdaBatch(period=1), interval=0.5), Run(AdaBatch(period=1), interval=0.5)
    for number, _ in enumerate(first.passes(4), start=1):
        if number == cut:
            break
    second.controller.load_state_dict(first.controller.state_dict())
    for _ in second.passes(4):
        pass
    flat = itertools.chain.from_iterable
    assert [*flat(first.sizes), *flat(second.sizes)] == [*flat(whole.sizes)]
    assert second.controller.progress == 1
    assert [row.epoch for row in second.controller.history] == [row.epoch for row in whole.controller.history]


def test_checkpoint_of_before_stands_where_its_epoch_ended() -> None:
    first = Run(Constant())
    for _ in first.passes(1):
        pass
    state = first.controller.state_dict()
    state["examples_seen"] = 96  # as it was counted then
    state["history"][0] |= {"examples_seen": 96, "epoch": 0.96}
    second = Run(Constant())
    second.controller.load_state_dict(state)
    assert (second.controller.progress, second.controller.epoch) == (0.25, 1)
