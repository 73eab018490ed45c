"""How a trial's record begins, and how it ends."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

from adasearch.records import IntervalRecord, Params, Status, StudyRecord, TrialRecord

__all__ = ["LOGS", "PROFILES", "RESERVED", "begin_trial", "close_trial", "folder_of"]

PROFILES = "profiles"
"""The folder of the results with profiles and their runs."""

LOGS = "logs"
"""The folder of the results with files of trackers, which no reader of ours looks into."""

FOLDERS = {"train": "train", "profile": PROFILES}  # of the trials that belong to no search, by phase

RESERVED = frozenset(FOLDERS.values())
"""Folders of the results that are no studies."""


def folder_of(trial: TrialRecord) -> str:
    """Return the folder of the results that a trial is stored in; a repeated one lies beside its source."""
    single = f"{trial.study}-train-"
    if trial.phase == "rerun" and (trial.source_trial_id or "").startswith(single):
        return FOLDERS["train"]
    return FOLDERS.get(trial.phase, trial.study)


def begin_trial(
    study: StudyRecord,
    *,
    phase: str,
    number: int,
    params: Params,
    seed: int,
    versions: Params,
    role: str | None = None,
    workers: int | None = None,
) -> TrialRecord:
    """Return a trial of a study that begins now; its role is its phase, and its workers the study's."""
    if study.code is not None:
        versions = {**versions, "code": study.code}
    return TrialRecord(
        trial_id=f"{study.study}-{phase}-{number}",
        number=number,
        study=study.study,
        phase=phase,
        role=phase if role is None else role,
        architecture=study.architecture,
        scale=study.scale,
        scheduler=study.scheduler,
        dataset=study.dataset,
        objective=study.objective,
        seed=seed,
        params=params,
        status="running",
        workers=study.workers if workers is None else workers,
        device=study.device,
        versions=versions,
        started_at=datetime.now(timezone.utc),
    )


def close_trial(
    trial: TrialRecord,
    intervals: Sequence[IntervalRecord],
    *,
    status: Status,
    ended_at: datetime,
    error: str | None = None,
    peak_memory_bytes: int | None = None,
) -> TrialRecord:
    """Return ``trial`` with its outcome: sums over the intervals, and the last evaluation as its error.

    A trial that ended before its first interval keeps its sums at None. ``mean_batch_size`` is examples per
    update that was made, None if none was; with float16 it is above the sizes' mean by the share of updates
    that were skipped, which is some in a thousand.
    """
    outcome = replace(
        trial, status=status, error=error, ended_at=ended_at, peak_memory_bytes=peak_memory_bytes
    )
    if not intervals:
        return outcome
    last = intervals[-1].signals
    evaluated = [record for record in intervals if record.val_error is not None]
    modelled = [record.modelled_seconds for record in intervals if record.modelled_seconds is not None]
    return replace(
        outcome,
        val_error=evaluated[-1].val_error if evaluated else None,
        val_error_se=evaluated[-1].val_error_se if evaluated else None,
        test_error=intervals[-1].test_error,
        train_seconds=sum(record.train_seconds for record in intervals),
        modelled_seconds=sum(modelled) if len(modelled) == len(intervals) else None,
        measure_seconds=sum(record.measure_seconds for record in intervals),
        resize_seconds=sum(record.resize_seconds for record in intervals),
        eval_seconds=sum(record.eval_seconds for record in intervals),
        examples_seen=last.examples_seen,
        epochs=last.epoch,
        steps=last.step,
        mean_batch_size=last.examples_seen / last.step if last.step else None,
        final_batch_size=last.batch_size,
        adaptations=sum(record.decision.action != "hold" for record in intervals),
    )
