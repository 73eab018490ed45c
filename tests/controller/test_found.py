"""A schedule that a search found, in a loop of one's own: optimiser and rates as the search had them."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from adasearch import BatchSizeController
from adasearch.data.batches import Batches
from adasearch.data.splits import Dataset
from adasearch.networks.registry import ARCHITECTURES, build_model
from adasearch.records import Signals
from adasearch.schedule_file import VERSION, Provenance, Schedule
from adasearch.training.config import TrainConfig
from adasearch.training.loop import train

EXAMPLES = 160


def linear(classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))


@pytest.fixture(autouse=True)
def _linear_architecture() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "linear", {"nano": linear})
        yield


def schedule(**settings: Any) -> Schedule:
    return Schedule(
        schedule_version=VERSION,
        name="adabatch",
        fields={"period": 1.0, "growth": 2},
        batch_size=16,
        smallest=16,
        largest=64,
        interval=1.0,
        epochs=3,
        train={"lr": 0.02, **settings},
        provenance=Provenance(
            **{"study": "one", "trial": "one", "form": "rule", "verdict": "gain", "search_seed": 1},
            **{"architecture": "linear", "scale": "nano", "dataset": "digits", "fingerprint": "0"},
            **{"train_examples": EXAMPLES, "precision": "float32", "versions": {}},
        ),
    )


def searched(found: Schedule, data: Dataset) -> list[Signals]:
    config = TrainConfig(
        architecture="linear",
        scale="nano",
        seed=1,
        hyperparameters=found.hyperparameters,
        budget=round(found.epochs * EXAMPLES),
        interval=EXAMPLES,
        evaluate_every=3 * EXAMPLES,
    )
    return [record.signals for record in train(config, found.scheduler, found.limits, data)]


def of_ones_own(found: Schedule, data: Dataset) -> list[Signals]:
    """The loop of the README, over the images and the order of the search."""
    torch.manual_seed(1)
    model = build_model("linear", "nano", classes=data.classes, image_size=data.image_size)
    optimizer = found.optimizer(model)
    controller = BatchSizeController(
        *(model, optimizer, range(EXAMPLES), found.scheduler),
        batch_size=found.batch_size,
        limits=found.limits,
        interval=found.interval,
        epochs=found.epochs,
    )
    loader: DataLoader[int] = DataLoader(range(EXAMPLES), batch_sampler=controller.sampler)  # type: ignore[arg-type]
    batches = Batches(data, 1)
    while controller.epoch < 3:
        for _ in controller.batches(loader):
            seen, size = controller.examples_seen, controller.part.batch_size
            images, labels = next(batches.chunks(seen, controller.steps, size, 1, range(1)))
            for group in optimizer.param_groups:
                group["lr"] = found.lr(controller.progress)
            controller.step(nn.functional.cross_entropy(model(images), labels))
    return controller.history


@pytest.mark.parametrize(
    "settings",
    [
        {"lr_schedule": "cosine", "warmup": 0.1},
        {"lr_schedule": "one_cycle", "nesterov": True, "momentum": 0.8},
        {"lr_schedule": "staircase", "optimizer": "adamw", "weight_decay": 0.1},
    ],
    ids=lambda settings: settings["lr_schedule"],
)
def test_found_schedule_trains_as_in_the_search(digits: Dataset, settings: dict[str, Any]) -> None:
    found = schedule(**settings)
    rows, expected = of_ones_own(found, digits), searched(found, digits)
    assert [row.batch_size for row in rows] == [16, 32, 64]
    for row, other in zip(rows, expected, strict=True):
        assert row.batch_size == other.batch_size
        assert row.lr == pytest.approx(other.lr, rel=1e-12)
        assert row.train_loss == pytest.approx(other.train_loss, rel=1e-5)


def test_rate_of_a_found_schedule_is_that_at_the_progress() -> None:
    found = schedule(lr_schedule="cosine", warmup=0.5)
    assert [round(found.lr(each), 4) for each in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.0, 0.01, 0.02, 0.01, 0.0]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_found_optimizer_behind_a_scaler_begins_afresh_where_its_first_step_is_skipped(
    optimizer: str,
) -> None:
    def run(*, scaled: bool) -> torch.Tensor:
        torch.manual_seed(1)
        model = nn.Linear(4, 2)
        found = schedule(momentum=0.9, optimizer=optimizer)
        controller = BatchSizeController(
            model,
            found.optimizer(model, scaled=scaled),
            range(EXAMPLES),
            found.scheduler,
            batch_size=found.batch_size,
            limits=found.limits,
            epochs=found.epochs,
            scaler=torch.amp.GradScaler("cpu", init_scale=2.0**8) if scaled else None,
        )
        loader: DataLoader[int] = DataLoader(range(EXAMPLES), batch_sampler=controller.sampler)  # type: ignore[arg-type]
        for number, indices in enumerate(controller.batches(loader)):
            inputs = torch.sin(indices[:, None] * torch.arange(1.0, 5.0))
            loss = nn.functional.cross_entropy(model(inputs), indices % 2)
            if number == 0 and not scaled:
                continue
            overflow = model.weight.register_hook(lambda grad, n=number: grad * torch.inf if n == 0 else grad)
            controller.step(loss)
            overflow.remove()
        assert controller.steps == EXAMPLES // 16 - 1
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    torch.testing.assert_close(run(scaled=True), run(scaled=False), rtol=1e-5, atol=1e-7)
