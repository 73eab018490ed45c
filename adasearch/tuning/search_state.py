"""The books of a search: what runs, what came in, what is on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import Protocol

import pyarrow as pa

from adasearch.errors import AdasearchError, StoreError
from adasearch.profiles.modelled_time import modelled
from adasearch.records import IntervalRecord, Status, TrialRecord
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store
from adasearch.store.trials import close_trial
from adasearch.studies.spans import rungs_of
from adasearch.training.config import TrainConfig
from adasearch.tuning.messages import Delivery, Outcome, TrialTask
from adasearch.tuning.stopper import Rungs
from adasearch.tuning.trial_source import Plan, TrialSource

__all__ = ["Ledger", "LiveTrial", "SearchListener"]


class SearchListener(Protocol):
    """Hears what a search does, to show it."""

    def started(self, trial: TrialRecord) -> None:
        """A trial was handed to a slot."""

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None:
        """A trial finished an interval."""

    def restarted(self, trial: TrialRecord) -> None:
        """A trial goes on with new workers."""

    def ended(self, trial: TrialRecord) -> None:
        """A trial ended, and its row is on disk."""


@dataclass(slots=True)
class LiveTrial:
    """A running trial and its intervals so far."""

    record: TrialRecord
    proposals: TrialSource
    intervals: list[IntervalRecord] = field(default_factory=list)
    outcome: Outcome | None = None
    group: object = None  # the placement group of its workers, as far as they were heard of


class Ledger:
    """Begins, follows and closes trials; every change of a trial goes to the store before it counts.

    Tune swallows exceptions of its callbacks, so an error of the store is kept in ``broken`` and ends the
    search from there.
    """

    def __init__(self, studies: Sequence[TrialSource], store: Store, listener: SearchListener) -> None:
        self._studies = studies
        self._rungs = {study.plan.study.study: _refilled(study.plan) for study in studies}
        self._store = store
        self._listener = listener
        self._live: dict[str, LiveTrial] = {}
        self._ended: dict[str, TrialRecord] = {}  # whose workers may not have heard of it yet
        self.broken: AdasearchError | None = None
        self.interrupted = False
        for study in studies:  # what a search that was killed could not remove
            over = [trial for trial in study.plan.stored if trial.status != "running"]
            self._ended |= {trial.trial_id: trial for trial in over}
        self.sweep()

    def __getstate__(self) -> dict[str, object]:
        """Pickle as empty books: Tune pickles its hooks into snapshots that nobody restores."""
        return {}

    @property
    def over(self) -> bool:
        """Whether the search shall stop now, its running trials unfinished."""
        return self.interrupted or self.broken is not None

    def begin(self, tune_id: str) -> LiveTrial | None:
        """Begin the next trial of the study that is furthest behind, or return None if all are done."""
        waiting = [study for study in self._studies if study.left > 0]
        if not waiting or self.over:
            return None
        proposals = max(waiting, key=lambda study: study.left / study.plan.trials)
        live = LiveTrial(record=proposals.ask(), proposals=proposals)
        for record in proposals.plan.intervals.get(live.record.trial_id, ()):  # of a trial that goes on
            live.intervals.append(record)
            self._rungs[live.record.study].enter(live.record.trial_id, live.intervals)
        self._live[tune_id] = live
        self._keep(lambda: self._store.write_trial(live.record))
        self._listener.started(live.record)
        return live

    def task(self, live: LiveTrial) -> TrialTask:
        """Return what a worker needs to train a trial."""
        plan, trial = live.proposals.plan, live.record
        return TrialTask(
            trial_id=trial.trial_id,
            config=TrainConfig.of(
                plan.study,
                trial,
                evaluate_at=rungs_of(plan.study),
                device_batch=plan.options.device_batch,
                memory_limit=plan.options.memory_limit,
                test=trial.phase == "confirm",
            ),
            scheduler=trial.scheduler,
            scheduler_fields=trial.fields_of("scheduler"),
            limits=plan.study.limits,
            data=plan.data,
            checkpoints=self._store.checkpoint_folder(trial),
            checkpoint_every=plan.options.checkpoint_every,
            stored=len(live.intervals),
        )

    def task_again(self, tune_id: str) -> TrialTask | None:
        """Return what a worker needs to go on with a trial that lost its process; None if it ended before."""
        live = self._live.get(tune_id)
        return None if live is None else self.task(live)

    def absorb(self, tune_id: str, delivery: Delivery) -> bool:
        """Take in what a trial delivered (twice does no harm); return whether the trial goes on.

        A record of an interval that is known comes from a worker that went on from a checkpoint: it and
        what follows take the place of the former ones.
        """
        live = self._live.get(tune_id)
        if live is None:
            return True
        self._keep(self._store.locks.check)
        if delivery.group is not None:
            if live.group not in (None, delivery.group):
                self._listener.restarted(live.record)
            live.group = delivery.group
        if delivery.hardware is not None:
            versions = {**live.record.versions, "hardware": delivery.hardware}
            live.record = replace(live.record, versions=versions)
        goes_on = True
        curve = live.proposals.plan.curve
        for delivered in delivery.records:
            number = delivered.signals.interval
            former = live.intervals[number - 1] if number else None
            record = delivered if curve is None else modelled(delivered, former, curve)
            if number < len(live.intervals) and live.intervals[number] == record:
                continue
            del live.intervals[number:]
            live.intervals.append(record)
            goes_on &= self._rungs[live.record.study].enter(live.record.trial_id, live.intervals)
            self._listener.progressed(live.record, record)
            if record.checkpoint_seconds is not None:
                self._keep(partial(self._store.write_intervals, live.record, live.intervals))
        live.outcome = delivery.outcome
        # The untuned default constant is what every other trial is compared with: it runs to its end.
        default = live.record.scheduler == BASELINE and live.record.number == 0
        return goes_on or default or live.outcome is not None

    def close(self, tune_id: str, error: str | None = None) -> None:
        """Close a trial: as its outcome says, as failed with ``error``, or else as stopped early."""
        live = self._live.pop(tune_id, None)
        if live is None:
            return
        status: Status = "failed" if error else "pruned"
        peak = None
        if live.outcome is not None:
            if live.outcome.unwritten is not None:  # the store's fault, not the trial's: it stays running
                self.broken = self.broken or StoreError(live.outcome.unwritten)
                return
            status, error, peak = live.outcome.status, live.outcome.error, live.outcome.peak_memory_bytes
        closed = close_trial(
            live.record,
            live.intervals,
            status=status,
            error=error,
            ended_at=datetime.now(timezone.utc),
            peak_memory_bytes=peak,
        )
        closed = live.proposals.tell(closed)

        def write() -> None:
            # The trial's row last: where it says that the trial ended, the intervals are there.
            if live.intervals:
                self._store.write_intervals(closed, live.intervals)
            self._store.write_trial(closed)

        self._keep(write)
        if self.broken is None:  # else it goes on from its checkpoint another time
            self._ended[closed.trial_id] = closed
            self._keep(self.sweep)
            self._listener.ended(closed)

    def sweep(self) -> None:
        """Remove the checkpoints of ended trials: a worker that was stopped may write one after its end."""
        for study in {source.plan.study.study for source in self._studies}:
            for trial_id in self._store.checkpointed(study):
                if trial_id in self._ended:
                    self._store.remove_checkpoints(self._ended[trial_id])

    def _keep(self, write: Callable[[], None]) -> None:
        """Write, unless that failed before: each write that fails may take a minute."""
        if self.broken is not None:
            return
        try:
            write()
        except AdasearchError as error:
            self.broken = error


def _refilled(plan: Plan) -> Rungs:
    """Return a study's rungs with its finished trials in them, as they entered when they ran."""
    rungs = Rungs(plan.study)
    recalled = plan.recall()
    for trial in plan.stored:
        if trial.phase == "search" and trial.status != "running" and trial.trial_id in recalled:
            rungs.recall(trial.trial_id, recalled[trial.trial_id])
    del recalled
    pa.default_memory_pool().release_unused()  # with 10,000 trials a tenth of a gigabyte
    return rungs
