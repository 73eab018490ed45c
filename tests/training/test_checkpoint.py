"""A run that was cut anywhere and goes on from its checkpoint gives what the uncut run gives."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adasearch.data.splits import Dataset
from adasearch.errors import StoreError
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import IntervalRecord, Limits
from adasearch.schedulers import SCHEDULERS, BatchSizeScheduler, make_scheduler
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.cabs import Cabs
from adasearch.schedulers.deba import Deba
from adasearch.training import checkpoint
from adasearch.training.checkpoint import KEPT, Checkpoints
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.training.randomness import seed_random
from adasearch.training.same_run import text_of

LIMITS = Limits(smallest=8, largest=64)
GROWING = Deba(confidence_threshold=100, stability_threshold=100, window=3, cooldown=1, growth=1.4)
BASE = TrainConfig(
    architecture="resnet18",
    scale="nano",
    seed=3,
    hyperparameters=Hyperparameters(batch_size=20, lr=0.05, lr_schedule="one_cycle", warmup=0.1),
    budget=500,
    interval=70,
    evaluate_every=100,
)


def with_dropout(classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * image_size**2, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, classes)
    )


class Jittered(nn.Module):
    """Noise of NumPy's and Python's own, as augmentation within a network often has it."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * random.uniform(0.9, 1.1) + float(np.random.normal(0, 0.1))


def with_jitter(classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), Jittered(), nn.Linear(3 * image_size**2, classes))


@pytest.fixture(autouse=True)
def _dropout_architecture() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "jitter", {"nano": with_jitter})
        patch.setitem(ARCHITECTURES, "dropout", {"nano": with_dropout})
        yield


RUNS: dict[str, tuple[TrainConfig, BatchSizeScheduler]] = {
    "batch norm, momentum": (BASE, GROWING),
    "adamw, mean gradient": (
        replace(BASE, architecture="vit_b_16", hyperparameters=Hyperparameters(
            batch_size=20, lr=0.003, optimizer="adamw"
        )),
        replace(GROWING, gradient="mean_gradient"),
    ),
    "dropout, noise from halves": (replace(BASE, architecture="dropout"), Cabs()),
    "numbers of NumPy and Python": (replace(BASE, architecture="jitter"), GROWING),
    "passes, timetable": (
        replace(BASE, device_batch=8, hyperparameters=Hyperparameters(batch_size=20, lr_schedule="constant")),
        AdaBatch(period=1),
    ),
}  # fmt: skip


def numbers(records: Sequence[IntervalRecord]) -> list[str]:
    """Everything but the times, as text: NaN equals NaN there."""
    return [
        repr((r.signals, r.decision, r.val_error, r.passes, r.device_batch, r.noise_form)) for r in records
    ]


def cut_and_resumed(
    config: TrainConfig, scheduler: BatchSizeScheduler, data: Dataset, folder: Path, cut: int
) -> tuple[list[IntervalRecord], list[IntervalRecord]]:
    """Return what a run yielded up to its cut, and what the resumed one did."""
    with_checkpoints = train(
        config, scheduler, LIMITS, data, checkpoints=Checkpoints(str(folder), every=2, stored=0)
    )
    first = list(islice(with_checkpoints, cut))
    seed_random(999)  # another process would have other random numbers to come
    resumed = Checkpoints(str(folder), every=2, stored=cut)
    return first, list(train(config, scheduler, LIMITS, data, checkpoints=resumed))


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("cut", [1, 2, 5])
def test_resumed_run_equals_the_uncut_one_bit_for_bit(
    digits: Dataset, tmp_path: Path, name: str, cut: int
) -> None:
    config, scheduler = RUNS[name]
    uncut = list(train(config, scheduler, LIMITS, digits))
    first, rest = cut_and_resumed(config, scheduler, digits, tmp_path / "checkpoints", cut)
    assert rest[0].signals.interval == cut // 2 * 2
    assert numbers(first) == numbers(uncut[:cut])
    assert numbers([*first[: cut // 2 * 2], *rest]) == numbers(uncut)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_method_decides_alike_after_a_cut_anywhere(digits: Dataset, tmp_path: Path, name: str) -> None:
    scheduler = make_scheduler(name, {})
    schedule = sorted(scheduler.lr_schedules)[0]
    config = replace(BASE, architecture="dropout", hyperparameters=Hyperparameters(lr_schedule=schedule))
    uncut = list(train(config, scheduler, LIMITS, digits))
    cut = random.Random(name).randrange(1, len(uncut))
    first, rest = cut_and_resumed(config, scheduler, digits, tmp_path, cut)
    assert numbers([*first[: cut // 2 * 2], *rest]) == numbers(uncut)


def saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pt"))


def test_only_the_newest_checkpoints_are_kept_and_none_after_the_last_interval(
    digits: Dataset, tmp_path: Path
) -> None:
    records = list(train(*RUNS["batch norm, momentum"], LIMITS, digits, checkpoints=every(tmp_path, 2)))
    last = (len(records) - 1) // 2 * 2
    assert saved(tmp_path) == [f"{last - 2:08d}.pt", f"{last:08d}.pt"]
    assert KEPT == 2
    assert [r.checkpoint_seconds is not None for r in records[:-1]] == [
        number % 2 == 0 for number in range(1, len(records))
    ]
    assert records[-1].checkpoint_seconds is None


def test_checkpoint_does_not_make_a_study_anew_whose_folder_was_renamed(
    digits: Dataset, tmp_path: Path
) -> None:
    study = tmp_path / "results" / "study"
    study.mkdir(parents=True)
    checkpoints = every(study / "checkpoints" / "trial", 1)
    run = train(*RUNS["batch norm, momentum"], LIMITS, digits, checkpoints=checkpoints)
    next(run)
    (tmp_path / "results").rename(tmp_path / "moved")
    with pytest.raises(StoreError, match=f"cannot write a checkpoint: {study} is not there"):
        list(run)
    assert not study.exists()


def every(folder: Path, intervals: int | None, stored: int = 0) -> Checkpoints:
    return Checkpoints(str(folder), every=intervals, stored=stored)


def test_checkpoint_that_is_ahead_of_the_stored_intervals_does_not_count(
    digits: Dataset, tmp_path: Path
) -> None:
    config, scheduler = RUNS["dropout, noise from halves"]
    run = train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 1))
    list(islice(run, 4))
    assert saved(tmp_path) == ["00000003.pt", "00000004.pt"]
    for stored, begins in ((4, 4), (3, 3), (2, 0)):
        again = train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 0, stored))
        assert next(iter(again)).signals.interval == begins


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncate,
    "text": lambda path: path.write_text("no checkpoint"),
    "foreign": lambda path: torch.save({"model": 1}, path),
    "not ours": lambda path: torch.save([1, 2], path),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(
    digits: Dataset, tmp_path: Path, damage: str
) -> None:
    config, scheduler = RUNS["dropout, noise from halves"]
    list(islice(train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 1)), 4))
    DAMAGE[damage](tmp_path / "00000004.pt")
    again = train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 0, stored=4))
    assert next(iter(again)).signals.interval == 3


