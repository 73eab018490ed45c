"""The meters of the batch's gradient against plain autograd and numpy."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from adasearch.signal_sets import MEAN_GRADIENT, PER_STEP
from adasearch.signals.flat_gradient import FUSE_BELOW, Layout, gradients_of
from adasearch.signals.gradients import MeanGradientMeter, NormMeter
from tests.signals.problems import PartlyIdle, mixed_network, small_network

ALL = PER_STEP | MEAN_GRADIENT
pytestmark = pytest.mark.usefixtures("double")


def loss_of(network: nn.Module, step: int) -> torch.Tensor:
    """Return the loss on the batch of a step."""
    random = torch.Generator().manual_seed(step)
    inputs = torch.randn(8, 5, generator=random)
    labels = torch.randint(3, (8,), generator=random)
    loss: torch.Tensor = nn.functional.cross_entropy(network(inputs), labels)
    return loss


def flat_gradient(network: nn.Module, step: int) -> np.ndarray:
    """Return the whole gradient of a step as one vector, by ``torch.autograd.grad``."""
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(loss_of(network, step), parameters, allow_unused=True)
    parts = [
        torch.zeros(parameter.numel()) if gradient is None else gradient.flatten()
        for parameter, gradient in zip(parameters, gradients, strict=True)
    ]
    return np.asarray(torch.cat(parts).numpy())


def expected_signals(gradients: list[np.ndarray]) -> dict[str, float]:
    """Return all signals of an interval from its steps' gradients, by their definitions."""
    mean = np.mean(gradients, axis=0)
    return {
        "grad_norm": float(np.mean([np.linalg.norm(gradient) for gradient in gradients])),
        "grad_component_variance": float(np.mean([np.var(gradient) for gradient in gradients])),
        "mean_grad_norm": float(np.linalg.norm(mean)),
        "mean_grad_component_variance": float(np.var(mean)),
    }


@dataclass(frozen=True)
class Meters:
    """Both meters, as an interval uses them."""

    norms: NormMeter
    mean: MeanGradientMeter

    def begin(self, steps: int) -> None:
        self.norms.begin(steps)
        self.mean.begin()

    def observe(self) -> None:
        self.norms.observe()
        self.mean.observe()
        self.mean.keep()

    def drop(self) -> None:
        self.norms.observe()
        self.mean.observe()
        self.norms.drop()
        self.mean.drop()

    def finish(self) -> dict[str, float]:
        return self.norms.finish() | self.mean.finish()


def meters(
    parameters: Iterable[nn.Parameter], needs: frozenset[str] = ALL, *, droppable: bool = False
) -> Meters:
    parameters = list(parameters)
    return Meters(NormMeter(parameters, needs), MeanGradientMeter(parameters, needs, droppable=droppable))


