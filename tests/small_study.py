"""A finished search in miniature: two networks, DEBA against constant, two trials each; no Ray."""

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from adasearch.data import Dataset, load_dataset
from adasearch.plans import Request, ResolvedStudy, resolve
from adasearch.records import IntervalRecord, Params, TrialRecord
from adasearch.schedulers import make_scheduler
from adasearch.store import Store
from adasearch.train import TrainConfig, train
from adasearch.trials import begin_trial, close_trial
from adasearch.versions import versions

__all__ = ["write_small_study"]

ARCHITECTURES = ("resnet18", "vit_b_16")
CHANGED: tuple[Params, ...] = ({}, {"train/lr": 0.01})  # from the first point of the space, per trial


def write_small_study(results: Path, architectures: Sequence[str] = ARCHITECTURES) -> None:
    """Train and store the trials of two studies per network: 120 digits, 8 intervals of a quarter epoch each.

    DEBA's thresholds are so wide that it grows as soon as it may.
    """
    request = Request(
        architectures=architectures,
        schedulers=("deba",),
        subset=120,
        epochs=2,
        interval="0.25",
        largest=64,
        fixed=(
            "train/batch_size=16",
            "scheduler/rule=settle",
            "scheduler/confidence_threshold=3",
            "scheduler/stability_threshold=5",
            "scheduler/cooldown=2",
        ),
    )
    store = Store(str(results))
    for study in resolve(request, store.study, lambda text: None):
        store.write_study(study.record)
        data = load_dataset(study.data)
        for number, changed in enumerate(CHANGED):
            trial, intervals = _run(study, number, changed, data)
            store.write_intervals(trial, intervals)
            store.write_trial(trial)


def _run(
    study: ResolvedStudy, number: int, changed: Params, data: Dataset
) -> tuple[TrialRecord, Sequence[IntervalRecord]]:
    record = study.record
    spaces = (study.train_space, study.scheduler_space)
    params = {name: value for space in spaces for name, value in (space.fixed() | space.first()).items()}
    trial = begin_trial(
        record,
        phase="search",
        number=number,
        params={**params, **changed},
        seed=record.seed,
        versions=versions(),
    )
    scheduler = make_scheduler(record.scheduler, trial.fields_of("scheduler"))
    intervals = list(train(TrainConfig.of(record, trial), scheduler, record.limits, data))
    return close_trial(trial, intervals, status="complete", ended_at=datetime.now(timezone.utc)), intervals
