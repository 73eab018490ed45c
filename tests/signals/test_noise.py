"""The noise meter against per-example autograd, in every form, and its estimators over many draws."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from adasearch.data.batches import Batches
from adasearch.data.splits import Dataset
from adasearch.networks.registry import ARCHITECTURES, build_model
from adasearch.records import Decision, IntervalRecord, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold
from adasearch.schedulers.constant import Constant
from adasearch.signal_sets import MOMENTS, NOISE
from adasearch.signals.noise import KEPT_GROUPS, NoiseMeter
from adasearch.signals.per_example import example_gradients
from adasearch.signals.sampled_steps import COSTLY_SHARE, COSTLY_STEPS
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from tests.conftest import HandClock
from tests.signals.problems import (
    PartlyIdle,
    batch,
    by_groups,
    cut,
    examples_of,
    expected_signals,
    gradient_of,
    mean_of,
    mixed_network,
    of_workers,
    rows_of,
    show,
    small_network,
)

ALL = NOISE
pytestmark = pytest.mark.usefixtures("double")


def step_gradient(network: nn.Module) -> np.ndarray:
    parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
    return np.asarray(torch.cat([part.flatten() for part in parts]).numpy())


NETWORKS = [small_network, mixed_network, PartlyIdle]
FORMS = {"halves": 1, "passes": 3, "per_example": 1}


@pytest.mark.parametrize("build", NETWORKS)
@pytest.mark.parametrize(
    ("form", "size", "passes"),
    [
        ("halves", 2, 1),
        ("halves", 9, 1),
        ("halves", 16, 1),
        ("passes", 8, 2),
        ("passes", 11, 3),
        ("passes", 14, 5),
        ("per_example", 9, 1),
        ("per_example", 8, 3),
        ("per_example", 2, 1),
    ],
)
def test_signals_equal_their_definitions(
    build: Callable[[], nn.Module], form: str, size: int, passes: int
) -> None:
    torch.manual_seed(0)
    network = build()
    own = network if form == "per_example" else None
    meter = NoiseMeter(list(network.parameters()), ALL, network=own)
    meter.begin(1, size, passes)
    inputs, labels = batch(size, seed=1)
    show(meter, network, inputs, labels)
    assert meter.form == form
    examples = examples_of(network, inputs, labels)
    sizes = cut(size, {"halves": 2, "passes": passes, "per_example": size}[form])
    expected = expected_signals(by_groups(examples, sizes), sizes, len(sizes) // 2)
    assert meter.finish() == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(step_gradient(network), gradient_of(network, inputs, labels), atol=1e-14)


@pytest.mark.parametrize("passes", [KEPT_GROUPS, KEPT_GROUPS + 1, 3 * KEPT_GROUPS + 2])
def test_many_passes_are_kept_as_few_groups(passes: int) -> None:
    """Where gradients must be kept, neighbouring passes share a group; the others take each pass."""
    torch.manual_seed(0)
    network, size = small_network(), 4 * passes + 1
    meter = NoiseMeter(list(network.parameters()), ALL)
    meter.begin(1, size, passes)
    inputs, labels = batch(size, seed=1)
    show(meter, network, inputs, labels)
    found = meter.finish()
    examples = examples_of(network, inputs, labels)
    each = cut(size, passes)
    expected = expected_signals(by_groups(examples, each), each, passes // 2)
    merged = [0] * KEPT_GROUPS
    for number, count in enumerate(each):
        merged[number * KEPT_GROUPS // passes] += count
    products = expected_signals(by_groups(examples, merged), merged, 1)
    expected["inner_product_variance"] = products["inner_product_variance"]
    assert found == pytest.approx(expected, rel=1e-9)


def test_orthogonal_gradients_give_the_numbers_done_by_hand() -> None:
    """Two groups of two examples with mean gradients (4, 0) and (0, 4), hence g = (2, 2)."""
    parameter = nn.Parameter(torch.zeros(2))
    meter = NoiseMeter([parameter], ALL)
    meter.begin(1, 4, 2)
    for part in ([2.0, 0.0], [0.0, 2.0]):  # half of each mean gradient: together they are g
        parameter.grad = torch.tensor(part)
        meter.take(2)
    meter.observe()
    assert meter.finish() == pytest.approx(
        {
            "grad_noise": 32,  # 2 * (|(2, -2)|^2 + |(-2, 2)|^2)
            "grad_sq_norm": 0,  # 8 - 32 / 4: orthogonal halves know of no common direction
            "noise_count": 1,
            "batch_grad_sq_norm": 8,
            "half_cosine": 0,
            "inner_product_variance": 0,  # <g_k, g> is 8 for both
        }
    )
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [2, 2]


def test_equal_gradients_have_no_noise() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    meter = NoiseMeter([parameter], ALL)
    meter.begin(1, 10, 3)
    for examples in (4, 3, 3):
        parameter.grad = torch.full((3,), 0.1) * (examples / 10)
        meter.take(examples)
    meter.observe()
    found = meter.finish()
    assert 0 <= found["grad_noise"] < 1e-15
    assert found["grad_sq_norm"] == pytest.approx(0.03)
    assert found["half_cosine"] == pytest.approx(1)
    assert found["inner_product_variance"] == pytest.approx(0, abs=1e-15)


# --- several workers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "size", "passes"), [(2, 9, 1), (3, 10, 1), (4, 30, 1), (4, 27, 3), (5, 12, 2), (4, 3, 1)]
)
def test_many_workers_measure_alike_and_as_defined(
    world: int, size: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(size)
    found, sizes = of_workers(rows, world, passes, ALL, monkeypatch)
    busy = [count for count in sizes if count]
    expected = expected_signals(by_groups(rows.numpy(), busy), busy, world // 2)
    assert found == pytest.approx(expected, rel=1e-9)


# --- unbiasedness ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "size", "passes"), [("halves", 5, 1), ("passes", 7, 3), ("per_example", 6, 1)]
)
def test_estimates_are_unbiased(form: str, size: int, passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear regression with one output, y = <w, x> + e, has gradients x (<w0 - w, x> - e) of known moments.

    With x ~ N(0, I_d), e ~ N(0, s^2) and u = w0 - w: G = u and tr(Sigma) = d s^2 + (d + 1) |u|^2.
    """
    # Each example's own gradient comes from here, not from the cross entropy.
    monkeypatch.setattr(
        "adasearch.signals.noise.example_gradients", lambda network, loss: lambda rows, labels: [[rows]]
    )
    d, s, draws = 4, 1.5, 6000
    u = torch.tensor([0.5, -0.3, 0.2, 0.1])
    parameter = nn.Parameter(torch.zeros(d))
    network = nn.Linear(1, 1) if form == "per_example" else None
    meter = NoiseMeter([parameter], MOMENTS, network=network)
    random = torch.Generator().manual_seed(7)
    noise, square = [], []
    for _ in range(draws):
        x = torch.randn(size, d, generator=random)
        e = s * torch.randn(size, generator=random)
        rows = x * (x @ u - e).unsqueeze(1)
        meter.begin(1, size, passes)
        if form == "per_example":
            parameter.grad = rows.mean(dim=0)
            meter.take_examples(rows, torch.zeros(size))
        else:
            for part in rows.split(cut(size, meter.passes)):
                parameter.grad = part.sum(dim=0) / size
                meter.take(len(part))
        meter.observe()
        found = meter.finish()
        noise.append(found["grad_noise"])
        square.append(found["grad_sq_norm"])
    length = (u @ u).item()
    for values, truth in ((noise, d * s**2 + (d + 1) * length), (square, length)):
        z = (np.mean(values) - truth) / (np.std(values) / math.sqrt(draws))
        assert abs(z) < 3, (np.mean(values), truth)


