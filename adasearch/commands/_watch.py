"""``adasearch watch``: what runs in a results folder now, from any terminal that reaches it.

The folder is read and nothing else: rows of trials are written as they begin and end, their intervals with
each checkpoint and at the end, so that a running trial is shown as it was then.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from adasearch import counts
from adasearch.errors import AdasearchError, unknown
from adasearch.io.progress import duration, say
from adasearch.io.text import printable
from adasearch.objective import ERROR, named, shown
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.store.store import Store

__all__ = ["Glance", "RunningTrial", "StudyState", "watch"]

SECONDS = 3.0  # between two looks
TRAIN = "train"  # the folder of runs outside a search


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTrial:
    """A trial that has not ended, as it is stored.

    Args:
        trial: its row.
        intervals: that are stored of it.
        study: its study, None where that is not stored.
        held: whether a process holds it now; None where that cannot be told.
    """

    trial: TrialRecord
    intervals: Sequence[IntervalRecord]
    study: StudyRecord | None
    held: bool | None

    @property
    def sequence_length(self) -> int | None:
        """That of its examples, None where they are no sequences, or where that is not known."""
        return None if self.study is None else self.study.sequence_length

    @property
    def share(self) -> float | None:
        """How much of it is stored, in [0, 1]."""
        if not self.intervals or self.study is None:
            return None
        return min(1.0, self.intervals[-1].signals.examples_seen / self.study.budget)

    @property
    def seconds_left(self) -> float | None:
        """Training and evaluation that are left from the last stored interval on, at the pace so far."""
        if not self.share:
            return None
        spent = sum(each.train_seconds + each.eval_seconds for each in self.intervals)
        return spent / self.share * (1 - self.share)

    @property
    def val_error(self) -> float | None:
        """The last value of the objective that is stored."""
        return next((each.val_error for each in reversed(self.intervals) if each.val_error is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyState:
    """A study as it is stored: the trials that have not ended, how many ended how, and the best one."""

    study: str
    running: Sequence[RunningTrial]
    ended: Counter[str]
    best: TrialRecord | None


class Glance:
    """Looks at a results folder again and again; what did not change is not read again.

    Raises:
        InputError: an unknown study; none stands for all, those that are yet to come, too.
    """

    def __init__(self, store: Store, studies: Sequence[str] = ()) -> None:
        self._store, self._wanted = store, studies
        self._trials: dict[str, tuple[object, list[TrialRecord]]] = {}
        self._studies: dict[str, StudyRecord] = {}
        known = [study.study for study in store.studies()]
        for name in studies:
            if name not in (*known, TRAIN):
                raise unknown("study", name, known)

    def look(self) -> list[StudyState]:
        """Return what is stored now, studies with running trials first.

        Raises:
            StoreError: the folder cannot be read.
        """
        for study in self._store.studies():
            self._studies[study.study] = study
        folders = [*self._studies, TRAIN]
        found = [self._state(name) for name in folders if not self._wanted or name in self._wanted]
        told = [state for state in found if state.running or state.ended]
        return sorted(told, key=lambda state: not state.running)

    def _state(self, folder: str) -> StudyState:
        trials = self._rows(folder)
        open_ = [trial for trial in trials if trial.status == "running"]
        stored = self._store.intervals(folder, [trial.trial_id for trial in open_]) if open_ else {}
        complete = [each for each in trials if each.status == "complete" and each.phase == "search"]
        return StudyState(
            study=folder,
            running=[
                RunningTrial(
                    trial=trial,
                    intervals=stored.get(trial.trial_id, []),
                    study=self._study(folder, trial),
                    held=self._store.locks.held(_lock_of(folder, trial)),
                )
                for trial in open_
            ],
            ended=Counter(trial.status for trial in trials if trial.status != "running"),
            best=min(complete, key=lambda trial: trial.known_error, default=None),
        )

    def _rows(self, folder: str) -> list[TrialRecord]:
        stamp = self._store.stamp(folder)
        if folder not in self._trials or self._trials[folder][0] != stamp:
            self._trials[folder] = (stamp, self._store.trials(folder))
        return self._trials[folder][1]

    def _study(self, folder: str, trial: TrialRecord) -> StudyRecord | None:
        return self._store.train_study(trial) if folder == TRAIN else self._studies.get(trial.study)


def _lock_of(folder: str, trial: TrialRecord) -> str:
    """Return what a trial's driver holds: its study, or in one process the trial."""
    return folder if trial.phase in ("search", "confirm") else f"{folder}/checkpoints/{trial.trial_id}"


