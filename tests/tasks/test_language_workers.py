"""Two workers that share a language model's run see and train what one does."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn

from adasearch.data.text.sequences import TextData
from adasearch.records import IntervalRecord, Limits
from adasearch.schedulers import BatchSizeScheduler
from adasearch.signal_sets import MEAN_GRADIENT, NOISE, PER_STEP
from adasearch.tasks.language import Language
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from tests.training.test_loop import Recipe

WORLD = 2
CONFIG = TrainConfig(
    architecture="gpt_rms_rotary",
    scale="nano",
    seed=3,
    hyperparameters=Hyperparameters(batch_size=7, lr=0.003, optimizer="adamw", max_grad_norm=1.0),
    budget=60,
    interval=20,
    evaluate_every=20,
    device_batch=4,
)
MOVES = ((0, 13, 1.0), (1, 5, 0.5))
RUNS: dict[str, tuple[TrainConfig, BatchSizeScheduler]] = {
    "signals": (CONFIG, Recipe(moves=MOVES, needs=PER_STEP | MEAN_GRADIENT)),
    "noise of examples": (replace(CONFIG, per_example=True), Recipe(moves=MOVES, needs=NOISE)),
    "noise of workers": (CONFIG, Recipe(moves=MOVES, needs=NOISE)),
}


def data() -> TextData:
    task = Language(vocabulary=40, sequence_length=12)
    return task.made_up(60, 17)


def outcomes() -> dict[str, list[IntervalRecord]]:
    return {
        name: list(train(config, scheduler, Limits(smallest=2, largest=64), data()))
        for name, (config, scheduler) in RUNS.items()
    }


def worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=60),
    )
    torch.save(outcomes(), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[IntervalRecord]]]:
    """Return what one process saw alone, and each of two together."""
    torch.set_default_dtype(torch.float64)
    try:
        alone = outcomes()
    finally:
        torch.set_default_dtype(torch.float32)
    folder = tmp_path_factory.mktemp("workers")
    spawn(worker, args=(str(folder),), nprocs=WORLD)
    return [alone, *(torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD))]


def numbers(record: IntervalRecord, *, noise: bool) -> list[float]:
    signals = record.signals
    names = ["train_loss", "val_loss", "grad_norm", "grad_component_variance", "mean_grad_norm"]
    names += ["grad_noise", "grad_sq_norm"] if noise else []
    found = [getattr(signals, name) for name in names]
    return [value for value in (*found, record.val_error_se) if value is not None]


@pytest.mark.parametrize("name", RUNS)
def test_workers_see_what_one_does(seen: list[dict[str, list[IntervalRecord]]], name: str) -> None:
    alone, *together = (each[name] for each in seen)
    for mine in together:
        assert [each.signals.batch_size for each in mine] == [each.signals.batch_size for each in alone]
        for one, other in zip(mine, alone, strict=True):
            same = name != "noise of workers"  # whose groups are other ones
            assert numbers(one, noise=same) == pytest.approx(numbers(other, noise=same), rel=1e-9)
            assert one.metrics == pytest.approx(other.metrics)
    if name == "noise of workers":
        first, second = together
        assert [numbers(each, noise=True) for each in first] == [numbers(each, noise=True) for each in second]
        assert np.isfinite([numbers(each, noise=True) for each in first]).all()
