"""The noise of preconditioned gradients against its definition, in every form, and by AdaptDL's formulas."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from adasearch.controller import BatchSizeController
from adasearch.data.splits import Dataset
from adasearch.errors import InputError
from adasearch.records import Limits
from adasearch.schedulers.goodput import Goodput
from adasearch.signal_sets import MOMENTS, PRECONDITIONED
from adasearch.signals.noise import NoiseMeter
from adasearch.signals.preconditioner import Preconditioner, has_second_moments, preconditioner_of
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from tests.signals.problems import (
    batch,
    by_groups,
    cut,
    examples_of,
    expected_signals,
    mixed_network,
    of_workers,
    rows_of,
    show,
    small_network,
)
from tests.training.test_loop import Recipe

BOTH = MOMENTS | PRECONDITIONED


def trained(network: nn.Module, steps: int, **settings: Any) -> torch.optim.AdamW:
    """Return an optimiser of a network after so many steps."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, **settings)
    for step in range(steps):
        inputs, labels = batch(12, seed=100 + step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
    return optimizer


def denominators(network: nn.Module, optimizer: torch.optim.AdamW, steps: int) -> np.ndarray:
    """Return sqrt(v_hat) + eps as one vector, by hand."""
    found = []
    for p in network.parameters():
        (group,) = optimizer.param_groups
        v = optimizer.state[p]["exp_avg_sq"].numpy()
        found.append((np.sqrt(v / (1 - group["betas"][1] ** steps)) + group["eps"]).ravel())
    return np.concatenate(found)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("build", [small_network, mixed_network])
@pytest.mark.parametrize(
    ("form", "size", "passes"), [("halves", 9, 1), ("passes", 11, 3), ("per_example", 8, 3)]
)
def test_signals_equal_their_definition(build: Any, form: str, size: int, passes: int) -> None:
    torch.manual_seed(0)
    network = build()
    optimizer = trained(network, 7, betas=(0.9, 0.97), eps=1e-3)
    own = network if form == "per_example" else None
    meter = NoiseMeter(
        list(network.parameters()), BOTH, network=own, preconditioner=preconditioner_of(optimizer)
    )
    meter.begin(1, size, passes)
    inputs, labels = batch(size, seed=1)
    show(meter, network, inputs, labels)
    assert meter.form == form
    rows = examples_of(network, inputs, labels)
    sizes = cut(size, {"halves": 2, "passes": passes, "per_example": size}[form])
    divided = rows / denominators(network, optimizer, 7)
    raw, other = (expected_signals(by_groups(each, sizes), sizes, 1) for each in (rows, divided))
    found = meter.finish()
    assert found["preconditioned_noise"] == pytest.approx(other["grad_noise"], rel=1e-9)
    assert found["preconditioned_sq_norm"] == pytest.approx(other["grad_sq_norm"], rel=1e-9)
    assert found["grad_noise"] == pytest.approx(raw["grad_noise"], rel=1e-9)
    assert found["noise_count"] == 1


def test_two_groups_by_hand_as_adaptdl_has_them() -> None:
    """v_hat = (1, 4), eps = 1: the gradients are divided by (2, 3). Two groups of two, mean gradients
    (8, 0) and (0, 12), so divided (4, 0) and (0, 4), and g = (2, 2).

    AdaptDL, at an initial batch of 2, has two samples at scale 2: |G|^2 = (2 * 8 - 16) / 1 = 0 and
    v = (16 - 8) * 2 / 1 = 16, of a batch of 2; tr(Sigma) is twice that.
    """
    p = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([p], eps=1.0, betas=(0.9, 0.5))
    step = torch.tensor(5.0)
    optimizer.state[p] = {"step": step, "exp_avg_sq": torch.tensor([1.0, 4.0]) * (1 - 0.5**5)}
    meter = NoiseMeter([p], PRECONDITIONED, preconditioner=preconditioner_of(optimizer))
    meter.begin(1, 4, 2)
    for part in ([4.0, 0.0], [0.0, 6.0]):  # half of each mean gradient: together they are g
        p.grad = torch.tensor(part)
        meter.take(2)
    meter.observe()
    expected = {"preconditioned_noise": 32.0, "preconditioned_sq_norm": 0.0, "noise_count": 1}
    found = meter.finish()
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    step.fill_(4)  # of the first five updates each counts as it is
    assert preconditioner_of(optimizer)([p])[0].tolist() == [1, 1]


def test_a_parameter_without_a_step_is_divided_by_one() -> None:
    p = nn.Parameter(torch.zeros(3))
    assert preconditioner_of(torch.optim.AdamW([p]))([p])[0].tolist() == [1, 1, 1]


def test_what_a_scaled_loss_gives_is_divided_out() -> None:
    found = []
    for scale in (1.0, 1024.0):
        torch.manual_seed(0)
        network = small_network()
        optimizer = trained(network, 6)
        parameters = list(network.parameters())
        meter = NoiseMeter(parameters, PRECONDITIONED, preconditioner=preconditioner_of(optimizer))
        meter.begin(1, 8, 2)
        optimizer.zero_grad()
        for seed in (1, 2):
            inputs, labels = batch(4, seed)
            (nn.functional.cross_entropy(network(inputs), labels) / 2 * scale).backward()
            meter.take(4)
        meter.observe()
        meter.settle(scale)
        found.append(meter.finish())
    assert found[1] == pytest.approx(found[0], rel=1e-4)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("world", "size", "passes"), [(2, 9, 1), (4, 27, 3)])
