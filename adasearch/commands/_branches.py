"""``adasearch profile --kind critical --slots N``: a run and its branches side by side, on Ray's workers.

The run at the base size is trained part by part, from mark to mark, each part a task of its own; where a part
ends its branches begin, and they train while the run goes on. Workers stay from task to task, as in a search.
What comes of it is equal to what one process trains, one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from rich.console import Console

from adasearch.callbacks import Progress
from adasearch.commands._on_ray import on_ray
from adasearch.errors import AdasearchError
from adasearch.io.progress import ENDING, say
from adasearch.profiles.branch_plan import PARTS
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.runs.branched_run import BranchedRun
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.profile_run import ProfileRun, is_over
from adasearch.runtime import Runtime
from adasearch.store.trials import PROFILES
from adasearch.training.task import TrialTask
from adasearch.tuning.trial_source import TrialPlan

__all__ = ["side_by_side"]

SCHEDULER = "adasearch.runs.speed:FixedBatch"  # as in this process, whose checkpoints the workers go on from


def side_by_side(
    run: ProfileRun, branched: Sequence[BranchedRun], *, runtime: Runtime, console: Console
) -> None:
    """Train what is missing of the runs of some seeds, ``runtime.slots`` at a time.

    Raises:
        AdasearchError: a run failed, other than by diverging; the others go on another time.
        KeyboardInterrupt: it was interrupted; what is stored goes on.
    """
    sources = [BranchSource(run, each, runtime.cpus_per_worker) for each in branched]
    if not any(source.left for source in sources):
        return
    record = branched[0].record
    with on_ray(runtime, run.store, console, [record]) as cluster:
        from adasearch.tuning.engine import run_trials  # which imports ray

        settings, slots = cluster.slots(record)
        shown = _Shown(f"{record.architecture}: branches", branched, run.progress, partial(say, console))
        if not run_trials(sources, run.store, settings, slots=slots, listener=shown):
            raise KeyboardInterrupt
    failed_of(sources)


class BranchSource:
    """Gives the parts of a seed's run, and its branches once they can begin.

    Attributes:
        failed: a run that failed, other than by diverging; nothing begins after it.
    """

    def __init__(self, run: ProfileRun, branched: BranchedRun, threads: int) -> None:
        self.failed: TrialRecord | None = None
        self._branched, self._store = branched, run.store
        self._base = branched.begun()
        stands = len(self._base.intervals)
        plan = branched.plan
        self._stops: list[int] = []  # of the run at the base size: where its parts end
        if not is_over(self._base.record):
            self._stops = [stop for stop in (*plan.marks, plan.end) if stop > stands]
        self._training_base = False
        self._waiting: list[TrialRecord] = []
        self._until: dict[str, int] = {}
        self._intervals: dict[str, Sequence[IntervalRecord]] = {}
        for mark in plan.marks:
            if stands >= mark:
                self._begin_branches(mark)
        self._plan = TrialPlan(
            study=branched.record,
            data=run.study.data,
            trials=max(1, self.left),
            stored=(),
            intervals=self._intervals,
            options=run.options,
            threads=threads,
            told=self._told,
        )

    @property
    def plan(self) -> TrialPlan:
        """What there is to do."""
        return self._plan

    @property
    def left(self) -> int:
        """How many parts and branches are still to begin."""
        plan = self._branched.plan
        marks = sum(stop in plan.marks for stop in self._stops)
        parts = len(self._stops) - self._training_base
        return len(self._waiting) + parts + marks * (len(plan.sizes) - 1)

    @property
    def ready(self) -> bool:
        """Whether one can begin: a part once the one before has ended, a branch once the run was there."""
        return bool(self._waiting) or (bool(self._stops) and not self._training_base)

    def ask(self) -> TrialRecord:
        """Return the next part, for which the others wait, or else the next branch."""
        if self._stops and not self._training_base:
            self._training_base = True
            trial, until = self._base.record, self._stops[0]
        else:
            trial = self._waiting.pop(0)
            until = self._branched.begins(trial) + PARTS
        self._until[trial.trial_id] = until
        stored = self._store.intervals(PROFILES, [trial.trial_id])
        self._intervals[trial.trial_id] = stored.get(trial.trial_id, ())
        return trial

    def _told(self, task: TrialTask) -> TrialTask:
        """Return what workers are told of a part, or of a branch."""
        every = task.checkpoint_every
        if task.trial_id == self._base.record.trial_id:
            every = self._branched.plan.marks[0]
        return replace(task, scheduler=SCHEDULER, checkpoint_every=every, until=self._until[task.trial_id])

    def tell(self, trial: TrialRecord) -> TrialRecord:
        """Hear how a part or a branch ended; return it as what is not over if it goes on."""
        part = trial.trial_id == self._base.record.trial_id
        if part:
            self._training_base = False
        if trial.status == "failed" and not is_over(trial):
            self.failed = trial
            self._stops, self._waiting = [], []
            return _open(trial)
        if not part:
            return trial
        if trial.status == "failed":
            self._stops = []
            return trial
        stop = self._stops.pop(0)
        if stop == self._branched.plan.end:
            return trial
        stored = self._store.intervals(
            PROFILES, [trial.trial_id]
        )  # with the checkpoint from which they begin
        self._base = LiveTrial(self._base.record, self._store, intervals=stored[trial.trial_id])
        self._branched.stood(self._base)
        self._begin_branches(stop)
        return self._base.record

    def _begin_branches(self, mark: int) -> None:
        for live in self._branched.branches(mark):
            if len(live.intervals) < mark + PARTS:  # else all but its last row was written
                self._waiting.append(live.record)


def _open(trial: TrialRecord) -> TrialRecord:
    """Return a run that failed as one that goes on from its checkpoint, once its cause is mended."""
    return replace(trial, status="running", error=None, cause=None, ended_at=None)


def failed_of(sources: Sequence[BranchSource]) -> None:
    """Raise what a run failed by, other than by diverging.

    Raises:
        AdasearchError: the first of them.
    """
    for source in sources:
        if source.failed is not None:
            raise AdasearchError(f"{source.failed.trial_id} failed: {source.failed.error}")


class _Shown:
    """Shows how far all runs are."""

    def __init__(
        self,
        what: str,
        branched: Sequence[BranchedRun],
        progress: Progress,
        tell: Callable[[str], None],
    ) -> None:
        self._what, self._progress, self._tell = what, progress, tell
        self._begins = branched[0].begins
        self._spent = {name: count for each in branched for name, count in each.spent.items()}
        self._whole = len(branched) * branched[0].plan.intervals

    def started(self, trial: TrialRecord) -> None:
        """See :class:`~adasearch.tuning.search_state.SearchListener`."""

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None:
        """Show what is done."""
        self._spent[trial.trial_id] = record.signals.interval + 1 - self._begins(trial)
        self._progress(self._what, sum(self._spent.values()), self._whole)

    def interrupted(self) -> None:
        """Say that the end takes a moment."""
        self._tell(ENDING)

    def restarted(self, trial: TrialRecord) -> None:
        """Say that a run goes on although its workers were lost."""
        self._tell(f"{trial.trial_id}: its workers ended; it goes on with new ones")

    def noted(self, trial: TrialRecord, text: str) -> None:
        """Say what a person should know of a run."""
        self._tell(f"{trial.trial_id}: {text}")

    def ended(self, trial: TrialRecord) -> None:
        """See :class:`~adasearch.tuning.search_state.SearchListener`."""
