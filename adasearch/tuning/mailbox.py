"""The actor between a slot's trial and its workers: tasks one way, records the other."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from adasearch.records import IntervalRecord
from adasearch.training.task import Outcome, TrialTask

__all__ = ["Delivery", "Mailbox", "Message"]

Message = tuple[Literal["run"], int, TrialTask] | tuple[Literal["idle"]] | tuple[Literal["close"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Interval records since the last delivery and, with the last of them, the outcome.

    ``notes`` are what a person should know of it. ``group`` is the placement group of the workers that came
    last, ``hardware`` the name of the device that the first of them trains on; None before the first.
    """

    records: tuple[IntervalRecord, ...]
    outcome: Outcome | None
    notes: tuple[str, ...] = ()
    group: object = None
    hardware: str | None = None


class Mailbox:
    """Holds one task at a time; only rank 0 of the workers talks to it.

    A worker that asks for a task while one is under way was restarted: the task is handed out again, up to
    ``attempts`` times in all, with the number of records that came in before. The worker goes on from its
    last checkpoint that is not ahead of them; a record that comes in again takes the place of the former
    one and of all after it.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._sequence = 0
        self._task: TrialTask | None = None
        self._handed_out = 0
        self._first_failure: Outcome | None = None
        self._notes: list[str] = []
        self._records: list[IntervalRecord] = []
        self._received = 0
        self._outcome: Outcome | None = None
        self._closed = False
        self._group: object = None
        self._hardware: str | None = None
        self._changed = asyncio.Condition()

    async def submit(self, task: TrialTask) -> None:
        """Put a task in place of the former one, which its workers then leave."""
        async with self._changed:
            self._sequence += 1
            self._task = task
            self._handed_out = 0
            self._first_failure = None
            self._notes = []
            self._records = []
            self._received = task.stored
            self._outcome = None
            self._changed.notify_all()

    async def close(self) -> None:
        """Tell the workers to return."""
        async with self._changed:
            self._closed = True
            self._task = None
            self._changed.notify_all()

    async def join(self, group: object, hardware: str) -> None:
        """Hear from new workers which placement group they run in, and on what."""
        self._group, self._hardware = group, hardware

    async def next_task(self, wait_seconds: float) -> Message:
        """Return a task for the workers, waiting for one so long."""
        async with self._changed:
            if self._task is not None and self._handed_out >= self._attempts:
                self._finish(self._first_failure or self._died())
            await self._wait(lambda: self._closed or self._task is not None, wait_seconds)
            if self._closed:
                return ("close",)
            if self._task is None:
                return ("idle",)
            self._handed_out += 1
            return ("run", self._sequence, replace(self._task, stored=self._received))

    async def put(self, sequence: int, records: Sequence[IntervalRecord]) -> bool:
        """Take records; return whether the workers shall go on with this task."""
        async with self._changed:
            for record in records:
                if not self._runs(sequence):
                    return False
                number = record.signals.interval
                assert number <= self._received, f"interval {number} came, but {self._received} is the next"
                self._received = number + 1
                self._records.append(record)
                assert self._task is not None, "it runs"
                if self._received == self._task.until:
                    self._finish(Outcome(status="complete"))
            self._changed.notify_all()
            return self._runs(sequence)

    async def over(self, sequence: int, wait_seconds: float) -> bool:
        """Return whether workers shall leave a task, waiting for that so long."""
        async with self._changed:
            await self._wait(lambda: not self._runs(sequence), wait_seconds)
            return not self._runs(sequence)

    def _runs(self, sequence: int) -> bool:
        return not self._closed and sequence == self._sequence and self._task is not None

    async def end(self, sequence: int, outcome: Outcome) -> None:
        """Take the outcome of a task."""
        async with self._changed:
            if sequence == self._sequence and self._task is not None:
                self._finish(outcome)

    async def note_failure(self, sequence: int, outcome: Outcome) -> None:
        """Remember why a worker is about to go down; the first reason over all attempts is told."""
        if sequence == self._sequence and self._first_failure is None:
            self._first_failure = outcome

    async def note(self, sequence: int, text: str) -> None:
        """Take what a person should know of a task."""
        if sequence == self._sequence:
            self._notes.append(text)

    async def shrink(self, sequence: int, device_batch: int) -> None:
        """Let the next attempt make smaller passes; one that ran out of memory is no attempt of the trial.

        Every worker may ask for it; passes cannot be halved for ever, so neither can this.
        """
        if sequence != self._sequence or self._task is None:
            return
        former = self._task.config.device_batch
        if former is None or device_batch < former:
            self._task = replace(self._task, config=replace(self._task.config, device_batch=device_batch))
            self._handed_out -= 1

    async def take(self, wait_seconds: float) -> Delivery:
        """Return what has come in since the last call, waiting for something so long."""
        async with self._changed:
            await self._wait(lambda: bool(self._records) or self._outcome is not None, wait_seconds)
            delivery = Delivery(
                records=tuple(self._records),
                outcome=self._outcome,
                notes=tuple(self._notes),
                group=self._group,
                hardware=self._hardware,
            )
            self._records, self._notes = [], []
            return delivery

    async def attempts_made(self) -> int:
        """Return how often the present task was handed out."""
        return self._handed_out

    def _finish(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._task = None
        self._changed.notify_all()

    def _died(self) -> Outcome:
        error = f"its worker died in each of {self._attempts} attempts"
        return Outcome(status="failed", error=error, cause="lost")

    async def _wait(self, ready: Callable[[], bool], seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait_for(ready), seconds)
