"""A finished search in miniature: two networks, DEBA against constant, two trials each; no Ray."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from adasearch.analysis.selection import pick_trials
from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.data.splits import Dataset
from adasearch.environment import versions
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import IntervalRecord, Params, StudyRecord, TrialRecord
from adasearch.schedulers import make_scheduler
from adasearch.store import Store
from adasearch.store.trials import begin_trial, close_trial
from adasearch.studies.request import Request, ResolvedStudy
from adasearch.studies.resolve import resolve
from adasearch.training.config import TrainConfig
from adasearch.training.loop import train
from tests.profile_rows import speed_of, stability_of

__all__ = ["write_small_study", "write_the_evidence"]

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
            _keep(store, *_run(study.record, {**_first(study), **changed}, number, data))


def write_the_evidence(results: Path) -> None:
    """Confirm the small study's trials on two seeds beside their references, and add profiles."""
    store, profiles = Store(str(results)), ProfileStore(str(results))
    studies = store.studies()
    picks = pick_trials(studies, [trial for study in studies for trial in store.trials(study.study)])
    for study in studies:
        if study.scheduler == "constant":
            continue
        profiles.write(speed_of(study))
        profiles.write(stability_of(study))
        source = DataSpec(source=study.dataset, subset=study.subset, seed=study.seed)
        data = load_dataset(source)
        pick = picks[study.study]
        for place, (role, chosen) in enumerate((("candidate", pick.trial), ("reference", pick.reference))):
            assert chosen is not None
            for seed in range(2):
                ran = replace(study, scheduler=chosen.scheduler)
                trial, intervals = _run(ran, chosen.params, 2 * place + seed, data, seed=10**6 + seed)
                made = replace(
                    trial,
                    trial_id=f"{study.study}-confirm-{trial.number}",
                    phase="confirm",
                    role=role,
                    source_trial_id=chosen.trial_id,
                    test_error=trial.val_error,
                )
                _keep(store, made, intervals)


def _keep(store: Store, trial: TrialRecord, intervals: Sequence[IntervalRecord]) -> None:
    store.write_intervals(trial, intervals)
    store.write_trial(trial)


def _first(study: ResolvedStudy) -> Params:
    spaces = (study.train_space, study.scheduler_space)
    return {name: value for space in spaces for name, value in (space.fixed() | space.first()).items()}


def _run(
    record: StudyRecord, params: Params, number: int, data: Dataset, *, seed: int | None = None
) -> tuple[TrialRecord, Sequence[IntervalRecord]]:
    trial = begin_trial(
        record,
        phase="search",
        number=number,
        params=params,
        seed=record.seed if seed is None else seed,
        versions=versions(),
    )
    scheduler = make_scheduler(record.scheduler, trial.fields_of("scheduler"))
    intervals = list(train(TrainConfig.of(record, trial), scheduler, record.limits, data))
    return close_trial(trial, intervals, status="complete", ended_at=datetime.now(timezone.utc)), intervals