def observe(meter: Meters, network: nn.Module, steps: range) -> list[np.ndarray]:
    """Show the meter a few steps of training and return the gradients it must have seen."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    seen = []
    for step in steps:
        seen.append(flat_gradient(network, step))
        optimizer.zero_grad()
        loss_of(network, step).backward()
        meter.observe()
        optimizer.step()
    return seen


def fake_steps(meter: Meters, parameter: nn.Parameter, gradients: torch.Tensor) -> None:
    """Show the meter gradients that were made up, one per row."""
    for gradient in gradients:
        parameter.grad = gradient.clone()
        meter.observe()


@pytest.mark.parametrize("build", [small_network, mixed_network, PartlyIdle])
@pytest.mark.parametrize("steps", [1, 5])
def test_signals_equal_plain_autograd(build: Callable[[], nn.Module], steps: int) -> None:
    torch.manual_seed(0)
    network = build()
    meter = meters(network.parameters())
    meter.begin(steps)
    gradients = observe(meter, network, range(steps))
    assert meter.finish() == pytest.approx(expected_signals(gradients), rel=1e-9)


@pytest.mark.parametrize("needs", [PER_STEP, MEAN_GRADIENT, frozenset({"grad_norm", "val_loss"})])
def test_only_what_is_needed_is_measured(needs: frozenset[str]) -> None:
    torch.manual_seed(0)
    network = small_network()
    meter = meters(network.parameters(), needs)
    meter.begin(4)
    expected = expected_signals(observe(meter, network, range(4)))
    found = meter.finish()
    assert needs & ALL <= set(found)
    assert set(found) in (PER_STEP, MEAN_GRADIENT)
    assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-9)


@pytest.mark.parametrize("needs", [frozenset(), frozenset({"train_loss", "val_loss"})])
def test_nothing_is_measured_when_nothing_is_needed(needs: frozenset[str]) -> None:
    parameter = nn.Parameter(torch.zeros(3))
    meter = meters([parameter], needs)
    assert not meter.norms.active
    assert not meter.mean.active
    meter.begin(2)
    meter.observe()  # would fail if it looked for the gradient, as there is none
    meter.observe()
    assert meter.finish() == {}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_meter_is_active_for_any_signal_it_measures(name: str) -> None:
    both = meters([nn.Parameter(torch.zeros(3))], frozenset({name}))
    assert (both.norms.active, both.mean.active) == (name in PER_STEP, name in MEAN_GRADIENT)


def test_orthogonal_gradients_give_the_numbers_done_by_hand() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    meter = meters([parameter])
    meter.begin(2)
    fake_steps(meter, parameter, torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    assert meter.finish() == pytest.approx(
        {
            "grad_norm": 3.5,  # of 3 and 4
            "grad_component_variance": 3.125,  # of 1.5^2 and 2^2
            "mean_grad_norm": 2.5,  # of (1.5, 2)
            "mean_grad_component_variance": 0.0625,  # 0.25^2
        }
    )


def test_equal_components_have_no_variance() -> None:
    parameter = nn.Parameter(torch.zeros(7))
    meter = meters([parameter])
    meter.begin(1)
    fake_steps(meter, parameter, torch.full((1, 7), 0.1))
    found = meter.finish()
    assert 0 <= found["grad_component_variance"] < 1e-15
    assert 0 <= found["mean_grad_component_variance"] < 1e-15


def test_gradients_that_cancel_leave_no_mean_gradient() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    meter = meters([parameter])
    meter.begin(2)
    fake_steps(meter, parameter, torch.tensor([[3.0, 4.0], [-3.0, -4.0]]))
    found = meter.finish()
    assert found["grad_norm"] == pytest.approx(5)
    assert found["mean_grad_norm"] == 0


@pytest.mark.parametrize(
    ("steps", "least", "most"), [(15, 15, 15), (16, 16, 16), (17, 9, 16), (32, 16, 16), (200, 8, 16)]
)
def test_long_intervals_are_sampled_at_evenly_spaced_steps(steps: int, least: int, most: int) -> None:
    parameter = nn.Parameter(torch.zeros(6))
    gradients = torch.randn(steps, 6, generator=torch.Generator().manual_seed(0))
    meter = meters([parameter], PER_STEP)
    meter.begin(steps)
    fake_steps(meter, parameter, gradients)
    found = meter.finish()
    norms = gradients.norm(dim=1).numpy()
    strides = [
        s for s in range(1, steps + 1) if np.isclose(norms[::s].mean(), found["grad_norm"], rtol=1e-12)
    ]
    assert len(strides) == 1, "the mean over the steps of exactly one spacing"
    chosen = gradients.numpy()[:: strides[0]]
    assert least <= len(chosen) <= most
    expected = np.mean([np.var(gradient) for gradient in chosen])
    assert found["grad_component_variance"] == pytest.approx(expected, rel=1e-12)


def test_mean_gradient_takes_every_step_of_a_long_interval() -> None:
    parameter = nn.Parameter(torch.zeros(6))
    gradients = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    meter = meters([parameter])
    meter.begin(200)
    fake_steps(meter, parameter, gradients)
    found = meter.finish()
    mean = gradients.numpy().mean(axis=0)
    assert found["mean_grad_norm"] == pytest.approx(np.linalg.norm(mean), rel=1e-12)
    assert found["mean_grad_component_variance"] == pytest.approx(np.var(mean), rel=1e-12)


def test_each_interval_starts_afresh() -> None:
    parameter = nn.Parameter(torch.zeros(6))
    gradients = torch.randn(210, 6, generator=torch.Generator().manual_seed(0))
    used, fresh = (meters([parameter]) for _ in range(2))
    used.begin(200)
    fake_steps(used, parameter, gradients[:200])
    first = used.finish()
    for meter in (used, fresh):
        meter.begin(10)
        fake_steps(meter, parameter, gradients[200:])
    second = used.finish()
    assert second == fresh.finish()
    assert second["grad_norm"] != first["grad_norm"]


@pytest.mark.parametrize("steps", [4, 40])  # measured at each step, and at every third
def test_a_dropped_step_leaves_no_trace(steps: int) -> None:
    """The next one is measured in its place: the meters see what they would without it."""
    parameter, idle = nn.Parameter(torch.zeros(6)), nn.Parameter(torch.zeros(2))
    gradients = torch.randn(steps, 6, generator=torch.Generator().manual_seed(0))
    plain, dropping = meters([parameter, idle]), meters([parameter, idle], droppable=True)
    plain.begin(steps)
    fake_steps(plain, parameter, gradients)
    dropping.begin(steps)
    for number, gradient in enumerate(gradients):
        if number in (0, 1, 6):
            parameter.grad = torch.full((6,), torch.inf)
            dropping.drop()
            dropping.drop()
        fake_steps(dropping, parameter, gradient[None])
    assert dropping.finish() == plain.finish()


def test_interval_whose_steps_were_all_dropped_is_not_a_number() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    meter = meters([parameter], droppable=True)
    meter.begin(2)
    for _ in range(2):
        parameter.grad = torch.ones(3)
        meter.drop()
    assert set(meter.finish()) == ALL
    assert all(math.isnan(value) for value in meter.finish().values())


def test_sum_of_gradients_comes_back_as_it_was() -> None:
    parameter, idle = nn.Parameter(torch.zeros(6)), nn.Parameter(torch.zeros(2))
    gradients = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    uncut, first, second = (meters([parameter, idle], MEAN_GRADIENT, droppable=True) for _ in range(3))
    fake_steps(uncut, parameter, gradients)
    assert second.mean.state() == []
    second.mean.load([], 0)
    second.mean.load([None, None], 0)  # as version 0.2.0 wrote it before the first step
    assert second.mean.state() == []
    fake_steps(first, parameter, gradients[:5])
    state = first.mean.state()
    fake_steps(first, parameter, gradients[:2])  # must not reach what was written down
    second.mean.load([state[0], None], 5)
    fake_steps(second, parameter, gradients[5:])
    assert second.finish() == uncut.finish()


def test_observing_does_not_change_the_gradient() -> None:
    parameter = nn.Parameter(torch.zeros(FUSE_BELOW))
    meter = meters([parameter])
    meter.begin(3)
    gradient = torch.randn(FUSE_BELOW, generator=torch.Generator().manual_seed(0))
    parameter.grad = gradient.clone()
    for _ in range(3):
        meter.observe()
    meter.finish()
    assert torch.equal(parameter.grad, gradient)


def test_gradients_are_laid_out_as_their_parameters_lie_in_memory() -> None:
    shapes = ((128, 64, 3, 3), (4, 3, 3, 3), (5, 4, 1, 1), (6,))
    parameters = [torch.randn(shape) for shape in shapes]
    parameters = [p.to(memory_format=torch.channels_last) if p.dim() == 4 else p for p in parameters]
    gradients = [torch.randn_like(p) for p in parameters]  # in the parameters' own memory format
    for p, gradient in zip(parameters[:3], gradients, strict=False):  # the loss does not reach the last
        p.grad = gradient
    large, small = Layout(parameters).joined(gradients_of(parameters))
    assert large.data_ptr() == gradients[0].data_ptr(), "copied"
    assert torch.equal(large, gradients[0].permute(0, 2, 3, 1).flatten())
    last, either = gradients[1].permute(0, 2, 3, 1).flatten(), gradients[2].flatten()
    assert torch.equal(small, torch.cat([last, either, torch.zeros(6)]))


def test_sums_of_single_precision_gradients_keep_their_digits() -> None:
    parameter = nn.Parameter(torch.zeros(3, dtype=torch.float32))
    meter = meters([parameter], PER_STEP)
    meter.begin(15)
    gradients = torch.full((15, 3), 1e-3, dtype=torch.float32)
    gradients[0] = 1e5
    fake_steps(meter, parameter, gradients)
    norms = gradients.double().norm(dim=1)
    assert meter.finish()["grad_norm"] == pytest.approx(norms.mean().item(), rel=1e-7)
