"""Muon with AdamW as one optimiser: it trains as the two by hand do, and goes where an optimiser goes."""

import copy
import io
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon
from torch.utils.data import DataLoader

from adasearch.controller import BatchSizeController
from adasearch.data.batches import Batches
from adasearch.data.splits import Dataset
from adasearch.errors import InputError
from adasearch.networks.registry import build_model
from adasearch.records import Limits
from adasearch.schedulers.constant import Constant
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.training.muon import MuonWithAdamW, hidden_matrices
from adasearch.training.optimizer import Update, make_optimizer
from tests.training.test_loop import Recipe

HYPER = Hyperparameters(
    batch_size=20, lr=0.01, optimizer="muon", weight_decay=0.1, beta1=0.8, beta2=0.95, muon_momentum=0.9
)
LIMITS = Limits(smallest=1, largest=512)
CONFIG = TrainConfig(
    architecture="vit_b_16",
    scale="nano",
    seed=0,
    hyperparameters=HYPER,
    budget=240,
    interval=40,
    evaluate_every=240,
)


def a_model() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 8), nn.Flatten(), nn.ReLU(), nn.Linear(24, 5))


def of_ours(model: nn.Module) -> MuonWithAdamW:
    found = make_optimizer(HYPER, list(model.parameters()), matrices=hidden_matrices(model))
    assert isinstance(found, MuonWithAdamW)
    return found


def by_hand(model: nn.Module, matrices: list[nn.Parameter]) -> tuple[Muon, AdamW]:
    own = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in own]
    return (
        Muon(matrices, lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"),
        AdamW(rest, lr=0.01, weight_decay=0.1, betas=(0.8, 0.95), fused=True),
    )


def loss_of(model: nn.Module, step: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(step)
    words, labels = torch.randint(7, (4, 3), generator=draw), torch.randint(5, (4,), generator=draw)
    return nn.functional.cross_entropy(model(words), labels)


def steps(model: nn.Module, optimizers: list[torch.optim.Optimizer], numbers: range) -> None:
    for number in numbers:
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss_of(model, number).backward()
        for optimizer in optimizers:
            optimizer.step()


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


def test_trains_as_the_two_optimisers_by_hand(digits: Dataset) -> None:
    records = list(train(CONFIG, Recipe(moves=((1, 40, 1.5),)), LIMITS, digits))
    torch.manual_seed(CONFIG.seed)
    network = build_model("vit_b_16", "nano", classes=10, image_size=16)
    hidden = [
        p
        for name, p in network.named_parameters()
        if p.dim() == 2 and not name.startswith("heads")  # attention and the two layers of each block
    ]
    assert len(hidden) >= 4
    pair = by_hand(network, hidden)
    batches, seen, step = Batches(digits, CONFIG.seed), 0, 0
    for record in records:
        size, factor = (20, 1.0) if record.signals.interval < 2 else (40, 1.5)
        losses = []
        while seen < record.signals.examples_seen:
            images, labels = next(batches.chunks(seen, step, size, 1, range(1)))
            loss = nn.functional.cross_entropy(network(images), labels)
            for optimizer in pair:
                optimizer.zero_grad()
                optimizer.param_groups[0]["lr"] = HYPER.lr * HYPER.lr_curve.factor(seen / 240) * factor
            loss.backward()
            muon, adamw = pair
            muon.step()
            adamw.step()
            losses.append(loss.item())
            seen, step = seen + size, step + 1
        assert record.signals.train_loss == pytest.approx(
            sum(losses) / len(losses), rel=1e-4
        )  # it rounds to bfloat16


def test_embeddings_head_and_convolutions_are_left_to_adamw() -> None:
    network = build_model("vit_b_16", "nano", classes=10, image_size=32)
    taken = {id(p) for p in hidden_matrices(network)}
    names = {key.rpartition("layer_")[2] for key, p in network.named_parameters() if id(p) in taken}
    assert {key.partition(".")[2] for key in names} == {
        "self_attention.in_proj_weight",
        "self_attention.out_proj.weight",
        "mlp.0.weight",
        "mlp.3.weight",
    }
    model = a_model()
    assert [p is model[1].weight for p in hidden_matrices(model)] == [True]


def test_a_tied_head_is_the_embedding() -> None:
    model = nn.ModuleList([nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9)])
    model[2].weight = model[0].weight
    assert [p is model[1].weight for p in hidden_matrices(model)] == [True]


def test_frozen_matrices_are_not_trained() -> None:
    model = a_model()
    model[1].weight.requires_grad_(False)
    with pytest.raises(InputError, match=r"'muon' trains the matrices between .* take 'adamw'"):
        of_ours(model)


def test_a_network_of_convolutions_is_refused(digits: Dataset) -> None:
    with pytest.raises(InputError, match="but this one has none"):
        next(train(replace(CONFIG, architecture="resnet20"), Constant(), LIMITS, digits))


def test_state_goes_to_a_file_and_back() -> None:
    whole, first, second = a_model(), a_model(), a_model()
    steps(whole, [of_ours(whole)], range(6))
    optimizer = of_ours(first)
    steps(first, [optimizer], range(3))
    kept = io.BytesIO()
    torch.save(optimizer.state_dict(), kept)
    kept.seek(0)
    second.load_state_dict(first.state_dict())
    resumed = of_ours(second)
    resumed.load_state_dict(torch.load(kept, weights_only=True))
    steps(second, [resumed], range(3, 6))
    assert equal(whole, second)


@pytest.mark.parametrize("way", ["pickle", "deepcopy"])
def test_a_copy_trains_as_the_original_would(way: str) -> None:
    whole, model = a_model(), a_model()
    steps(whole, [of_ours(whole)], range(6))
    optimizer = of_ours(model)
    steps(model, [optimizer], range(3))
    pair = (model, optimizer)
    model, optimizer = copy.deepcopy(pair) if way == "deepcopy" else pickle.loads(pickle.dumps(pair))
    steps(model, [optimizer], range(3, 6))
    assert equal(whole, model)


def test_a_scaler_skips_both_or_none() -> None:
    plain, scaled = a_model(), a_model()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    update = Update(of_ours(scaled), scaler)
    for number in range(4):
        update.clear()
        update.scaled(loss_of(scaled, number)).backward()
        if number == 2:
            next(scaled.parameters()).grad.fill_(torch.inf)  # type: ignore[union-attr]
        before = [p.clone() for p in scaled.parameters()]
        assert update.step() == (number != 2)
        if number == 2:
            assert all(torch.equal(p, q) for p, q in zip(before, scaled.parameters(), strict=True))
    optimizer = of_ours(plain)
    for numbers in (range(2), range(3, 4)):
        steps(plain, [optimizer], numbers)
    for p, q in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)


