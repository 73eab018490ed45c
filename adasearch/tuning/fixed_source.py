"""A fixed list of runs in place of proposals: candidates and controls on fresh seeds."""

from collections.abc import Sequence
from dataclasses import replace

from adasearch.environment import versions
from adasearch.records import TrialRecord
from adasearch.store.trials import begin_trial
from adasearch.studies.controls import ConfirmRun, confirm_runs_of
from adasearch.tuning.trial_source import TrialPlan

__all__ = ["FixedSource"]


class FixedSource:
    """Gives the runs that are not stored yet; those that were running go on under their own numbers."""

    def __init__(self, plan: TrialPlan, runs: Sequence[ConfirmRun]) -> None:
        self._plan = plan
        former = confirm_runs_of(plan.stored)
        self._waiting = [
            (run, former.get(run)) for run in runs if run not in former or former[run].status == "running"
        ]
        confirmed = [trial.number for trial in plan.stored if trial.phase == "confirm"]
        self._next_number = max(confirmed, default=-1) + 1

    @property
    def plan(self) -> TrialPlan:
        """What this was made from."""
        return self._plan

    @property
    def left(self) -> int:
        """How many runs are still to begin."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether there are any."""
        return self.left > 0

    def ask(self) -> TrialRecord:
        """Return the next run, which begins now."""
        run, former = self._waiting.pop(0)
        number = self._next_number if former is None else former.number
        self._next_number += former is None
        trial = begin_trial(
            self._plan.study,
            phase="confirm",
            number=number,
            params=dict(run.params),
            seed=run.seed,
            versions=versions(self._plan.threads),
            role=run.role,
        )
        return replace(trial, scheduler=run.scheduler, source_trial_id=run.source_trial_id)

    def tell(self, trial: TrialRecord) -> TrialRecord:
        """Return a run as it ended: nothing is stopped early, and nothing is learned from it."""
        return trial
