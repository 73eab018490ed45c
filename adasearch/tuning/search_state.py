"""The state of a search: what runs, what came in, what is on disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import pyarrow as pa

from adasearch.errors import AdasearchError, StoreError
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.runs.live_trial import LiveTrial
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store
from adasearch.store.trials import folder_of
from adasearch.studies.settings import rungs_of
from adasearch.training.task import Outcome, TrialTask
from adasearch.tuning.mailbox import Delivery
from adasearch.tuning.place import Place
from adasearch.tuning.stopper import Rungs
from adasearch.tuning.trial_source import TrialPlan, TrialSource

__all__ = ["Listeners", "SearchListener", "SearchState"]


class SearchListener(Protocol):
    """Hears what a search does, to show it."""

    def started(self, trial: TrialRecord) -> None:
        """A trial was handed to a slot."""

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None:
        """A trial finished an interval."""

    def interrupted(self) -> None:
        """The search was told to end; what runs is left for another time."""

    def restarted(self, trial: TrialRecord) -> None:
        """A trial goes on with new workers."""

    def noted(self, trial: TrialRecord, text: str) -> None:
        """A person should know something of a trial."""

    def ended(self, trial: TrialRecord) -> None:
        """A trial ended, and its row is on disk."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Several that hear the same, one after the other."""

    listeners: Sequence[SearchListener]

    def started(self, trial: TrialRecord) -> None:
        """See :class:`SearchListener`."""
        for each in self.listeners:
            each.started(trial)

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None:
        """See :class:`SearchListener`."""
        for each in self.listeners:
            each.progressed(trial, record)

    def interrupted(self) -> None:
        """See :class:`SearchListener`."""
        for each in self.listeners:
            each.interrupted()

    def restarted(self, trial: TrialRecord) -> None:
        """See :class:`SearchListener`."""
        for each in self.listeners:
            each.restarted(trial)

    def noted(self, trial: TrialRecord, text: str) -> None:
        """See :class:`SearchListener`."""
        for each in self.listeners:
            each.noted(trial, text)

    def ended(self, trial: TrialRecord) -> None:
        """See :class:`SearchListener`."""
        for each in self.listeners:
            each.ended(trial)


LOST = 2  # trials in a row that end a search if the reason lies outside of them


@dataclass(slots=True)
class _Running:
    """A trial that a slot has: where it comes from, and what its workers delivered."""

    trial: LiveTrial
    source: TrialSource
    outcome: Outcome | None = None
    group: object = None  # the placement group of its workers, as far as they were heard of


