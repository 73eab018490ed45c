"""Records that tests start from; each test changes what it is about."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

from adasearch.analysis.enough import MIN_TRIALS
from adasearch.records import (
    Action,
    Decision,
    IntervalRecord,
    Params,
    Signals,
    Status,
    StudyRecord,
    TrialRecord,
)

__all__ = ["START", "STUDY", "at_marks", "enough", "interval_at", "study_of", "trial_of"]

START = datetime(2026, 1, 1, tzinfo=timezone.utc)

STUDY = StudyRecord(
    study="resnet18-nano-deba-digits",
    architecture="resnet18",
    scale="nano",
    scheduler="deba",
    dataset="digits",
    fingerprint="f00d",
    subset=None,
    seed=0,
    train_examples=400,
    val_examples=100,
    budget=1600,
    interval=400,
    evaluate_every=400,
    workers=1,
    objectives="val_error,train_seconds",
    clock="measured",
    device="cpu",
    device_profile=None,
    precision="float32",
    sampler="tpe",
    stopper="halving",
    smallest=16,
    largest=96,
    multiple_of=1,
    train_space='{"architecture":"resnet18"}',
    scheduler_space='{"scheduler":"deba"}',
    created_at=START,
)


def study_of(scheduler: str, architecture: str = "resnet18") -> StudyRecord:
    """A study like ``STUDY`` of another scheduler or network."""
    return replace(
        STUDY,
        study=f"{architecture}-nano-{scheduler}-digits",
        scheduler=scheduler,
        architecture=architecture,
        train_space=f'{{"architecture":"{architecture}"}}',
        scheduler_space=f'{{"scheduler":"{scheduler}"}}',
    )


def trial_of(
    study: StudyRecord,
    number: int,
    *,
    status: Status = "complete",
    val_error: float | None = None,
    seconds: float | None = None,
    phase: str = "search",
    params: Params | None = None,
) -> TrialRecord:
    """A trial of a study, with its outcome."""
    return TrialRecord(
        trial_id=f"{study.study}-{phase}-{number}",
        number=number,
        study=study.study,
        phase=phase,
        role=phase,
        architecture=study.architecture,
        scale=study.scale,
        scheduler=study.scheduler,
        dataset=study.dataset,
        seed=number,
        params=params or {},
        status=status,
        val_error=val_error,
        train_seconds=seconds,
        workers=1,
        device="cpu",
        started_at=START,
    )


def enough(*studies: StudyRecord) -> list[TrialRecord]:
    """Trials that were stopped early, with which a search has tried enough to say something."""
    return [trial_of(study, 100 + n, status="pruned") for study in studies for n in range(MIN_TRIALS - 1)]


def interval_at(
    index: int,
    *,
    seen: int | None = None,
    val_error: float | None = None,
    seconds: float = 1.0,
    action: Action = "hold",
    batch_size: int = 32,
) -> IntervalRecord:
    """An interval of a trial of ``STUDY``: 400 examples each, unless ``seen`` says where it ended."""
    examples_seen = 400 * (index + 1) if seen is None else seen
    return IntervalRecord(
        signals=Signals(
            interval=index,
            epoch=examples_seen / 400,
            step=examples_seen // 32 + 1,
            examples_seen=examples_seen,
            initial_batch_size=32,
            batch_size=batch_size,
            lr=0.1,
            lr_scale=1.0,
            train_loss=2.0,
        ),
        decision=Decision(
            batch_size=batch_size + batch_size // 2 if action == "grow" else batch_size,
            lr_scale=1.0,
            action=action,
            reason="because",
        ),
        device_batch=512,
        passes=1,
        val_error=val_error,
        train_seconds=seconds,
        measure_seconds=0.25,
        resize_seconds=0.125,
        eval_seconds=0.5,
        decided=examples_seen < STUDY.budget,
    )


def at_marks(*points: tuple[float | None, float]) -> Sequence[IntervalRecord]:
    """A trial's intervals from one (val_error, seconds of this interval) each."""
    return [interval_at(i, val_error=error, seconds=seconds) for i, (error, seconds) in enumerate(points)]
