"""Half precision behind a scaled loss, TF32, and what cuDNN may try."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from adasearch.data.splits import Dataset
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import IntervalRecord, Limits, Precision
from adasearch.signal_sets import NOISE
from adasearch.store.trials import close_trial
from adasearch.training import run
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.training.optimizer import Update, make_optimizer
from adasearch.training.precision import let_cudnn_try, set_tf32
from tests.rows import START, STUDY, trial_of
from tests.training.test_loop import Recipe

CPU = torch.device("cpu")
NORMS = frozenset({"grad_norm", "grad_component_variance", "mean_grad_norm", "mean_grad_component_variance"})
BASE = TrainConfig(
    architecture="plain",
    scale="nano",
    seed=1,
    hyperparameters=Hyperparameters(batch_size=32, lr=0.02, lr_schedule="constant"),
    budget=320,
    interval=160,
    evaluate_every=320,
)


class Overflowing(torch.autograd.Function):
    """Passes on what comes; backward the gradient is infinite on chosen steps of the process."""

    at: frozenset[int] = frozenset()
    steps = 0

    @staticmethod
    def forward(_: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        Overflowing.steps += 1
        return gradient * math.inf if Overflowing.steps in Overflowing.at else gradient


class Plain(nn.Module):
    """Linear in single precision whatever autocast does, so that only the scaling differs."""

    def __init__(self, classes: int, image_size: int) -> None:
        super().__init__()
        self.last = nn.Linear(3 * image_size**2, classes)

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            output: Tensor = self.last(images.flatten(1))
            return Overflowing.apply(output)  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _plain(cache_dir: Path) -> Iterator[None]:
    Overflowing.at, Overflowing.steps = frozenset(), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "plain", {"nano": Plain})
        yield


def records(
    data: Dataset, precision: Precision, needs: frozenset[str], **changes: int
) -> list[IntervalRecord]:
    config = replace(BASE, precision=precision, **changes)  # type: ignore[arg-type]
    return list(train(config, Recipe(needs=needs), Limits(smallest=8, largest=64), data))


def numbers(record: IntervalRecord, needs: frozenset[str]) -> list[float]:
    return [record.signals.train_loss, *(getattr(record.signals, name) for name in sorted(needs))]


@pytest.mark.parametrize("device_batch", [16, 32], ids=["passes", "halves"])
@pytest.mark.parametrize("needs", [NORMS, NOISE], ids=["norms", "noise"])
def test_scaled_gradients_are_measured_unscaled(
    digits: Dataset, needs: frozenset[str], device_batch: int
) -> None:
    scaled = records(digits, "float16", needs, device_batch=device_batch)
    whole = records(digits, "float32", needs, device_batch=device_batch)
    for one, other in zip(scaled, whole, strict=True):
        assert numbers(one, needs) == pytest.approx(numbers(other, needs), rel=1e-4)
        assert one.signals.noise_count == other.signals.noise_count


@pytest.mark.parametrize("needs", [NORMS, NOISE], ids=["norms", "noise"])
def test_step_that_overflowed_changes_nothing_and_gives_no_signal(
    digits: Dataset, needs: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two passes a step: the third step of each interval of five overflows."""
    kept = []
    original = Update.step

    def noted(update: Update) -> bool:
        before = [p.detach().clone() for p in update._optimizer.param_groups[0]["params"]]
        stepped = original(update)
        after = update._optimizer.param_groups[0]["params"]
        assert stepped == any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
        kept.append(stepped)
        return stepped

    monkeypatch.setattr(Update, "step", noted)
    Overflowing.at = frozenset({5, 16})
    found = records(digits, "float16", needs, device_batch=16)
    assert kept == [True, True, False, True, True, True, True, False, True, True]
    assert [record.signals.step for record in found] == [4, 8]
    assert [record.signals.examples_seen for record in found] == [160, 320]
    for record in found:
        assert all(math.isfinite(number) for number in numbers(record, needs))
        assert record.signals.noise_count == (4 if needs is NOISE else 0)