# --- which steps, and what is paid -----------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 9, 10, 32, 40, 41, 1000])
@pytest.mark.parametrize("form", ["halves", "per_example"])
def test_few_steps_take_extra_passes(form: str, steps: int) -> None:
    torch.manual_seed(0)
    network = small_network()
    meter = NoiseMeter(
        list(network.parameters()), MOMENTS, network=network if form == "per_example" else None
    )
    meter.begin(steps, 8, 1)
    inputs, labels = batch(8, seed=1)
    halved = sum(show(meter, network, inputs, labels) == 2 for _ in range(steps))
    count = int(meter.finish()["noise_count"])
    assert 1 <= count <= math.ceil(steps / COSTLY_SHARE)
    assert count <= COSTLY_STEPS
    assert halved == (count if form == "halves" else 0)
    assert count >= min(COSTLY_STEPS, steps // COSTLY_SHARE)


def test_signals_are_means_over_the_measured_steps() -> None:
    torch.manual_seed(0)
    network = small_network()
    meter = NoiseMeter(list(network.parameters()), ALL)
    meter.begin(100, 9, 3)
    expected = []
    for step in range(100):
        inputs, labels = batch(9, seed=step)
        if meter.sampling:
            groups = by_groups(examples_of(network, inputs, labels), [3, 3, 3])
            expected.append(expected_signals(groups, [3, 3, 3], 1))
        show(meter, network, inputs, labels)
    assert 8 <= len(expected) <= 16
    assert meter.finish() == pytest.approx(mean_of(expected), rel=1e-9)


def test_each_interval_starts_afresh() -> None:
    torch.manual_seed(0)
    network = small_network()
    used, fresh = (NoiseMeter(list(network.parameters()), ALL) for _ in range(2))
    used.begin(3, 8, 2)
    for step in range(3):
        show(used, network, *batch(8, seed=step))
    used.finish()
    for meter in (used, fresh):
        meter.begin(2, 9, 1)
        for step in range(2):
            show(meter, network, *batch(9, seed=10 + step))
    assert used.finish() == fresh.finish()


@pytest.mark.parametrize("needs", [frozenset(), frozenset({"grad_norm", "val_loss"})])
def test_nothing_is_measured_when_nothing_is_needed(needs: frozenset[str]) -> None:
    parameter = nn.Parameter(torch.zeros(3))
    meter = NoiseMeter([parameter], needs, world=2)
    assert not meter.active
    assert not meter.hooked
    meter.begin(2, 8, 1)
    for _ in range(2):
        assert not meter.sampling
        assert meter.passes == 1
        meter.observe()  # would fail if it looked for the gradient, as there is none
    assert meter.finish() == {}


@pytest.mark.parametrize("name", sorted(NOISE))
def test_only_what_is_needed_is_measured(name: str) -> None:
    torch.manual_seed(0)
    network = small_network()
    whole, part = (NoiseMeter(list(network.parameters()), needs) for needs in (ALL, frozenset({name})))
    for meter in (whole, part):
        meter.begin(1, 8, 2)
        show(meter, network, *batch(8, seed=0))
    found, everything = part.finish(), whole.finish()
    there = {name, "noise_count", "batch_grad_sq_norm"} | (MOMENTS if name in MOMENTS else set())
    assert set(found) == there
    assert all(found[field] == everything[field] for field in there)


def test_norm_of_the_batch_gradient_needs_no_groups() -> None:
    torch.manual_seed(0)
    network = small_network()
    meter = NoiseMeter(list(network.parameters()), frozenset({"batch_grad_sq_norm"}))
    meter.begin(1, 1, 1)
    inputs, labels = batch(1, seed=0)
    assert show(meter, network, inputs, labels) == 1
    assert meter.form is None
    expected = float(np.sum(gradient_of(network, inputs, labels) ** 2))
    found = meter.finish()
    assert found == {"batch_grad_sq_norm": pytest.approx(expected), "noise_count": 1}


@pytest.mark.parametrize(("least", "size"), [(1, 1), (2, 3)])
def test_batch_too_small_to_halve_is_not_a_number(least: int, size: int) -> None:
    torch.manual_seed(0)
    network = small_network()
    meter = NoiseMeter(list(network.parameters()), ALL, least=least)
    meter.begin(1, size, 1)
    assert show(meter, network, *batch(size, seed=0)) == 1
    found = meter.finish()
    assert found.pop("noise_count") == 0
    assert all(math.isnan(value) for value in found.values())


def test_infinite_gradients_give_no_finite_signal() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    meter = NoiseMeter([parameter], ALL)
    meter.begin(1, 4, 2)
    for part in ([math.inf, 0.0], [0.0, 2.0]):
        parameter.grad = torch.tensor(part)
        meter.take(2)
    meter.observe()
    found = meter.finish()
    assert found.pop("noise_count") == 1
    assert not any(math.isfinite(value) for value in found.values())


def test_single_precision_keeps_the_digits_of_a_small_noise() -> None:
    torch.set_default_dtype(torch.float32)
    parameter = nn.Parameter(torch.zeros(1000))
    meter = NoiseMeter([parameter], ALL)
    meter.begin(1, 8, 2)
    random = torch.Generator().manual_seed(0)
    parts = [(1 + 0.01 * torch.randn(1000, generator=random)) / 2 for _ in range(2)]
    for part in parts:
        parameter.grad = part.clone()
        meter.take(4)
    meter.observe()
    expected = expected_signals([2 * part.double().numpy() for part in parts], [4, 4], 1)
    found = meter.finish()
    assert found["grad_noise"] == pytest.approx(expected["grad_noise"], rel=1e-2)
    assert found["grad_sq_norm"] == pytest.approx(expected["grad_sq_norm"], rel=1e-5)
    assert found["half_cosine"] == pytest.approx(expected["half_cosine"], rel=1e-5)


# --- each example's own gradient -------------------------------------------------------------------


def test_example_gradients_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = small_network()
    components = sum(p.numel() for p in network.parameters())
    whole = NoiseMeter(list(network.parameters()), ALL, network=network)
    monkeypatch.setattr("adasearch.signals.per_example.COMPONENTS", 3 * components)
    pieces = NoiseMeter(list(network.parameters()), ALL, network=network)
    inputs, labels = batch(11, seed=0)
    for meter in (whole, pieces):
        meter.begin(1, 11, 2)
        show(meter, network, inputs, labels)
    assert pieces.finish() == pytest.approx(whole.finish(), rel=1e-9)


def test_example_gradients_equal_one_backward_pass_each(digits: Dataset) -> None:
    torch.manual_seed(0)
    network = build_model("vit_b_16", "nano", classes=10, image_size=16)
    images, labels = next(Batches(digits, 0).chunks(0, 0, 5, 1, range(1)))
    found = torch.cat([torch.cat(some, dim=1) for some in example_gradients(network)(images, labels)])
    np.testing.assert_allclose(found.numpy(), examples_of(network, images, labels), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.BatchNorm1d(3), "without BatchNorm, .* but layer '1' is BatchNorm1d"),
        (nn.Dropout(0.2), "without dropout, but layer '1' drops 0.2"),
        (nn.MultiheadAttention(4, 2, dropout=0.1), "without dropout, but layer '1' drops 0.1"),
    ],
)
def test_networks_without_gradients_per_example_are_refused(layer: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example_gradients(nn.Sequential(nn.Linear(5, 3), layer))


# --- in the training loop --------------------------------------------------------------------------

LIMITS = Limits(smallest=1, largest=512)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """A scheduler that holds, and needs what it is told to need."""

    needs: frozenset[str] = ALL
    lr_schedules: frozenset[str] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Hold."""
        return hold(history[-1], f"noise {history[-1].grad_noise}")


def config(**changes: Any) -> TrainConfig:
    base = TrainConfig(
        architecture="vit_b_16",
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=21, lr=0.02),
        budget=168,
        interval=84,
        evaluate_every=168,
    )
    return replace(base, **changes)


def run(data: Dataset, settings: TrainConfig, scheduler: Any = None) -> list[IntervalRecord]:
    return list(train(settings, scheduler or Observer(), LIMITS, data))


@pytest.mark.parametrize(
    ("form", "changes", "parts"),
    [("halves", {}, 2), ("passes", {"device_batch": 6}, 4), ("per_example", {"per_example": True}, 21)],
)
def test_training_measures_the_noise_of_its_own_batches(
    digits: Dataset, form: str, changes: dict[str, Any], parts: int
) -> None:
    settings = config(interval=21, budget=42, **changes)
    records = run(digits, settings)
    torch.manual_seed(0)
    network = build_model("vit_b_16", "nano", classes=10, image_size=16)
    images, labels = next(Batches(digits, 0).chunks(0, 0, 21, 1, range(1)))
    sizes = cut(21, parts)
    expected = expected_signals(by_groups(examples_of(network, images, labels), sizes), sizes, parts // 2)
    first = records[0]
    assert first.noise_form == form
    for name, value in expected.items():
        assert getattr(first.signals, name) == pytest.approx(value, rel=1e-7), name


@pytest.mark.parametrize("changes", [{}, {"device_batch": 6}, {"per_example": True}])
def test_measuring_does_not_change_training(digits: Dataset, changes: dict[str, Any]) -> None:
    """Without BatchNorm, whose halves see other statistics."""
    measured = run(digits, config(**changes))
    plain = run(digits, config(**changes), Constant())
    for one, other in zip(measured, plain, strict=True):
        assert other.noise_form is None
        assert other.signals.grad_noise is None
        assert other.signals.noise_count == 0
        assert one.signals.noise_count > 0
        assert one.passes == other.passes
        assert one.signals.train_loss == pytest.approx(other.signals.train_loss, rel=1e-10)
    assert measured[-1].signals.val_loss == pytest.approx(plain[-1].signals.val_loss, rel=1e-10)


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v3_small"])
@pytest.mark.parametrize("device_batch", [512, 6])
def test_networks_with_batch_norm_are_measured_too(
    digits: Dataset, architecture: str, device_batch: int
) -> None:
    records = run(digits, config(architecture=architecture, device_batch=device_batch))
    for record in records:
        assert record.noise_form == ("halves" if device_batch == 512 else "passes")
        assert all(math.isfinite(getattr(record.signals, name)) for name in ALL)
        assert 0 < record.measure_seconds < record.train_seconds


def test_half_of_one_example_is_not_given_to_batch_norm(digits: Dataset) -> None:
    settings = config(architecture="mobilenet_v3_small", hyperparameters=Hyperparameters(batch_size=3))
    for record in run(digits, replace(settings, budget=12, interval=6)):
        assert record.noise_form is None
        assert record.signals.noise_count == 0
        assert record.signals.grad_noise is not None
        assert math.isnan(record.signals.grad_noise)


def test_examples_of_a_network_with_batch_norm_are_refused(digits: Dataset) -> None:
    with pytest.raises(ValueError, match="per_example needs a network without BatchNorm"):
        run(digits, config(architecture="resnet18", per_example=True))


@pytest.mark.parametrize("changes", [{}, {"device_batch": 6}, {"per_example": True}])
def test_mixed_precision_measures_nearly_the_same(digits: Dataset, changes: dict[str, Any]) -> None:
    torch.set_default_dtype(torch.float32)
    settings = config(interval=21, budget=21, **changes)
    exact, mixed = (run(digits, replace(settings, precision=p))[0] for p in ("float32", "bfloat16"))
    assert mixed.noise_form == exact.noise_form
    for name in ("grad_noise", "batch_grad_sq_norm"):
        assert getattr(mixed.signals, name) == pytest.approx(getattr(exact.signals, name), rel=0.1)


def test_no_extra_pass_is_taken_when_nothing_is_needed(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def linear(classes: int, image_size: int) -> nn.Module:
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))
        network.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
        return network

    monkeypatch.setitem(ARCHITECTURES, "linear", {"nano": linear})
    settings = config(architecture="linear")
    run(digits, settings, Observer(needs=frozenset({"grad_norm"})))
    assert sizes == [21] * 8 + [40]  # eight steps and an evaluation
    sizes.clear()
    run(digits, settings)
    assert sizes == 2 * [21, 21, 11, 10, 21] + [40]


@pytest.mark.parametrize(("needs", "extra"), [(MOMENTS, 3.0), (frozenset({"val_loss"}), 0.0)])
def test_only_what_halves_take_longer_is_charged(
    digits: Dataset, clock: HandClock, monkeypatch: pytest.MonkeyPatch, needs: frozenset[str], extra: float
) -> None:
    """A pass that takes 3 seconds and 1 more for each example: two halves take 3 seconds longer."""

    def slow(classes: int, image_size: int) -> nn.Module:
        network = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, classes))

        def forward_takes_time(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            clock.now += 3 + len(inputs[0])

        network.register_forward_pre_hook(forward_takes_time)
        return network

    monkeypatch.setitem(ARCHITECTURES, "linear", {"nano": slow})
    for record in run(digits, config(architecture="linear"), Observer(needs=needs)):
        assert record.measure_seconds == extra
        assert record.train_seconds == 4 * (3 + 21) + extra
    only = run(digits, config(architecture="linear", interval=1, budget=21), Observer(needs=needs))[0]
    assert only.measure_seconds == (27 / 2 if extra else 0)  # nothing to compare with: the second half's
