"""Where a study's next trial comes from: Optuna's proposals, or a list of runs that were decided before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from adasearch.data.spec import DataSpec
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.runtime import RunOptions
from adasearch.training.task import TrialTask

__all__ = ["TrialPlan", "TrialSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """A study, how many trials it shall have in all, and what is stored of them so far.

    Args:
        study: what its trials have in common.
        data: which data they train on.
        trials: how many there shall be.
        stored: those that are stored.
        intervals: of those that go on.
        recall: reads columns of the ended ones' intervals, from which the rungs are refilled.
        options: how they run, which is no part of what they are.
        curve: what their modelled seconds come from.
        threads: that each worker computes with.
        told: changes what workers are told of a trial.
    """

    study: StudyRecord
    data: DataSpec
    trials: int
    stored: Sequence[TrialRecord]
    intervals: Mapping[str, Sequence[IntervalRecord]]
    recall: Callable[[], Mapping[str, Mapping[str, Sequence[float | None]]]] = dict
    options: RunOptions = field(default_factory=RunOptions)
    curve: SpeedCurve | None = None
    threads: int = 1
    told: Callable[[TrialTask], TrialTask] = lambda task: task


class TrialSource(Protocol):
    """Gives one study's trials, one after the other, and hears how each ended."""

    @property
    def plan(self) -> TrialPlan:
        """What there is to do, and what is stored of it."""
        ...

    @property
    def left(self) -> int:
        """How many trials are still to begin."""
        ...

    @property
    def ready(self) -> bool:
        """Whether one of them can begin now."""
        ...

    def ask(self) -> TrialRecord:
        """Return the next trial, which begins now."""
        ...

    def tell(self, trial: TrialRecord) -> TrialRecord:
        """Hear how a trial ended; return it with the status that counts: "running" if it goes on later."""
        ...
