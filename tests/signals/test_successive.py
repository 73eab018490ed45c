"""The noise from batches one after the other: by definition, over many draws, and where it is used."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from adasearch.data.splits import Dataset
from adasearch.records import IntervalRecord, Limits
from adasearch.runs.speed import FixedBatch
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.constant import Constant
from adasearch.signal_sets import MOMENTS, NOISE, PRECONDITIONED
from adasearch.signals.noise import NoiseMeter
from adasearch.signals.preconditioner import preconditioner_of
from adasearch.signals.sampled_steps import stride_of
from adasearch.signals.successive import SuccessiveSteps
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from tests.signals.problems import batch, gradient_of, mixed_network, show

FOUND = NOISE - {"inner_product_variance"}


def meter_of(network: nn.Module, needs: frozenset[str] = FOUND, *, least: int = 2) -> NoiseMeter:
    return NoiseMeter(list(network.parameters()), needs, least=least, successive=True)


def stepped(weights: Sequence[nn.Parameter], meter: SuccessiveSteps, *gradients: float) -> None:
    for value in gradients:
        for p in weights:
            p.grad = torch.full_like(p, value)
        meter.observe()


@pytest.mark.usefixtures("double")
def test_signals_are_those_of_pairs_whatever_the_weights_do_between() -> None:
    torch.manual_seed(0)
    network, size, steps = mixed_network(), 6, 9
    meter = meter_of(network)
    meter.begin(steps, size, 1)
    assert (meter.form, meter.passes) == ("successive", 1)
    gradients = []
    for seed in range(steps):
        inputs, labels = batch(size, seed)
        gradients.append(gradient_of(network, inputs, labels))
        show(meter, network, inputs, labels)
        with torch.no_grad():
            for p in network.parameters():
                assert p.grad is not None
                p.sub_(0.1 * p.grad)
                p.grad.zero_()  # as an optimiser may; the pair keeps what it was
    pairs = [(gradients[at], gradients[at + 1]) for at in range(0, steps - 1, 2)]
    noise = np.mean([size * np.sum((a - b) ** 2) / 2 for a, b in pairs])
    square = np.mean([a @ b for a, b in pairs])
    assert meter.finish() == pytest.approx(
        {
            "grad_noise": noise,
            "grad_sq_norm": square,
            "batch_grad_sq_norm": np.mean([(a @ a + b @ b) / 2 for a, b in pairs]),
            "half_cosine": square / (square + 2 * noise / size),
            "noise_count": 8,
        },
        rel=1e-9,
    )


def test_many_draws_at_the_same_weights_come_to_the_moments_of_the_examples() -> None:
    """Gradients of mean 2 and variance 9 in each of four components, batches of 8: 36, and |G|^2 = 16."""
    random = torch.Generator().manual_seed(0)
    p = nn.Parameter(torch.zeros(4))
    meter = NoiseMeter([p], FOUND, least=2, successive=True)
    found = []
    for _ in range(400):
        meter.begin(16, 8, 1)
        for _ in range(16):
            p.grad = (2 + 3 * torch.randn(8, 4, generator=random)).mean(dim=0)
            meter.observe()
        found.append(meter.finish())
    means = {name: float(np.mean([row[name] for row in found])) for name in found[0]}
    assert means["grad_noise"] == pytest.approx(36, rel=0.03)
    assert means["grad_sq_norm"] == pytest.approx(16, rel=0.03)
    assert means["half_cosine"] == pytest.approx(16 / (16 + 2 * 36 / 8), rel=0.03)


@pytest.mark.parametrize("steps", [2, 3, 16, 17, 32, 100])
def test_pairs_share_no_step_and_are_no_more_steps_than_other_signals_take(steps: int) -> None:
    p = nn.Parameter(torch.zeros(2))
    meter = SuccessiveSteps([p])
    meter.begin(steps)
    taken = []
    for _ in range(steps):
        taken.append(meter.sampling)
        stepped([p], meter, 1.0)
    stride = stride_of(steps)
    assert taken == [at % (2 * stride) < 2 for at in range(steps)]
    assert meter.measured == 2 * sum(1 for at in range(0, steps - 1, 2 * stride))
    assert meter.measured <= 16


def test_small_noise_of_large_gradients_is_not_rounded_away() -> None:
    """Two gradients of four million components, apart by a thousandth of their squared norm."""
    random = torch.Generator().manual_seed(0)
    p = nn.Parameter(torch.zeros(4_000_000))
    meter = SuccessiveSteps([p])
    meter.begin(2)
    mean = torch.randn(p.shape, generator=random)
    for _ in range(2):
        p.grad = mean + 0.0316 * torch.randn(p.shape, generator=random)
        meter.observe()
    found = meter.finish(1)
    assert found["grad_noise"] / found["batch_grad_sq_norm"] == pytest.approx(0.0316**2, rel=0.01)


def test_a_gradient_is_let_go_once_its_pair_is_taken() -> None:
    p = nn.Parameter(torch.zeros(2))
    meter = SuccessiveSteps([p])
    meter.begin(4)
    stepped([p], meter, 1.0)
    assert meter._first
    stepped([p], meter, 1.0)
    assert not meter._first


def test_an_interval_that_goes_on_in_several_passes_begins_anew_and_the_next_has_pairs_again() -> None:
    torch.manual_seed(0)
    network = mixed_network()
    meter = meter_of(network)
    meter.begin(8, 6, 1)
    show(meter, network, *batch(6, 0))
    meter.begin(7, 6, 2)  # the first pass of the second step did not fit
    show(meter, network, *batch(6, 1))
    assert (meter.form, meter.finish()["noise_count"]) == ("passes", 1)
    meter.begin(8, 6, 1)
    show(meter, network, *batch(6, 2))
    show(meter, network, *batch(6, 3))
    assert (meter.form, meter.finish()["noise_count"]) == ("successive", 2)


def test_sparse_and_complex_gradients_and_channels_last_have_their_pairs() -> None:
    table, turn = nn.Embedding(9, 3, sparse=True), nn.Parameter(torch.ones(2, dtype=torch.complex64))
    image = nn.Parameter(torch.zeros(2, 3, 4, 4).contiguous(memory_format=torch.channels_last))
    parameters: list[nn.Parameter] = [table.weight, turn, image]  # type: ignore[list-item]
    meter = SuccessiveSteps(parameters)
    meter.begin(2)
    for word in (1, 2):
        for each in parameters:
            each.grad = None
        (table(torch.tensor([word, word])).sum() + 2 * turn.abs().square().sum() * word).backward()
        image.grad = torch.full_like(image, float(word))
        meter.observe()
    # Of a word three components of 2; of each complex number 4 word; of the image 96 components of the word.
    squares = [12 + 2 * (4 * word) ** 2 + 96 * word**2 for word in (1, 2)]
    apart = 2 * 12 + 2 * 4**2 + 96
    found = meter.finish(8)
    assert found["batch_grad_sq_norm"] == pytest.approx(sum(squares) / 2)
    assert found["grad_noise"] == pytest.approx(8 * apart / 2)


def test_preconditioned_gradients_are_divided_by_what_the_second_step_finds() -> None:
    """v_hat = (1, 4), eps = 1 at the second step: (8, 0) and (0, 12) become (4, 0) and (0, 4)."""
    p = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([p], eps=1.0, betas=(0.9, 0.5))
    meter = NoiseMeter(
        [p], PRECONDITIONED | MOMENTS, least=2, successive=True, preconditioner=preconditioner_of(optimizer)
    )
    meter.begin(2, 2, 1)
    p.grad = torch.tensor([8.0, 0.0])
    meter.observe()
    optimizer.state[p] = {"step": torch.tensor(5.0), "exp_avg_sq": torch.tensor([1.0, 4.0]) * (1 - 0.5**5)}
    p.grad = torch.tensor([0.0, 12.0])
    meter.observe()
    found = meter.finish()
    assert found["preconditioned_noise"] == pytest.approx(32.0)
    assert found["preconditioned_sq_norm"] == pytest.approx(0.0, abs=1e-5)
    assert found["grad_noise"] == pytest.approx(64 + 144)


def test_no_pair_and_no_gradient_are_not_known() -> None:
    network = nn.Linear(2, 2)
    meter = meter_of(network)
    meter.begin(4, 8, 1)
    parameters = list(network.parameters())
    for p in parameters:
        p.grad = torch.ones_like(p)
    meter.observe()
    found = meter.finish()
    assert found.pop("noise_count") == 0
    assert all(math.isnan(value) for value in found.values())
    meter.begin(4, 8, 1)
    for p in parameters:
        p.grad = None
    meter.observe()
    meter.observe()
    found = meter.finish()
    assert math.isnan(found["half_cosine"])
    assert (found["grad_noise"], found["noise_count"]) == (0, 2)


@pytest.mark.parametrize(
    ("needs", "least", "steps", "passes", "form"),
    [
        (FOUND, 2, 2, 1, "successive"),
        (FOUND, 2, 1, 1, "halves"),  # there is no pair
        (FOUND, 1, 8, 1, "halves"),  # which has no bias where no layer mixes examples
        (FOUND, 2, 8, 3, "passes"),
        (NOISE, 2, 8, 1, "halves"),
        (frozenset({"batch_grad_sq_norm"}), 2, 8, 1, None),
    ],
)
def test_where_it_is_used(
    needs: frozenset[str], least: int, steps: int, passes: int, form: str | None
) -> None:
    meter = meter_of(nn.Linear(2, 2), needs, least=least)
    meter.begin(steps, 8, passes)
    assert meter.form == form


def run_of(digits: Dataset, scheduler: BatchSizeScheduler, network: str) -> list[IntervalRecord]:
    config = TrainConfig(
        architecture=network,
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=16, lr=0.05),
        budget=640,
        interval=160,
        evaluate_every=640,
    )
    return [*train(config, scheduler, Limits(smallest=16, largest=16), digits)]


def test_training_a_network_with_batchnorm_is_the_same_whether_or_not_it_is_measured(digits: Dataset) -> None:
    watched, plain = (run_of(digits, rule, "resnet18") for rule in (FixedBatch(FOUND), Constant()))
    assert [row.noise_form for row in watched] == ["successive"] * 4
    assert [row.signals.noise_count for row in watched] == [10] * 4
    assert [row.signals.train_loss for row in watched] == [row.signals.train_loss for row in plain]
    assert [row.noise_form for row in run_of(digits, FixedBatch(FOUND), "vit_b_16")] == ["halves"] * 4
