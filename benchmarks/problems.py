"""What whole searches side by side search: a study's space and training, and what came of it when."""

import os
import time
import uuid
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from optuna.distributions import BaseDistribution
from rich.console import Console

from adasearch.callbacks import no_progress
from adasearch.io.progress import say
from adasearch.profiles.modelled_time import SpeedCurve, modelled_trial
from adasearch.records import IntervalRecord, Params, TrialRecord, Value
from adasearch.store.trials import begin_trial
from adasearch.studies.request import Request, ResolvedStudy
from adasearch.studies.resolve import resolve
from adasearch.studies.settings import rungs_of
from adasearch.training.config import TrainConfig
from adasearch.training.task import TrialTask
from adasearch.tuning.optuna_source import initial_points
from adasearch.tuning.resources import WorkerGroupSettings

__all__ = ["Course", "End", "Problem", "Stretch", "problem_of", "settings_for"]


@dataclass(frozen=True)
class End:
    """A trial that ran to its end: when (:func:`time.monotonic`), its objectives, and what it trained.

    ``spent`` is the search's second objective of all trials until then, added up.
    """

    at: float
    val_error: float
    seconds: float
    trained_seconds: float
    spent: float


class Stretch(NamedTuple):
    """An interval of training: when its record came in, how many seconds it took, and how many examples."""

    at: float
    seconds: float
    examples: int

    def within(self, start: float, end: float) -> float:
        """Return the examples of the part that lies in a span.

        >>> Stretch(at=10.0, seconds=4.0, examples=100).within(0.0, 9.0)
        75.0
        """
        overlap = min(self.at, end) - max(self.at - self.seconds, start)
        return self.examples * max(0.0, overlap) / self.seconds


@dataclass
class Course:
    """What happened when in one search.

    ``firsts`` are the trials' first intervals, in order, and ``spent`` the second objective of each so far;
    ``trained`` are all intervals of adasearch's own searches.
    """

    firsts: dict[str, float] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    ends: list[End] = field(default_factory=list)
    trained: list[Stretch] = field(default_factory=list)

    @property
    def began(self) -> float:
        """When the first interval of all came in."""
        return min(self.firsts.values())

    def both(self, slots: int) -> float:
        """Return when the workers of so many slots had all delivered something."""
        return sorted(self.firsts.values())[slots - 1]

    def heard(self, trial_id: str, spent: float) -> None:
        """Note that a trial is under way, and what it spent so far."""
        self.firsts.setdefault(trial_id, time.monotonic())
        self.spent[trial_id] = spent

    def end(self, val_error: float, seconds: float, trained_seconds: float) -> None:
        """Note that a trial ran to its end."""
        spent = sum(self.spent.values())
        self.ends.append(End(time.monotonic(), val_error, seconds, trained_seconds, spent))


@dataclass(frozen=True)
class Problem:
    """A study's space and training; ``curve`` gives modelled seconds, None takes measured ones."""

    resolved: ResolvedStudy
    curve: SpeedCurve | None

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What is searched, by prefixed name."""
        return {
            **self.resolved.train_space.distributions(),
            **self.resolved.scheduler_space.distributions(),
        }

    @property
    def first(self) -> dict[str, Value]:
        """The default of what is searched: every search's first point."""
        return {**self.resolved.train_space.first(), **self.resolved.scheduler_space.first()}

    @property
    def fixed(self) -> Params:
        """What is not searched, by prefixed name."""
        return {**self.resolved.train_space.fixed(), **self.resolved.scheduler_space.fixed()}

    @property
    def firsts(self) -> list[Params]:
        """What adasearch tries before anything is drawn."""
        return initial_points(self.first, self.distributions, self.fixed)

    def task(self, number: int, params: Params, folder: str) -> TrialTask:
        """Return what a worker needs for a trial of these parameters."""
        study = self.resolved.record
        trial = begin_trial(
            study,
            phase="search",
            number=number,
            params={**self.fixed, **params},
            seed=study.seed + number,
            versions={},
        )
        return TrialTask(
            trial_id=f"{trial.trial_id}-{uuid.uuid4().hex[:6]}",
            config=replace(TrainConfig.of(study, trial), evaluate_at=rungs_of(study)),
            scheduler=study.scheduler,
            scheduler_fields=trial.fields_of("scheduler"),
            limits=study.limits,
            data=self.resolved.data,
            checkpoints=f"{folder}/checkpoints",
            checkpoint_every=0,
        )

    def spent(self, trial: TrialRecord, intervals: list[IntervalRecord]) -> float:
        """Return the second objective of what a trial did so far."""
        measured = sum(record.train_seconds for record in intervals)
        if self.curve is None:
            return measured
        return modelled_trial(trial, intervals, self.curve).modelled_seconds or measured


def problem_of(request: Request, curve: SpeedCurve | None) -> Problem:
    """Return a request's only study."""
    console = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
    (found,) = resolve(request, lambda name: None, partial(say, console), no_progress)
    clock = "measured" if curve is None else "modelled"
    second = "train_seconds" if curve is None else "modelled_seconds"
    return Problem(
        replace(found, record=replace(found.record, clock=clock, objectives=f"val_error,{second}")), curve
    )


def settings_for(folder: str) -> WorkerGroupSettings:
    """Return one worker with one CPU a trial."""
    return WorkerGroupSettings(
        workers=1,
        cpus_per_worker=1,
        gpus_per_worker=0.0,
        attempts=2,
        isolation="pooled",
        storage=f"{folder}/ray",
    )
