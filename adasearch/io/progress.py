"""What a person sees while a search runs: a live table on a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from adasearch import callbacks, counts
from adasearch.io.text import counted, printable
from adasearch.objective import brief, headed, named
from adasearch.records import IntervalRecord, TrialRecord

__all__ = [
    "ENDING",
    "START_SECONDS",
    "Goal",
    "SearchDisplay",
    "StepDisplay",
    "duration",
    "room",
    "say",
    "steps",
]

STEP_SECONDS = 1.0  # a step that is over sooner needs no display
AGAIN_SECONDS = 30.0  # between two lines of a step that takes long, where there is no terminal
ENDING = "interrupted: workers are ending, which takes some seconds; a second Ctrl-C does not wait"
START_SECONDS = 40.0  # Ray and the first workers, on a machine of 2 cores; more slots start together


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A study of a search: examples per trial, trials wanted and finished, and its best error so far.

    ``sequence_length`` is that of its examples, None where they are no sequences.
    """

    study: str
    budget: int
    trials: int
    finished: int
    best: float | None
    sequence_length: int | None = None


@dataclass(slots=True)
class _Running:
    trial: TrialRecord
    last: IntervalRecord | None = None
    val_error: float | None = None


class SearchDisplay:
    """Shows running trials, the best error per study so far, and the time left."""

    def __init__(
        self, console: Console, goals: Sequence[Goal], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._now = now
        self._budgets = {goal.study: goal.budget for goal in goals}
        self._lengths = {goal.study: goal.sequence_length for goal in goals}
        self._best = {goal.study: goal.best for goal in goals if goal.best is not None}
        finished = sum(min(goal.finished, goal.trials) for goal in goals)
        self._outstanding = sum(goal.trials for goal in goals) - finished
        self._ended = 0
        self._running: dict[str, _Running] = {}
        self._opened = self._now()
        self._began: float | None = None
        self._next = math.inf  # when lines tell of the time left, where there is no terminal
        self._bar = Progress(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
        )
        self._task = self._bar.add_task(
            "", total=finished + self._outstanding, completed=finished, left="workers are starting"
        )
        self._live = Live(console=console, get_renderable=self.__rich__, refresh_per_second=4, transient=True)

    def __enter__(self) -> "SearchDisplay":
        if self._console.is_terminal:
            self._live.start()
        else:
            self._console.print(f"workers are starting; {self._outstanding} trials to run")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def started(self, trial: TrialRecord) -> None:
        """Add a running trial."""
        self._running[trial.trial_id] = _Running(trial)

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None:
        """Take in an interval of a running trial."""
        if self._began is None:
            self._began = self._now()
            if not self._console.is_terminal:
                self._console.print("training")
                self._next = self._began + AGAIN_SECONDS
        running = self._running[trial.trial_id]
        running.last = record
        running.val_error = running.val_error if record.val_error is None else record.val_error
        self._bar.update(self._task, left=self._left())
        now = self._now()
        if now >= self._next and not self._console.is_terminal:
            self._next = now + max(AGAIN_SECONDS, (now - self._began) / 10)  # a long search has few lines
            say(self._console, self._left())

    def interrupted(self) -> None:
        """Say that the end takes a moment."""
        say(self._console, ENDING)

    def restarted(self, trial: TrialRecord) -> None:
        """Say that a trial goes on although its workers were lost."""
        say(self._console, f"{trial.trial_id}: its workers ended; it goes on with new ones")

    def noted(self, trial: TrialRecord, text: str) -> None:
        """Say what a person should know of a trial."""
        say(self._console, f"{trial.trial_id}: {text}")

    def ended(self, trial: TrialRecord) -> None:
        """Take a trial off, and say how it ended."""
        self._running.pop(trial.trial_id, None)
        self._ended += 1
        if trial.status == "complete" and trial.val_error is not None:
            self._best[trial.study] = min(trial.val_error, self._best.get(trial.study, math.inf))
        self._bar.update(self._task, advance=1, left=self._left())
        done = self._bar.tasks[0]
        say(
            self._console,
            f"[{done.completed:.0f}/{done.total:.0f}] {_line(trial, self._lengths[trial.study])}",
        )

    def _left(self) -> str:
        if self._began is None:
            waited = duration(self._now() - self._opened)
            return f"workers are starting, {waited} so far, usually {duration(START_SECONDS)} or less"
        done = self._ended + sum(self._share(running) for running in self._running.values())
        if done <= 0:
            return "training"
        spent = self._now() - self._began
        return f"about {duration(spent / done * (self._outstanding - done))} left"

    def _share(self, running: _Running) -> float:
        if running.last is None:
            return 0.0
        return min(1.0, running.last.signals.examples_seen / self._budgets[running.trial.study])

    def __rich__(self) -> RenderableType:
        """Return the table of what runs, and the bar of the search."""
        if self._began is None:
            self._bar.update(self._task, left=self._left())
        table = Table(box=None, padding=(0, 2, 0, 0))
        word = headed(running.trial.objective for running in self._running.values())
        batch = counts.headed("batch", self._lengths.values())
        for name in ("running", "done", batch, "train loss", word, "best of study"):
            table.add_column(name, justify="left" if name == "running" else "right")
        for running in list(self._running.values()):
            last = running.last
            best = self._best.get(running.trial.study)
            table.add_row(
                Text(running.trial.trial_id),  # no markup
                f"{self._share(running):.0%}",
                "-"
                if last is None
                else counts.size(last.decision.batch_size, self._lengths[running.trial.study]),
                "-" if last is None else f"{last.signals.train_loss:.3f}",
                "-" if running.val_error is None else brief(running.val_error, running.trial.objective),
                "-" if best is None else brief(best, running.trial.objective),
            )
        return Group(table, self._bar)


def room(console: Console, wide: bool) -> int | None:
    """Return the room for tables in characters: a terminal's, unless they are to be wide; None for any."""
    return console.width if console.is_terminal and not wide else None


def say(console: Console, text: str) -> None:
    """Print lines as they are: names may look like rich's markup; what steers a terminal is spelt out."""
    lines = "\n".join(map(printable, text.split("\n")))
    console.print(lines, markup=False, emoji=False, highlight=False, soft_wrap=True)


class StepDisplay:
    """A progress callback: a bar on a terminal; elsewhere a line now and then, if it takes a while."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next: dict[str, float] = {}  # when each step is told of next
        self._shown: dict[str, TaskID] = {}
        self._bar = Progress(console=console, transient=True)

    def __enter__(self) -> "StepDisplay":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar.tasks:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done of the step ``what``; steps may follow each other."""
        now = time.monotonic()
        due = self._next.setdefault(what, now + STEP_SECONDS)
        if self._console.is_terminal:
            if what not in self._shown:
                self._bar.start()
                self._shown[what] = self._bar.add_task(escape(what), total=total)
            self._bar.update(self._shown[what], completed=done, total=total, visible=done < total)
        elif done < total and now > due:
            self._next[what] = now + AGAIN_SECONDS
            say(self._console, f"{what}: {done} of {total} so far")


def steps(console: Console | None) -> AbstractContextManager[callbacks.Progress]:
    """Return what shows the steps of some work on a console, if there is one."""
    return nullcontext(callbacks.no_progress) if console is None else StepDisplay(console)


def _line(trial: TrialRecord, sequence_length: int | None) -> str:
    parts = [f"{trial.trial_id} {trial.status}"]
    if trial.error:
        parts.append(trial.error)
    if trial.val_error is not None:
        parts.append(f"{named(trial.objective)} {brief(trial.val_error, trial.objective)}")
    if trial.train_seconds is not None:
        parts.append(f"{trial.train_seconds:.1f} s")
    if trial.adaptations and trial.final_batch_size is not None:
        last = counts.told(trial.final_batch_size, sequence_length)
        parts.append(f"{counted(trial.adaptations, 'change')} to batch {last}")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a duration as a person would say it.

    >>> duration(42), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
