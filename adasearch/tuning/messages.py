"""What travels between the search and its workers."""

from collections.abc import Mapping
from dataclasses import dataclass

from adasearch.data.spec import DataSpec
from adasearch.records import IntervalRecord, Limits, Status, Value
from adasearch.training.config import TrainConfig

__all__ = ["Delivery", "Outcome", "TrialTask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTask:
    """All that a worker needs to train one trial.

    Args:
        trial_id: the trial's.
        config: what to train.
        scheduler: its name, or ``module:Class``.
        scheduler_fields: its hyperparameters.
        limits: the batch sizes that it may choose.
        data: which data, as every node finds them.
        checkpoints: folder or URI of the trial's checkpoints.
        checkpoint_every: intervals between two of them; None for one every 30 seconds, 0 for none.
        stored: intervals of this trial that are known already; a worker begins at or before their end.
    """

    trial_id: str
    config: TrainConfig
    scheduler: str
    scheduler_fields: Mapping[str, Value]
    limits: Limits
    data: DataSpec
    checkpoints: str
    checkpoint_every: int | None = None
    stored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a trial ended on its workers: complete, or failed with an error.

    ``unwritten`` says why a checkpoint could not be written: the search then ends, and the trial stays open.
    """

    status: Status
    error: str | None = None
    peak_memory_bytes: int | None = None
    unwritten: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Interval records since the last delivery and, with the last of them, the outcome.

    ``group`` is the placement group of the workers that came last, ``hardware`` the name of the device that
    the first of them trains on; None before the first.
    """

    records: tuple[IntervalRecord, ...]
    outcome: Outcome | None
    group: object = None
    hardware: str | None = None
