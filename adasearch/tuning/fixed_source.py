"""A fixed list of runs in place of proposals: candidates and controls on fresh seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from adasearch.data.spec import DataSpec
from adasearch.environment import versions
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.runtime import RunOptions
from adasearch.store.trials import begin_trial
from adasearch.studies.controls import Repeat, repeats_of

__all__ = ["ConfirmPlan", "Repeats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmPlan:
    """A study, the runs that shall check it, in order, and what is stored of it so far."""

    study: StudyRecord
    data: DataSpec
    repeats: Sequence[Repeat]
    stored: Sequence[TrialRecord]
    intervals: Mapping[str, Sequence[IntervalRecord]]
    options: RunOptions = field(default_factory=RunOptions)
    curve: SpeedCurve | None = None
    threads: int = 1

    @property
    def trials(self) -> int:
        """Runs in all."""
        return len(self.repeats)

    @property
    def recall(self) -> Callable[[], Mapping[str, Mapping[str, Sequence[float | None]]]]:
        """Reads nothing: no run is stopped early."""
        return dict


class Repeats:
    """Gives the runs that are not stored yet; those that were running go on under their own numbers."""

    def __init__(self, plan: ConfirmPlan) -> None:
        self._plan = plan
        former = repeats_of(plan.stored)
        self._waiting = [
            (repeat, former.get(repeat))
            for repeat in plan.repeats
            if repeat not in former or former[repeat].status == "running"
        ]
        confirmed = [trial.number for trial in plan.stored if trial.phase == "confirm"]
        self._next_number = max(confirmed, default=-1) + 1

    @property
    def plan(self) -> ConfirmPlan:
        """What this was made from."""
        return self._plan

    @property
    def left(self) -> int:
        """How many runs are still to begin."""
        return len(self._waiting)

    def ask(self) -> TrialRecord:
        """Return the next run, which begins now."""
        repeat, former = self._waiting.pop(0)
        number = self._next_number if former is None else former.number
        self._next_number += former is None
        trial = begin_trial(
            self._plan.study,
            phase="confirm",
            number=number,
            params=dict(repeat.params),
            seed=repeat.seed,
            versions=versions(self._plan.threads),
            role=repeat.role,
        )
        return replace(trial, scheduler=repeat.scheduler, source_trial_id=repeat.source_trial_id)

    def tell(self, trial: TrialRecord) -> TrialRecord:
        """Return a run as it ended: nothing is stopped early, and nothing is learned from it."""
        return trial
