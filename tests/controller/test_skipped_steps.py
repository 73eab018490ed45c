"""A step that overflowed, in the built-in loop and in one of the user's own: one meaning of every signal."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from adasearch import BatchSizeController, Limits
from adasearch.data.batches import Batches
from adasearch.data.splits import Dataset
from adasearch.networks.registry import ARCHITECTURES, build_model
from adasearch.records import Signals
from adasearch.signal_sets import MEASURED
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.training.optimizer import make_optimizer
from adasearch.training.precision import loss_scaler
from tests.training.test_loop import Recipe
from tests.training.test_precision import Overflowing, Plain

LIMITS = Limits(smallest=8, largest=64)
SCHEDULER = Recipe(needs=frozenset(MEASURED))
CONFIG = TrainConfig(
    architecture="plain",
    scale="nano",
    seed=1,
    hyperparameters=Hyperparameters(batch_size=32, lr=0.02, lr_schedule="constant"),
    budget=320,
    interval=160,
    evaluate_every=320,
    precision="float16",
    device_batch=16,
)


@pytest.fixture(autouse=True)
def _plain(cache_dir: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "plain", {"nano": Plain})
        yield
    Overflowing.at = frozenset()


def built_in(data: Dataset) -> list[Signals]:
    return [record.signals for record in train(CONFIG, SCHEDULER, LIMITS, data)]


def of_ones_own(data: Dataset) -> list[Signals]:
    """The same batches in a loop with a controller, whose sampler says how large they are."""
    torch.manual_seed(CONFIG.seed)
    network = build_model("plain", "nano", classes=data.classes, image_size=data.image_size)
    optimizer = make_optimizer(CONFIG.hyperparameters, list(network.parameters()), scaled=True)
    controller = BatchSizeController(
        network,
        optimizer,
        range(160),
        SCHEDULER,
        batch_size=32,
        limits=LIMITS,
        device_batch=16,
        scaler=loss_scaler("float16", torch.device("cpu")),
    )
    batches, step, part = Batches(data, CONFIG.seed), 0, 0
    loader: DataLoader[int] = DataLoader(range(160), batch_sampler=controller.sampler)  # type: ignore[arg-type]
    while controller.epoch < 2:
        for _ in controller.batches(loader):
            images, labels = next(batches.chunks(32 * step, step, 32, 2, range(part, 2)))
            whole = controller.step(nn.functional.cross_entropy(network(images), labels))
            step, part = (step + 1, 0) if whole else (step, 1)
    return controller.history


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("overflows", [{5, 17}, {1, 2, 3, 4, 15}, set()], ids=["some", "first", "none"])
def test_skipped_step_counts_alike_in_both_loops(digits: Dataset, overflows: set[int]) -> None:
    """Five steps of two passes an interval; the numbers are those of passes whose gradient is infinite."""
    found = []
    for run in (built_in, of_ones_own):
        Overflowing.at, Overflowing.steps = frozenset(overflows), 0
        found.append(run(digits))
    updates = [5 - len({math.ceil(each / 2) for each in overflows if (each > 10) == late}) for late in (0, 1)]
    for rows in found:
        assert [row.step for row in rows] == [updates[0], sum(updates)]
        assert [row.examples_seen for row in rows] == [160, 320]
        assert [row.noise_count for row in rows] == updates
    for one, other in zip(*found, strict=True):
        for name in ("epoch", "batch_size", "lr", "lr_scale", "train_loss", *MEASURED):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-4), name
            assert math.isfinite(getattr(one, name)), name
