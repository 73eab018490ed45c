"""Whatever is handed to a controller is taken or refused in one line, which names the rule."""

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LinearLR, OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from tests.controller.test_controller import Script

DATA = TensorDataset(torch.randn(32, 6), torch.arange(32) % 3)
LOADER: DataLoader[Any] = DataLoader(DATA, batch_size=16)
VALUED = Script(sizes=(), needs=frozenset({"val_loss"}))

STRANGE: list[Any] = [
    *(
        None,
        True,
        0,
        -3,
        3,
        1.5,
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        2**70,
        1 + 2j,
        "x",
        "1",
        "é\n" * 200,
    ),
    *(
        b"x",
        [],
        {},
        (),
        range(3),
        {"a": 1},
        object(),
        int,
        nn.Linear,
        LOADER,
        DATA,
        lambda: 1,
        lambda *_: "q",
    ),
    *(np.nan, np.int64(3), np.array([1, 2]), np.array(3.0), torch.tensor(3.0), torch.tensor([1.0, 2.0])),
    *(torch.tensor(math.nan), torch.tensor(2 + 1j), torch.tensor(True), torch.empty(0)),
    torch.tensor(1.0, device="meta"),
]


class Run:
    def __init__(self, **options: Any) -> None:
        self.model = nn.Linear(6, 3)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        settings = {"scheduler": "constant", "batch_size": 16, "limits": Limits(smallest=8, largest=32)}
        given = {"model": self.model, "optimizer": self.optimizer, "data": DATA, **settings, **options}
        self.controller = BatchSizeController(**given)
        self.loader = DataLoader(DATA, batch_sampler=self.controller.sampler)

    def first(self, use: Callable[[BatchSizeController, Tensor], object]) -> None:
        for inputs, labels in self.controller.batches(self.loader):
            use(self.controller, nn.functional.cross_entropy(self.model(inputs), labels))
            break

    def epoch(self) -> None:
        for inputs, labels in self.controller.batches(self.loader):
            self.controller.step(nn.functional.cross_entropy(self.model(inputs), labels))


def linear(optimizer: torch.optim.Optimizer, steps: int) -> LinearLR:
    return LinearLR(optimizer, 1, 0.1, total_iters=steps)


def in_pieces(updated: Any, controller: BatchSizeController, loss: Tensor) -> None:
    controller.backward(loss)
    controller.before_update()
    controller.after_update(updated=updated)


OPTIONS = (
    *(
        "model",
        "optimizer",
        "data",
        "scheduler",
        "fields",
        "batch_size",
        "limits",
        "interval",
        "device_batch",
    ),
    *("seed", "weights", "drop_last", "whole_batches", "epochs", "evaluate", "scaler"),
)
CALLS: dict[str, Callable[[Any], object]] = {
    "step": lambda value: Run().first(lambda controller, _: controller.step(value)),
    "backward": lambda value: Run().first(lambda controller, _: controller.backward(value)),
    "record": lambda value: Run().first(lambda controller, _: controller.record(value)),
    "weight": lambda value: Run().first(lambda controller, loss: controller.step(loss, weight=value)),
    "weight of a part": lambda value: Run(device_batch=4).first(
        lambda controller, loss: controller.step(loss, weight=value)
    ),
    "after_update": lambda value: Run().first(partial(in_pieces, value)),
    "batches": lambda value: next(Run().controller.batches(value)),
    "load_state_dict": lambda value: Run().controller.load_state_dict(value),
    "resize": lambda value: Run().controller.sampler.resize(value),
    "sampler's state": lambda value: Run().controller.sampler.load_state_dict(value),
    "curve": lambda value: Run(epochs=2).controller.curve(value),
    "curve's steps": lambda value: Run(epochs=2).controller.curve(linear, value),
    "curve's result": lambda value: Run(epochs=2).controller.curve(lambda *_: value),
    "evaluate's result": lambda value: Run(scheduler=VALUED, evaluate=lambda: value).epoch(),
    **{name: lambda value, name=name: Run(**{name: value}) for name in OPTIONS},  # type: ignore[misc]
}


@settings(deadline=None, max_examples=400)
@given(st.sampled_from([*CALLS]), st.sampled_from(range(len(STRANGE))))
def test_any_argument_is_taken_or_refused_in_one_line(call: str, number: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            CALLS[call](STRANGE[number])
        except (InputError, RuntimeError) as error:
            kind, told = type(error), str(error)
        else:
            return
    assert kind is InputError or "does not draw from controller.sampler" in told
    assert "\n" not in told
    assert len(told) < 400


@pytest.mark.parametrize("weight", [math.nan, -3, math.inf])
@pytest.mark.parametrize("device_batch", [None, 4])
def test_weight_of_a_whole_batch_is_checked_too(weight: float, device_batch: int | None) -> None:
    with pytest.raises(InputError, match="weight must be finite and at least 0 but got weight="):
        Run(device_batch=device_batch).first(lambda controller, loss: controller.step(loss, weight=weight))


def test_gradients_that_the_loop_unscaled_are_told() -> None:
    scaler = torch.amp.GradScaler("cpu")
    run = Run(scaler=scaler)

    def use(controller: BatchSizeController, loss: Tensor) -> None:
        scaler.scale(loss).backward(retain_graph=True)
        scaler.unscale_(run.optimizer)
        controller.step(loss)

    with (
        pytest.warns(UserWarning, match="backward before controller.backward"),
        pytest.raises(InputError, match=r"scaler\.unscale_\(\) was called beside the controller"),
    ):
        run.first(use)


def test_loss_that_went_backward_is_told() -> None:
    def use(controller: BatchSizeController, loss: Tensor) -> None:
        loss.backward()
        controller.step(loss)

    with (
        pytest.warns(UserWarning, match="backward before controller.backward"),
        pytest.raises(InputError, match=r"went backward already: leave loss\.backward\(\) to the controller"),
    ):
        Run().first(use)


def test_framework_that_makes_an_update_of_a_part_is_told() -> None:
    def use(controller: BatchSizeController, loss: Tensor) -> None:
        controller.record(loss)
        loss.backward()
        controller.measure()

    with pytest.raises(
        InputError, match=r"no update is due with part 1 of 4 of a batch: .* whole_batches=True"
    ):
        Run(device_batch=4).first(use)


def test_class_that_takes_no_steps_is_no_curve() -> None:
    Run(epochs=2).controller.curve(CosineAnnealingLR)
    for kind, second in ((OneCycleLR, "max_lr"), (ExponentialLR, "gamma")):
        with pytest.raises(InputError, match=f"the class {kind.__name__}, whose second argument is {second}"):
            Run(epochs=2).controller.curve(kind)
    with pytest.raises(InputError, match="not one of other arguments"):
        Run(epochs=2).controller.curve(lambda optimizer: linear(optimizer, 3))  # type: ignore[misc,arg-type]


def test_loader_in_the_place_of_the_data_is_refused() -> None:
    with pytest.raises(InputError, match="data must be the data set, not a loader of it"):
        Run(data=LOADER)
