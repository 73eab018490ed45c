"""A controller's intervals in trackers, from a loop of one's own."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from adasearch.records import Decision, Signals
from adasearch.trackers import RunLog
from tests.trackers.shown import read_tensorboard

DATA = TensorDataset(torch.randn(96, 4, generator=torch.Generator().manual_seed(0)), torch.arange(96) % 3)


def run(log: Any, epochs: int, state: Any = None) -> BatchSizeController:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    controller = BatchSizeController(
        model,
        optimizer,
        DATA,
        "adabatch",
        {"period": 1.0},
        batch_size=16,
        limits=Limits(smallest=8, largest=64),
        log=log,
    )
    if state is not None:
        controller.load_state_dict(state)
    loader = DataLoader(DATA, batch_sampler=controller.sampler)
    for _ in range(controller.epoch, epochs):
        for inputs, labels in controller.batches(loader):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
    return controller


def test_a_controller_tells_each_interval_and_what_was_decided() -> None:
    heard: list[tuple[int, Signals, Decision]] = []
    controller = run(lambda history, decision: heard.append((len(history), history[-1], decision)), 3)
    assert [count for count, _, _ in heard] == [1, 2, 3]
    assert [signals for _, signals, _ in heard] == controller.history
    assert heard[-1][2] == controller.decision


def test_a_resumed_run_has_each_interval_once(tmp_path: Path) -> None:
    with RunLog("tensorboard", folder=str(tmp_path), run="mine", params={"net": "linear"}) as log:
        cut = run(log, 2)
        state = cut.state_dict()
        run(log, 3, state)  # the same process goes on beyond the checkpoint
    with RunLog("tensorboard", folder=str(tmp_path), run="mine", params={"net": "linear"}) as log:
        whole = run(log, 4, state)
    shown = read_tensorboard(tmp_path)
    assert list(shown) == ["mine"]
    points = shown["mine"].points
    rows = [(row.examples_seen, float(row.batch_size)) for row in whole.history]
    assert points["schedule/batch_size"] == rows
    assert len({size for _, size in rows}) > 1
    assert [step for step, _ in points["train/loss"]] == [step for step, _ in rows]
    assert list(shown["mine"].reasons) == [row.examples_seen for row in whole.history[2:]]
    assert shown["mine"].params == {"net": "linear"}


def test_a_run_that_raised_is_not_told_as_complete(tmp_path: Path) -> None:
    def fails() -> None:
        with RunLog("tensorboard", folder=str(tmp_path), run="mine") as log:
            run(log, 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert read_tensorboard(tmp_path)["mine"].status == ""


def test_a_name_in_place_of_a_log_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"log must be a function, such as adasearch\.trackers\.RunLog\(\.\.\.\)"
    ):
        run("tensorboard", 1)
    with pytest.raises(InputError, match="unknown tracker 'tb'"):
        RunLog("tb")
    with pytest.raises(InputError, match=r"run must be a name that a folder may have but is '\.\./x'"):
        RunLog("tensorboard", run="../x")