@pytest.mark.parametrize(
    "other",
    [
        {"config": replace(BASE, architecture="dropout", seed=4)},
        {"scheduler": Cabs(scale=2.0)},
        {"limits": Limits(smallest=8, largest=32)},
    ],
    ids=["config", "scheduler", "limits"],
)
def test_checkpoint_of_another_run_is_not_loaded(
    digits: Dataset, tmp_path: Path, other: dict[str, object]
) -> None:
    config, scheduler = RUNS["dropout, noise from halves"]
    run = {"config": config, "scheduler": scheduler, "limits": LIMITS, "data": digits}
    list(islice(train(**run, checkpoints=every(tmp_path, 1)), 2))  # type: ignore[arg-type]
    for changes, begins in (({}, 2), (other, 0)):
        again = train(**{**run, **changes}, checkpoints=every(tmp_path, 0, stored=2))  # type: ignore[arg-type]
        assert next(iter(again)).signals.interval == begins


def test_checkpoint_that_is_passed_over_is_told(digits: Dataset, tmp_path: Path) -> None:
    config, scheduler = RUNS["dropout, noise from halves"]
    list(islice(train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 1)), 2))
    said: list[str] = []
    other = replace(config, hyperparameters=replace(config.hyperparameters, momentum=0.5))
    checkpoints = Checkpoints(str(tmp_path), every=0, stored=2, say=said.append)
    next(train(other, scheduler, LIMITS, digits, checkpoints=checkpoints))
    assert said[0] == "checkpoint 00000002.pt is passed over: it is of another run: momentum 0.9, not 0.5"


def test_checkpoint_of_a_version_that_knew_fewer_fields_is_loaded(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, scheduler = RUNS["dropout, noise from halves"]
    monkeypatch.setattr(checkpoint, "text_of", lambda told: text_of(told).replace(", nesterov=False", ""))
    list(islice(train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 1)), 2))
    again = train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 0, stored=2))
    assert next(again).signals.interval == 2


def test_memory_may_differ_between_two_attempts(digits: Dataset, tmp_path: Path) -> None:
    """The next attempt makes smaller passes; without BatchNorm it computes the same to rounding."""
    config, scheduler = replace(BASE, architecture="vit_b_16"), GROWING
    uncut = list(train(config, scheduler, LIMITS, digits))
    list(islice(train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 1)), 2))
    small = replace(config, device_batch=8)
    rest = list(train(small, scheduler, LIMITS, digits, checkpoints=every(tmp_path, 0, stored=2)))
    assert [r.passes for r in rest] == [-(-r.signals.batch_size // 8) for r in rest]
    assert [r.decision.batch_size for r in rest] == [r.decision.batch_size for r in uncut[2:]]
    for one, other in zip(rest, uncut[2:], strict=True):
        assert one.signals.train_loss == pytest.approx(other.signals.train_loss, rel=1e-4)


def test_without_a_number_of_intervals_one_is_written_after_half_a_minute(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(checkpoint, "time", clock)
    config, scheduler = RUNS["dropout, noise from halves"]
    written = []
    for record in train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path, None)):
        written.append(record.checkpoint_seconds is not None)
        clock.now += 10  # three intervals take half a minute
    assert written == [number % 3 == 0 and number > 0 for number in range(len(written) - 1)] + [False]


def test_none_are_written_where_none_are_wanted(digits: Dataset, tmp_path: Path) -> None:
    config, scheduler = RUNS["dropout, noise from halves"]
    list(train(config, scheduler, LIMITS, digits, checkpoints=every(tmp_path / "none", 0)))
    assert not (tmp_path / "none").exists()


def test_checkpoints_ahead_of_a_resumed_run_go_when_it_writes_its_first(
    digits: Dataset, tmp_path: Path
) -> None:
    """They are a former attempt's; kept as the newest, they would take the place of all that come."""

    def written(stored: int, intervals: int) -> list[str]:
        checkpoints = Checkpoints(str(tmp_path), every=1, stored=stored)
        list(islice(train(BASE, GROWING, LIMITS, digits, checkpoints=checkpoints), intervals))
        return sorted(path.name for path in tmp_path.iterdir())

    assert written(stored=0, intervals=5) == ["00000004.pt", "00000005.pt"]
    assert written(stored=1, intervals=1) == ["00000001.pt"]
    assert written(stored=1, intervals=1) == ["00000001.pt", "00000002.pt"]
