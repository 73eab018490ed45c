"""Beta2 and weight decay that follow the size: both loops train as one by hand does."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from adasearch.controller import BatchSizeController
from adasearch.data.batches import Batches
from adasearch.data.splits import Dataset
from adasearch.errors import InputError
from adasearch.networks.registry import build_model
from adasearch.records import Limits
from adasearch.schedulers.follow import Follow, Followed
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.training.optimizer import Update
from tests.training.test_loop import Recipe

LIMITS = Limits(smallest=1, largest=512)
HYPER = Hyperparameters(batch_size=20, lr=0.01, optimizer="adamw", weight_decay=0.1, beta2=0.95)
CONFIG = TrainConfig(
    architecture="vit_b_16",
    scale="nano",
    seed=0,
    hyperparameters=HYPER,
    budget=240,
    interval=40,
    evaluate_every=240,
)
MOVES = Recipe(moves=((1, 40, 1.5), (3, 10, 0.5)))
BOTH = Follow(scheduler=MOVES, beta2=True, weight_decay=True)


def at(interval: int) -> tuple[int, float]:
    """Return the recipe's size and factor in an interval."""
    return (20, 1.0) if interval < 2 else (40, 1.5) if interval < 4 else (10, 0.5)


def test_built_in_training_equals_a_loop_by_hand(digits: Dataset) -> None:
    records = list(train(CONFIG, BOTH, LIMITS, digits))
    torch.manual_seed(CONFIG.seed)
    network = build_model("vit_b_16", "nano", classes=10, image_size=16)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    batches, seen, step = Batches(digits, CONFIG.seed), 0, 0
    for record in records:
        size, factor = at(record.signals.interval)
        assert (record.signals.batch_size, record.signals.lr_scale) == (size, factor)
        losses = []
        while seen < record.signals.examples_seen:
            images, labels = next(batches.chunks(seen, step, size, 1, range(1)))
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            scale, curve = size / 20, HYPER.lr_curve.factor(seen / 240)
            optimizer.param_groups[0].update(
                lr=0.01 * curve * factor, betas=(0.9, 0.95**scale), weight_decay=0.1 * scale / factor
            )
            optimizer.step()
            losses.append(loss.item())
            seen, step = seen + size, step + 1
        assert record.signals.train_loss == pytest.approx(sum(losses) / len(losses), rel=1e-4)
    plain = list(train(CONFIG, MOVES, LIMITS, digits))
    assert plain[-1].signals.train_loss != records[-1].signals.train_loss
    assert [record.signals for record in plain[:2]] == [record.signals for record in records[:2]]


def test_a_loop_of_ones_own_equals_one_by_hand() -> None:
    def parts() -> tuple[nn.Module, torch.optim.AdamW]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        groups: list[dict[str, Any]] = [
            {"params": [model.weight]},
            {"params": [model.bias], "weight_decay": 0.0, "lr": 0.02},
        ]
        return model, torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.9), weight_decay=0.2)

    inputs = torch.randn(240, 3, generator=torch.Generator().manual_seed(1))
    model, optimizer = parts()
    controller = BatchSizeController(
        model, optimizer, range(240), BOTH, batch_size=20, limits=LIMITS, interval=1 / 6
    )
    loader: DataLoader[int] = DataLoader(range(240), batch_sampler=controller.sampler)  # type: ignore[arg-type]
    drawn = []
    for items in controller.batches(loader):
        drawn.append(items)
        controller.step(model(inputs[items]).square().mean())
        assert [group["betas"] for group in optimizer.param_groups] == [(0.8, 0.9)] * 2
        assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]
    assert {len(items) for items in drawn} == {10, 20, 40}
    twin, by_hand = parts()
    seen = 0
    for items in drawn:
        size, factor = at(seen // 40)
        assert len(items) == size
        by_hand.zero_grad()
        twin(inputs[items]).square().mean().backward()
        scale = size / 20
        for group, lr, decay in zip(by_hand.param_groups, (0.01, 0.02), (0.2, 0.0), strict=True):
            group.update(lr=lr * factor, betas=(0.8, 0.9**scale), weight_decay=decay * scale / factor)
        by_hand.step()
        seen += size
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


def test_groups_without_betas_keep_what_they_have() -> None:
    """Such as Muon's."""
    p = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([p], lr=0.1, weight_decay=0.3)
    update = Update(optimizer, None, Followed(beta2=True, weight_decay=True))
    update.begin(2.0, 4.0)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == pytest.approx((0.2, 0.6))
    update.end()
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.3)


def test_beta2_of_sgd_is_refused_by_name() -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match=r"wrappers\.beta2 .* optimizer 'SGD' has none"):
        BatchSizeController(
            model, optimizer, range(64), "deba", {"wrappers.beta2": True}, batch_size=8, limits=LIMITS
        )