@pytest.mark.parametrize("needs", [NORMS, NOISE], ids=["norms", "noise"])
def test_interval_of_overflows_alone_has_no_signals(digits: Dataset, needs: frozenset[str]) -> None:
    Overflowing.at = frozenset(range(100))
    found = records(digits, "float16", needs, device_batch=16)
    for record in found:
        assert record.signals.step == 0
        assert math.isfinite(record.signals.train_loss)
        assert all(math.isnan(number) for number in numbers(record, needs)[1:])
    trial = close_trial(trial_of(STUDY, 0), found, status="complete", ended_at=START)
    assert (trial.steps, trial.examples_seen, trial.mean_batch_size) == (0, 320, None)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_momentum_begins_with_the_first_step_that_counts(optimizer: Literal["sgd", "adamw"]) -> None:
    """The first one overflows; what torch leaves uninitialised is filled with NaN, so that it would show."""
    weights = []
    for skipped in (1, 0):
        p = nn.Parameter(torch.ones(3))
        hyper = Hyperparameters(optimizer=optimizer, weight_decay=0)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**11)
        torch.use_deterministic_algorithms(True)
        try:
            update = Update(make_optimizer(hyper, [p], scaled=True), scaler)
            for gradient in [math.inf] * skipped + [1.0, 2.0]:
                update.clear()
                update.scaled(p.sum() * gradient).backward()
                assert update.step() == math.isfinite(gradient)
        finally:
            torch.use_deterministic_algorithms(False)
        weights.append(p.detach())
    assert torch.equal(*weights)
    assert weights[0].isfinite().all()


def test_scale_is_part_of_a_checkpoint(digits: Dataset, tmp_path: Path) -> None:
    """The first step overflows: a run that began with the first scale again would skip a step again."""
    config = replace(BASE, precision="float16", architecture="resnet18", interval=64)
    steps = Recipe(needs=NOISE)
    limits = Limits(smallest=8, largest=64)
    uncut = list(train(config, steps, limits, digits, checkpoints=Checkpoints(str(tmp_path / "a"), every=2)))
    runs = train(config, steps, limits, digits, checkpoints=Checkpoints(str(tmp_path / "b"), every=2))
    first = [next(runs), next(runs)]
    state = torch.load(tmp_path / "b" / "00000002.pt", weights_only=True)
    assert state["scaler"]["scale"] > 0
    resumed = list(
        train(config, steps, limits, digits, checkpoints=Checkpoints(str(tmp_path / "b"), every=2, stored=2))
    )
    assert [repr(r.signals) for r in [*first, *resumed]] == [repr(r.signals) for r in uncut]


def test_tf32_needs_a_gpu() -> None:
    with pytest.raises(ValueError, match="precision tf32 needs a GPU but the device is cpu"):
        set_tf32("tf32", CPU)


@pytest.mark.parametrize("precision", ["float16", "tf32"])
def test_gradients_per_example_and_a_scaled_loss_do_not_go_together(precision: Precision) -> None:
    if precision == "tf32":
        replace(BASE, precision=precision, per_example=True)
        return
    with pytest.raises(ValueError, match="not scaled, so float16 cannot have them but got per_example=True"):
        replace(BASE, precision=precision, per_example=True)


def test_cudnn_and_tf32_are_settings_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    let_cudnn_try(CPU, same_size=True)
    assert not torch.backends.cudnn.benchmark
    let_cudnn_try(gpu, same_size=True)
    assert torch.backends.cudnn.benchmark
    let_cudnn_try(gpu, same_size=False)
    assert not torch.backends.cudnn.benchmark
    former = torch.backends.cudnn.allow_tf32
    try:
        set_tf32("tf32", gpu)
        assert torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
        set_tf32("float32", gpu)
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.backends.cudnn.allow_tf32 = former


def test_kernels_are_tried_for_a_size_that_stays(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(run, "let_cudnn_try", lambda device, same_size: told.append(same_size))
    moves = Recipe(moves=((1, 64, 1.0),))
    list(train(replace(BASE, interval=64), moves, Limits(smallest=8, largest=64), digits))
    assert told == [False, True, False, True, True]