def test_a_schedule_of_the_rate_reaches_both_parts() -> None:
    model, other = a_model(), a_model()
    optimizer, pair = of_ours(model), by_hand(other, hidden_matrices(other))
    curves = [torch.optim.lr_scheduler.StepLR(each, 1, 0.5) for each in (optimizer, *pair)]
    for number in range(4):
        steps(model, [optimizer], range(number, number + 1))
        steps(other, list(pair), range(number, number + 1))
        for curve in curves:
            curve.step()
    assert equal(model, other)


def test_a_group_added_later_is_trained_by_adamw() -> None:
    model = a_model()
    optimizer = of_ours(model)
    added = nn.Parameter(torch.ones(3))
    optimizer.add_param_group({"params": [added]})
    added.grad = torch.ones(3)
    optimizer.step()
    assert torch.allclose(added, torch.full((3,), 1 - 0.01 * 0.1 - 0.01), atol=1e-6)
    assert optimizer.param_groups[-1]["betas"] == (0.8, 0.95)


def test_a_closure_is_called_once() -> None:
    model = a_model()
    optimizer = of_ours(model)
    called = []

    def closure() -> torch.Tensor:
        called.append(1)
        optimizer.zero_grad()
        loss = loss_of(model, 0)
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    assert isinstance(loss, torch.Tensor)
    assert len(called) == 1


def test_resumed_run_equals_the_uncut_one(digits: Dataset, tmp_path: Path) -> None:
    scheduler = Recipe(moves=((1, 40, 1.5),))
    uncut = list(train(CONFIG, scheduler, LIMITS, digits))
    run = train(CONFIG, scheduler, LIMITS, digits, checkpoints=Checkpoints(str(tmp_path / "c"), every=2))
    first = [next(run) for _ in range(3)]
    resumed = Checkpoints(str(tmp_path / "c"), every=2, stored=3)
    rest = list(train(CONFIG, scheduler, LIMITS, digits, checkpoints=resumed))
    assert rest[0].signals.interval == 2
    signals = [repr(record.signals) for record in [*first[:2], *rest]]
    assert signals == [repr(record.signals) for record in uncut]


def test_a_loop_of_ones_own_takes_it() -> None:
    model, other = a_model(), a_model()
    controller = BatchSizeController(
        model, of_ours(model), range(16), Constant(), batch_size=4, limits=LIMITS
    )
    loader: DataLoader[int] = DataLoader(range(16), batch_sampler=controller.sampler)  # type: ignore[arg-type]
    for number, _ in enumerate(controller.batches(loader)):
        controller.step(loss_of(model, number))
    steps(other, list(by_hand(other, hidden_matrices(other))), range(4))
    assert equal(model, other)