def watch(
    store: Store,
    *,
    console: Console,
    studies: Sequence[str] = (),
    once: bool = False,
    every: float = SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show what runs in a results folder until Ctrl-C, or once; a terminal has a table, others get lines.

    Raises:
        InputError: an unknown study.
        StoreError: the folder cannot be read at the first look; later ones are told and tried again.
    """
    glance = Glance(store, studies)
    found = glance.look()
    if not console.is_terminal:
        _tell(glance, found, console, None if once else lambda: sleep(every))
    elif once:
        console.print(_picture(found))
    else:
        with Live(_picture(found), console=console, auto_refresh=False, transient=False) as live:
            while True:
                sleep(every)
                live.update(_again(glance), refresh=True)


def _again(glance: Glance) -> RenderableType:
    try:
        return _picture(glance.look())
    except AdasearchError as error:
        return Text(printable(f"cannot be read now: {error}"))


def _tell(glance: Glance, found: list[StudyState], console: Console, wait: Callable[[], None] | None) -> None:
    """Print a line for whatever is new."""
    told: set[str] = set()
    lines = list(_lines(found))
    while True:
        for line in lines:
            if line not in told:
                say(console, line)
        told = set(lines)
        if wait is None:
            return
        wait()
        try:
            lines = list(_lines(glance.look()))
        except AdasearchError as error:
            lines = [*told, f"cannot be read now: {error}"]


def _lines(states: Sequence[StudyState]) -> Iterator[str]:
    if not states:
        yield "no trial is stored yet"
    for state in states:
        yield f"{state.study}: {', '.join(_cells(state))}"
        for running in state.running:
            yield "  " + ", ".join([running.trial.trial_id, *filter(None, _words(running))])


def _words(running: RunningTrial) -> Iterator[str]:
    """Yield what a line says of a running trial."""
    yield "" if running.held else _state_of(running)
    if not running.intervals:
        yield "no interval is stored yet"
        return
    last = running.intervals[-1]
    yield _share(running)
    yield f"batch {counts.told(last.decision.batch_size, running.sequence_length)}"
    yield f"train loss {last.signals.train_loss:.3f}"
    if running.val_error is not None:
        yield f"{named(running.trial.objective)} {shown(running.val_error, running.trial.objective)}"
    yield _left(running)


def _cells(state: StudyState) -> Iterator[str]:
    """Yield how many trials of a study run and ended, and its best."""
    going = sum(each.held is not False for each in state.running)
    for count, what in ((going, "running"), (len(state.running) - going, "interrupted")):
        if count:
            yield f"{count} {what}"
    for status in ("complete", "pruned", "failed"):
        if state.ended[status]:
            yield f"{state.ended[status]} {status}"
    if state.best is not None and state.best.val_error is not None:
        objective = state.best.objective
        yield f"best {named(objective)} {shown(state.best.val_error, objective)} ({state.best.trial_id})"


def _picture(states: Sequence[StudyState]) -> RenderableType:
    """Return the tables for a terminal."""
    if not states:
        return Text("no trial is stored yet")
    objectives = {each.trial.objective for state in states for each in state.running} or {ERROR}
    error = named(objectives.pop()) if len(objectives) == 1 else "objective"
    table = Table(box=None, padding=(0, 2, 0, 0))
    batch = counts.headed("batch", [each.sequence_length for state in states for each in state.running])
    for name in ("running", "stored", batch, "lr", "train loss", error, "left"):
        table.add_column(name, justify="left" if name == "running" else "right")
    for running in (each for state in states for each in state.running):
        last = running.intervals[-1] if running.intervals else None
        table.add_row(
            Text(printable(running.trial.trial_id)),
            _share(running) or "-",
            "-" if last is None else counts.size(last.decision.batch_size, running.sequence_length),
            "-" if last is None else f"{last.signals.lr:.2e}",
            "-" if last is None else f"{last.signals.train_loss:.3f}",
            "-" if running.val_error is None else shown(running.val_error, running.trial.objective),
            (_left(running) or "-") if running.held else _state_of(running),
        )
    lines = [Text(printable(f"{state.study}: {', '.join(_cells(state))}")) for state in states]
    return Group(table, Text(), *lines) if table.rows else Group(Text("nothing runs"), *lines)


def _share(running: RunningTrial) -> str:
    return "" if running.share is None else f"{running.share:.0%}"


def _left(running: RunningTrial) -> str:
    """Return how long a trial trains on, which of one that nobody holds is not known."""
    if running.seconds_left is None or running.held is False:
        return ""
    return f"about {duration(running.seconds_left)} left"


def _state_of(running: RunningTrial) -> str:
    return "interrupted" if running.held is False else "perhaps running"
