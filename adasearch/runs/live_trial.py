"""A trial under way: its row, its intervals so far, and what is kept of it when."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

from adasearch.data.spec import DataSpec
from adasearch.errors import TRACEBACK
from adasearch.profiles.modelled_time import SpeedCurve, modelled
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.runtime import RunOptions
from adasearch.store.store import Store
from adasearch.store.trials import close_trial
from adasearch.training.config import TrainConfig
from adasearch.training.task import FunctionTask, Outcome, TrialTask

__all__ = ["LiveTrial"]


class LiveTrial:
    """A running trial and its intervals so far, those that were stored before first.

    Attributes:
        record: its row.
        intervals: in order, with modelled seconds where there is a speed profile.
    """

    def __init__(
        self,
        record: TrialRecord,
        store: Store,
        *,
        intervals: Sequence[IntervalRecord] = (),
        curve: SpeedCurve | None = None,
    ) -> None:
        self.record = record
        self.intervals = list(intervals)
        self._store = store
        self._curve = curve

    def task(
        self,
        study: StudyRecord,
        data: DataSpec,
        options: RunOptions,
        *,
        evaluate_at: tuple[int, ...] = (),
        test: bool = False,
    ) -> TrialTask:
        """Return what is needed to train the trial from here on, in this process or on workers.

        ``evaluate_at`` are further marks in examples, ``test`` asks for the test split at the end.
        """
        config = TrainConfig.of(study, self.record)
        return TrialTask(
            trial_id=self.record.trial_id,
            config=replace(
                config,
                evaluate_at=evaluate_at,
                device_batch=options.device_batch,
                memory_limit=options.memory_limit,
                test=test,
            ),
            scheduler=self.record.scheduler,
            scheduler_fields=self.record.fields_of("scheduler"),
            limits=study.limits,
            data=data,
            checkpoints=self._store.checkpoint_folder(self.record),
            checkpoint_every=options.checkpoint_every,
            stored=len(self.intervals),
            function=None if study.task != "own" else self._function(study, options),
        )

    def _function(self, study: StudyRecord, options: RunOptions) -> FunctionTask:
        return FunctionTask(
            params=self.record.fields_of("train"),
            epochs=study.budget / study.train_examples,
            examples=study.train_examples,
            objective=study.objective,
            phase=self.record.phase,
            role=self.record.role,
            code=study.code,
            silence_seconds=60 * options.silence_minutes,
        )

    def add(self, delivered: IntervalRecord) -> bool:
        """Add an interval; return False if it is known already.

        One of a number that is known comes from a worker that went on from a checkpoint: it and what follows
        take the place of the former ones.
        """
        number = delivered.signals.interval
        former = self.intervals[number - 1] if number else None
        record = delivered if self._curve is None else modelled(delivered, former, self._curve)
        if number < len(self.intervals) and self.intervals[number] == record:
            return False
        del self.intervals[number:]
        self.intervals.append(record)
        return True

    def write_intervals(self) -> None:
        """Write the intervals, if there are any."""
        if self.intervals:
            self._store.write_intervals(self.record, self.intervals)

    def close(self, outcome: Outcome) -> TrialRecord:
        """Return the trial's row as it ended; a traceback is written beside it, and its error says where."""
        error = outcome.error
        if outcome.traceback is not None:
            error = f"{error}{TRACEBACK}{self._store.write_traceback(self.record, outcome.traceback)}"
        return close_trial(
            replace(self.record, cause=outcome.cause),
            self.intervals,
            status=outcome.status,
            error=error,
            ended_at=datetime.now(timezone.utc),
            peak_memory_bytes=outcome.peak_memory_bytes,
        )

    def keep(self, closed: TrialRecord) -> None:
        """Write the trial as it ended, its row last: where that says so, the intervals are there."""
        self.record = closed
        self.write_intervals()
        self._store.write_trial(closed)
