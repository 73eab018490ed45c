"""The gradient meter against plain autograd and numpy."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from adasearch.signal_sets import MEAN_GRADIENT, PER_STEP
from adasearch.signals.flat_gradient import FUSE_BELOW, Layout, gradients_of
from adasearch.signals.gradients import GradientMeter

MEASURED = PER_STEP | MEAN_GRADIENT


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def small_network() -> nn.Module:
    """Small tensors, which the meter joins."""
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.LayerNorm(7), nn.Linear(7, 3))


def mixed_network() -> nn.Module:
    """Small tensors and one that stays alone."""
    network = nn.Sequential(nn.Linear(5, 300), nn.Tanh(), nn.Linear(300, 300), nn.Linear(300, 3))
    assert any(parameter.numel() >= FUSE_BELOW for parameter in network.parameters())
    return network


class PartlyIdle(nn.Module):
    """A network with a layer that the loss does not reach: its gradient counts as zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.used = small_network()
        self.idle = nn.Linear(4, 4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.used(inputs)
        return output


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


def observe(meter: GradientMeter, network: nn.Module, steps: range) -> list[np.ndarray]:
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


def signals_of(meter: GradientMeter) -> dict[str, float]:
    """End the interval and return the signals that it has."""
    return {name: value for name, value in asdict(meter.finish()).items() if value is not None}


def fake_steps(meter: GradientMeter, parameter: nn.Parameter, gradients: torch.Tensor) -> None:
    """Show the meter gradients that were made up, one per row."""
    for gradient in gradients:
        parameter.grad = gradient.clone()
        meter.observe()


@pytest.mark.parametrize("build", [small_network, mixed_network, PartlyIdle])
@pytest.mark.parametrize("steps", [1, 5])
def test_signals_equal_plain_autograd(build: Callable[[], nn.Module], steps: int) -> None:
    torch.manual_seed(0)
    network = build()
    meter = GradientMeter(list(network.parameters()), MEASURED)
    meter.begin(steps)
    gradients = observe(meter, network, range(steps))
    assert signals_of(meter) == pytest.approx(expected_signals(gradients), rel=1e-9)


@pytest.mark.parametrize("needs", [PER_STEP, MEAN_GRADIENT, frozenset({"grad_norm", "val_loss"})])
def test_only_what_is_needed_is_measured(needs: frozenset[str]) -> None:
    torch.manual_seed(0)
    network = small_network()
    meter = GradientMeter(list(network.parameters()), needs)
    meter.begin(4)
    expected = expected_signals(observe(meter, network, range(4)))
    found = signals_of(meter)
    assert needs & MEASURED <= set(found)
    assert set(found) in (PER_STEP, MEAN_GRADIENT)
    assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-9)


@pytest.mark.parametrize("needs", [frozenset(), frozenset({"train_loss", "val_loss"})])
def test_nothing_is_measured_when_nothing_is_needed(needs: frozenset[str]) -> None:
    parameter = nn.Parameter(torch.zeros(3))
    meter = GradientMeter([parameter], needs)
    assert not meter.active
    meter.begin(2)
    meter.observe()  # would fail if it looked for the gradient, as there is none
    meter.observe()
    assert signals_of(meter) == {}


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_meter_is_active_for_any_signal_it_measures(name: str) -> None:
    assert GradientMeter([nn.Parameter(torch.zeros(3))], frozenset({name})).active


def test_orthogonal_gradients_give_the_numbers_done_by_hand() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    meter = GradientMeter([parameter], MEASURED)
    meter.begin(2)
    fake_steps(meter, parameter, torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    assert signals_of(meter) == pytest.approx(
        {
            "grad_norm": 3.5,  # of 3 and 4
            "grad_component_variance": 3.125,  # of 1.5^2 and 2^2
            "mean_grad_norm": 2.5,  # of (1.5, 2)
            "mean_grad_component_variance": 0.0625,  # 0.25^2
        }
    )


def test_equal_components_have_no_variance() -> None:
    parameter = nn.Parameter(torch.zeros(7))
    meter = GradientMeter([parameter], MEASURED)
    meter.begin(1)
    fake_steps(meter, parameter, torch.full((1, 7), 0.1))
    found = signals_of(meter)
    assert 0 <= found["grad_component_variance"] < 1e-15
    assert 0 <= found["mean_grad_component_variance"] < 1e-15


def test_gradients_that_cancel_leave_no_mean_gradient() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    meter = GradientMeter([parameter], MEASURED)
    meter.begin(2)
    fake_steps(meter, parameter, torch.tensor([[3.0, 4.0], [-3.0, -4.0]]))
    found = signals_of(meter)
    assert found["grad_norm"] == pytest.approx(5)
    assert found["mean_grad_norm"] == 0


@pytest.mark.parametrize(
    ("steps", "least", "most"), [(15, 15, 15), (16, 16, 16), (17, 9, 16), (32, 16, 16), (200, 8, 16)]
)
def test_long_intervals_are_sampled_at_evenly_spaced_steps(steps: int, least: int, most: int) -> None:
    parameter = nn.Parameter(torch.zeros(6))
    gradients = torch.randn(steps, 6, generator=torch.Generator().manual_seed(0))
    meter = GradientMeter([parameter], PER_STEP)
    meter.begin(steps)
    fake_steps(meter, parameter, gradients)
    found = signals_of(meter)
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
    meter = GradientMeter([parameter], MEASURED)
    meter.begin(200)
    fake_steps(meter, parameter, gradients)
    found = signals_of(meter)
    mean = gradients.numpy().mean(axis=0)
    assert found["mean_grad_norm"] == pytest.approx(np.linalg.norm(mean), rel=1e-12)
    assert found["mean_grad_component_variance"] == pytest.approx(np.var(mean), rel=1e-12)


def test_each_interval_starts_afresh() -> None:
    parameter = nn.Parameter(torch.zeros(6))
    gradients = torch.randn(210, 6, generator=torch.Generator().manual_seed(0))
    used, fresh = (GradientMeter([parameter], MEASURED) for _ in range(2))
    used.begin(200)
    fake_steps(used, parameter, gradients[:200])
    first = signals_of(used)
    for meter in (used, fresh):
        meter.begin(10)
        fake_steps(meter, parameter, gradients[200:])
    second = signals_of(used)
    assert second == signals_of(fresh)
    assert second["grad_norm"] != first["grad_norm"]


def test_observing_does_not_change_the_gradient() -> None:
    parameter = nn.Parameter(torch.zeros(FUSE_BELOW))
    meter = GradientMeter([parameter], MEASURED)
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
    meter = GradientMeter([parameter], PER_STEP)
    meter.begin(15)
    gradients = torch.full((15, 3), 1e-3, dtype=torch.float32)
    gradients[0] = 1e5
    fake_steps(meter, parameter, gradients)
    norms = gradients.double().norm(dim=1)
    assert signals_of(meter)["grad_norm"] == pytest.approx(norms.mean().item(), rel=1e-7)