class SearchState:
    """Begins, follows and closes trials; every change of a trial goes to the store before it counts.

    Tune swallows exceptions of its callbacks, so an error of the store is kept in ``broken`` and ends the
    search from there.
    """

    def __init__(
        self, studies: Sequence[TrialSource], store: Store, listener: SearchListener, place: Place
    ) -> None:
        self._studies = studies
        self._place = place
        self._rungs = {study.plan.study.study: _refilled(study.plan) for study in studies}
        self._store = store
        self._listener = listener
        self._running: dict[str, _Running] = {}
        self._pass_sizes: dict[str, int] = {}  # of each study's first interval: examples per forward pass
        self._ended: dict[str, TrialRecord] = {}  # whose workers may not have heard of it yet
        self._lost = 0  # trials in a row that ended for no reason of their own
        self._left_open: list[str] = []
        self.broken: AdasearchError | None = None
        self.interrupted = False
        self._told = False  # that it was
        for study in studies:  # what a search that was killed could not remove
            over = [trial for trial in study.plan.stored if trial.status != "running"]
            self._ended |= {trial.trial_id: trial for trial in over}
        self.remove_checkpoints()

    def __getstate__(self) -> dict[str, object]:
        """Pickle as nothing: Tune pickles its hooks into snapshots that nobody restores."""
        return {}

    @property
    def over(self) -> bool:
        """Whether the search shall stop now, its running trials unfinished."""
        if not self.interrupted:
            self._keep(self._place.look)
        elif not self._told:
            self._told = True
            self._listener.interrupted()
        return self.interrupted or self.broken is not None

    def check_whole(self) -> None:
        """Check, at the end of a search, that nothing kept a trial from its own end.

        Raises:
            AdasearchError: something did.
        """
        if self.broken is None and self._left_open and not self.interrupted:
            count, last = len(self._left_open), self._left_open[-1]
            self.broken = StoreError(f"{count} trial(s) are left open, for no reason of theirs ({last})")
        if self.broken is not None:
            raise self.broken

    @property
    def left(self) -> bool:
        """Whether there is a trial still to begin, now or later."""
        return not self.over and any(study.left > 0 for study in self._studies)

    def begin(self, tune_id: str) -> LiveTrial | None:
        """Begin the next trial of the study that is furthest behind; return None if none can begin now."""
        waiting = [study for study in self._studies if study.ready]
        if not waiting or self.over:
            return None
        source = max(waiting, key=lambda study: study.left / study.plan.trials)
        record, plan = source.ask(), source.plan
        trial = LiveTrial(record, self._store, curve=plan.curve)
        for interval in plan.intervals.get(record.trial_id, ()):  # of a trial that goes on
            trial.intervals.append(interval)
            self._rungs[record.study].enter(record.trial_id, trial.intervals)
        self._running[tune_id] = _Running(trial, source)
        self._keep(lambda: self._store.write_trial(record))
        self._listener.started(record)
        return trial

    def task(self, tune_id: str) -> TrialTask | None:
        """Return what workers need to go on with a trial from its stored intervals; None if it ended."""
        if (running := self._running.get(tune_id)) is None:
            return None
        plan, trial = running.source.plan, running.trial
        known = plan.options.device_batch or self._pass_sizes.get(plan.study.study)
        task = trial.task(
            plan.study,
            plan.data,
            replace(plan.options, device_batch=known),
            evaluate_at=rungs_of(plan.study),
            test=trial.record.phase == "confirm",
        )
        return plan.told(task)

    def on_delivery(self, tune_id: str, delivery: Delivery) -> bool:
        """Take in what a trial delivered (twice does no harm); return whether the trial goes on."""
        running = self._running.get(tune_id)
        if running is None:
            return True
        self._keep(self._store.locks.check)
        self._note_workers(running, delivery)
        trial, goes_on = running.trial, True
        for delivered in delivery.records:
            if trial.add(delivered):
                self._note_pass_size(trial.record, delivered.device_batch)
                goes_on &= self._rungs[trial.record.study].enter(trial.record.trial_id, trial.intervals)
                self._listener.progressed(trial.record, trial.intervals[-1])
                if delivered.checkpoint_seconds is not None:
                    self._keep(trial.write_intervals)
        running.outcome = delivery.outcome
        # The untuned default constant is what every other trial is compared with: it runs to its end.
        default = trial.record.scheduler == BASELINE and trial.record.number == 0
        return goes_on or default or running.outcome is not None

    def _note_pass_size(self, trial: TrialRecord, device_batch: int) -> None:
        """Let a study's trials run in passes of one size, which BatchNorm sees; say if memory forbids it."""
        usual = self._pass_sizes.setdefault(trial.study, device_batch)
        if device_batch < usual:
            self._pass_sizes[trial.study] = device_batch
            self._listener.noted(
                trial, f"passes of {device_batch} examples, not {usual}, which did not fit into memory"
            )

    def _note_workers(self, running: _Running, delivery: Delivery) -> None:
        """Take in who trains a trial, and what they say of it."""
        trial = running.trial
        if delivery.group is not None:
            if running.group not in (None, delivery.group):
                self._listener.restarted(trial.record)
            running.group = delivery.group
        if delivery.hardware is not None:
            versions = {**trial.record.versions, "hardware": delivery.hardware}
            trial.record = replace(trial.record, versions=versions)
        for note in delivery.notes:
            self._listener.noted(trial.record, note)

    def close(self, tune_id: str, lost: str | None = None, *, for_memory: bool = False) -> None:
        """Close a trial: as its outcome says, else as stopped early.

        It stays open, for another search to go on with, where the reason lies outside of it: a checkpoint
        could not be written, its slot's own process was ``lost``, in which no code of a trial runs, or its
        workers were while something was wrong with the place. Two in a row end the search. A slot that Ray
        killed ``for_memory`` is the trial's own: its workers took it.
        """
        running = self._running.pop(tune_id, None)
        if running is None:
            return
        outcome = running.outcome or Outcome(status="pruned")
        if running.outcome is None and lost is not None:
            outside = None if for_memory else lost
            outcome = Outcome(status="failed", error=lost, cause="lost", outside=outside)
        if outcome.unwritten is not None:
            self.broken = self.broken or StoreError(outcome.unwritten)
            return
        outside = (self._place.fault() if outcome.cause == "lost" else None) or outcome.outside
        if outside is not None:
            self._leave_open(running.trial.record, outside)
            return
        self._lost = 0
        self._keep(partial(self._end, running, outcome))

    def _leave_open(self, trial: TrialRecord, reason: str) -> None:
        self._lost += 1
        self._left_open.append(reason)
        self._listener.noted(trial, f"left open, for no reason of its own: {reason}")
        self._keep(self._place.check)  # which says it best
        if self._lost >= LOST and self.broken is None:
            self.broken = StoreError(
                f"{self._lost} trials in a row were lost for no reason of theirs ({reason}); they stay open"
            )

    def _end(self, running: _Running, outcome: Outcome) -> None:
        """Keep a trial as it ended; where that fails it goes on from its checkpoint another time."""
        closed = running.source.tell(running.trial.close(outcome))
        running.trial.keep(closed)
        if closed.status != "running":
            self._ended[closed.trial_id] = closed
        self._listener.ended(closed)
        self.remove_checkpoints()

    def remove_checkpoints(self) -> None:
        """Remove the checkpoints of ended trials: a worker that was stopped may write one after its end."""
        for folder in {folder_of(trial) for trial in self._ended.values()}:
            for trial_id in self._store.checkpointed(folder):
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
            try:
                self._place.check()
            except StoreError as why:  # the folder vanished while something was written
                self.broken = why


def _refilled(plan: TrialPlan) -> Rungs:
    """Return a study's rungs with its finished trials in them, as they entered when they ran."""
    rungs = Rungs(plan.study)
    recalled = plan.recall()
    for trial in plan.stored:
        if trial.phase == "search" and trial.status != "running" and trial.trial_id in recalled:
            rungs.recall(trial.trial_id, recalled[trial.trial_id])
    del recalled
    pa.default_memory_pool().release_unused()  # with 10,000 trials a tenth of a gigabyte
    return rungs