def test_many_workers_measure_alike(
    world: int, size: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    v = torch.rand(6, generator=torch.Generator().manual_seed(1)) + 0.1

    def preconditioner(weights: list[nn.Parameter]) -> Preconditioner:
        optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.5), eps=0.1)
        for p, own in zip(weights, (v[:4].view(2, 2), v[4:]), strict=True):
            optimizer.state[p] = {"step": torch.tensor(6.0), "exp_avg_sq": own * (1 - 0.5**6)}
        return preconditioner_of(optimizer)

    rows = rows_of(size)
    found, sizes = of_workers(rows, world, passes, PRECONDITIONED, monkeypatch, preconditioner)
    divided = rows.numpy() / (np.sqrt(v.numpy()) + 0.1)
    expected = expected_signals(by_groups(divided, sizes), sizes, 1)
    assert found["preconditioned_noise"] == pytest.approx(expected["grad_noise"], rel=1e-9)
    assert found["preconditioned_sq_norm"] == pytest.approx(expected["grad_sq_norm"], rel=1e-9)


# --- in the two loops ------------------------------------------------------------------------------

LIMITS = Limits(smallest=4, largest=64)
CONFIG = TrainConfig(
    architecture="vit_b_16",
    scale="nano",
    seed=0,
    hyperparameters=Hyperparameters(batch_size=16, lr=0.003, optimizer="adamw"),
    budget=320,
    interval=80,
    evaluate_every=320,
)


@pytest.mark.parametrize("changes", [{}, {"device_batch": 8}, {"per_example": True}])
def test_training_measures_them_and_trains_as_without(digits: Dataset, changes: dict[str, Any]) -> None:
    config = replace(CONFIG, **changes)
    rows = [each.signals for each in train(config, Recipe(needs=BOTH), LIMITS, digits)]
    assert all(row.preconditioned_noise and row.grad_noise for row in rows)
    if not changes:  # measured at the third step, before the first five updates are over
        assert rows[0].preconditioned_noise == rows[0].grad_noise
    assert rows[2].preconditioned_noise != rows[2].grad_noise
    raw = [each.signals for each in train(config, Recipe(needs=MOMENTS), LIMITS, digits)]
    assert [row.train_loss for row in raw] == [row.train_loss for row in rows]
    assert [row.grad_noise for row in raw] == [row.grad_noise for row in rows]


def a_controller(optimizer: type[torch.optim.Optimizer], scheduler: Any) -> tuple[Any, nn.Module]:
    torch.manual_seed(0)
    network = small_network()
    own = optimizer(network.parameters(), lr=0.01)  # type: ignore[call-arg]
    return (
        BatchSizeController(network, own, range(64), scheduler, batch_size=8, limits=LIMITS, interval=0.5),
        network,
    )


def one_run(stop: int, state: Any = None) -> tuple[Any, Any]:
    """Train up to so many updates, from a checkpoint if one is given; return the history and the state."""
    controller, network = a_controller(torch.optim.AdamW, Recipe(needs=BOTH))
    optimizer = controller._optimizer
    if state is not None:
        for each, its in zip((controller, network, optimizer), state, strict=True):
            each.load_state_dict(its)
    inputs, labels = batch(64, seed=9)
    loader: DataLoader[int] = DataLoader(range(64), batch_sampler=controller.sampler)  # type: ignore[arg-type]
    while controller.steps < stop:
        for items in controller.batches(loader):
            controller.step(nn.functional.cross_entropy(network(inputs[items]), labels[items]))
            if controller.steps == stop:
                break
    return controller.history, [each.state_dict() for each in (controller, network, optimizer)]


def test_a_loop_of_ones_own_measures_them_and_goes_on_from_a_checkpoint() -> None:
    rows, _ = one_run(16)
    assert len(rows) == 4
    assert all(row.preconditioned_noise > 0 for row in rows)
    assert rows[3].preconditioned_noise != rows[3].grad_noise
    _, state = one_run(10)
    assert one_run(16, copy.deepcopy(state))[0] == rows


@pytest.mark.parametrize(
    ("optimizer", "keeps"),
    [(torch.optim.Adam, True), (torch.optim.AdamW, True), (torch.optim.SGD, False)],
)
def test_those_with_second_moments_are_told(optimizer: Any, keeps: bool) -> None:
    assert has_second_moments(optimizer([nn.Parameter(torch.ones(1))], lr=0.1)) is keeps


def test_an_optimiser_without_second_moments_is_refused_by_name(digits: Dataset) -> None:
    rule = Goodput(noise="preconditioned")
    message = "Goodput needs preconditioned_noise, preconditioned_sq_norm, .* optimizer '{}' does not have"
    with pytest.raises(InputError, match=message.format("SGD")):
        a_controller(torch.optim.SGD, rule)
    sgd = replace(CONFIG, hyperparameters=Hyperparameters(batch_size=16))
    with pytest.raises(InputError, match=message.format("sgd")):
        next(train(sgd, rule, LIMITS, digits))


def test_goodput_takes_them_by_itself_with_adam_alone(digits: Dataset) -> None:
    (first, *_) = train(CONFIG, Goodput(), LIMITS, digits)
    assert (first.signals.grad_noise, first.signals.preconditioned_noise is None) == (None, False)
    sgd = replace(CONFIG, hyperparameters=Hyperparameters(batch_size=16, lr=0.01))
    (first, *_) = train(sgd, Goodput(), LIMITS, digits)
    assert (first.signals.grad_noise is None, first.signals.preconditioned_noise) == (False, None)
    for kind, noise, coupling in (
        (torch.optim.AdamW, "preconditioned", "adascale_root"),
        (torch.optim.SGD, "raw", "adascale"),
    ):
        rule = a_controller(kind, "goodput")[0].scheduler
        assert (rule.noise, rule.coupling) == (noise, coupling)
