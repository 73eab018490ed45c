"""Advice on the constant batch from the constant runs that a results folder holds, by a fit to them.

What is fitted, and what that assumes, is told in :mod:`adasearch.analysis.batch_fit`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adasearch.analysis.batch_fit import MIN_SIZES, ConstantRun, SizeFit, fitted, octave_of, runs_to_target
from adasearch.analysis.ceilings import ConstantBatch, constant_batch
from adasearch.analysis.selection import comparable
from adasearch.io.text import counted
from adasearch.objective import named, shown
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.profiles.profile import Setting
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store

__all__ = ["FIT_NOTE", "FittedBatch", "TooFewRuns", "batch_by_runs", "constant_runs"]

SAME = ("train/lr_schedule", "train/optimizer")  # settings that runs which are compared share

FIT_NOTE = (
    "the best constant batch by runs: examples to a common error of the best setting of each size, those of "
    f"an octave counting as one, at {MIN_SIZES} sizes at least, by E(B) = E_min (1 + B / B_crit); in "
    "brackets its 95 % interval; it assumes a learning rate tuned at each size, and comes out too large "
    "where that rate decays over the budget"
)
"""What a reader of a fit must know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlikeRuns:
    """Constant runs that may be compared.

    Args:
        objective: what their errors are.
        lr_schedule: of all of them; None for a training function that has none.
        runs: at one size or several.
    """

    objective: str
    lr_schedule: str | None
    runs: tuple[ConstantRun, ...]

    @property
    def sizes(self) -> int:
        """How many octaves they are of."""
        return len({octave_of(run.batch_size) for run in self.runs})


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedBatch:
    """The constant batch that costs least by a fit to runs.

    Args:
        batch: it, its band and what the default costs, within the sizes that were tried.
        low, high: the best sizes at the ends of the fit's 95 % interval.
        fit: what it follows from.
        sizes: that were compared, rising.
        runs: how many.
        target: the error that all of them reached.
        alike: what they have in common.
    """

    batch: ConstantBatch
    low: int
    high: int
    fit: SizeFit
    sizes: tuple[int, ...]
    runs: int
    target: float
    alike: AlikeRuns

    def row(self) -> dict[str, object]:
        """Return the figures by name; sizes are in examples."""
        return {
            "runs_batch": self.batch.best,
            "runs_batch_low": self.low,
            "runs_batch_high": self.high,
            "runs_band_low": self.batch.low,
            "runs_band_high": self.batch.high,
            "runs_default_cost": self.batch.cost,
            "runs_critical_batch": self.fit.critical,
            "runs_critical_batch_low": self.fit.low,
            "runs_critical_batch_high": self.fit.high,
            "runs_sizes": len(self.sizes),
            "runs_target": self.target,
        }

    @property
    def best(self) -> str:
        """The best size with its interval."""
        low, high = (self.batch.written(size) for size in (self.low, self.high))
        return f"{self.batch.written(self.batch.best)} [{low}, {high}]"

    def said(self) -> str:
        """Return them in words."""
        batch, objective = self.batch, self.alike.objective
        first, last = (batch.written(self.sizes[place]) for place in (0, -1))
        curve = f" under '{self.alike.lr_schedule}'" if self.alike.lr_schedule else ""
        return (
            f"by {self.runs} constant runs at sizes from {first} to {last}{curve}, up to "
            f"{_an(named(objective))} of {shown(self.target, objective)}, a batch of {self.best} costs "
            f"least, {batch.band} at most 5 % more, the default of {batch.written(batch.default)} "
            f"{batch.cost:.2f} times as much"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TooFewRuns:
    """There are constant runs, but nothing is fitted to them.

    ``sizes`` is how many octaves those that may be compared are of.
    """

    runs: int
    sizes: int

    @property
    def brief(self) -> str:
        """Why, in a few words."""
        return f"runs at {self.sizes} of {MIN_SIZES} sizes" if self.sizes < MIN_SIZES else "no common error"

    def said(self) -> str:
        """Return why, with the rule."""
        found = f"{counted(self.runs, 'constant run')} at {counted(self.sizes, 'size')}"
        if self.sizes < MIN_SIZES:
            return f"no batch is fitted to {found}: it takes {MIN_SIZES} sizes an octave apart"
        return (
            f"no batch is fitted to {found}: it takes {MIN_SIZES} sizes that come to one error after their "
            "first evaluation"
        )


def batch_by_runs(
    store: Store, setting: Setting, curve: SpeedCurve, default: int
) -> FittedBatch | TooFewRuns | None:
    """Return the best constant batch by the constant runs of a network; None where there are none.

    Of runs that do not compare, of several budgets, devices or curves of the learning rate, those of the most
    sizes count, and of as many those that come to the least error.
    """
    groups = constant_runs(store, setting)
    known = [(group, found) for group in groups if (found := runs_to_target(group.runs)) is not None]
    if not known:
        most = max(groups, key=lambda group: (group.sizes, len(group.runs)), default=None)
        return None if most is None else TooFewRuns(runs=len(most.runs), sizes=most.sizes)
    alike, (target, runs) = max(known, key=lambda each: (len(_sizes(each[1][1])), -each[1][0]))
    sizes, fit = _sizes(runs), fitted(runs)
    best, low, high = (
        constant_batch(curve, [critical], default, ends=(sizes[0], sizes[-1]))
        for critical in (fit.critical, fit.low, fit.high)
    )
    return FittedBatch(
        batch=replace(best, sequence_length=setting.sequence_length),
        low=low.best,
        high=high.best,
        fit=fit,
        sizes=sizes,
        runs=len(runs),
        target=target,
        alike=alike,
    )


def _sizes(runs: Sequence[tuple[int, float]]) -> tuple[int, ...]:
    return tuple(sorted({size for size, _ in runs}))


def constant_runs(store: Store, setting: Setting) -> list[AlikeRuns]:
    """Return the complete constant runs of a network, in groups that may be compared."""
    network = (setting.architecture, setting.scale, setting.fingerprint)
    own = [each for each in store.studies() if (each.architecture, each.scale, each.fingerprint) == network]
    groups = []
    for alike in comparable(own):
        # What several studies confirm beside their candidates is the same run.
        found: dict[tuple[object, ...], dict[object, ConstantRun]] = {}
        for study in alike:
            trials = [trial for trial in store.trials(study.study) if _counts(trial)]
            intervals = store.intervals(study.study, [trial.trial_id for trial in trials])
            for trial in trials:
                run = _run(trial, intervals.get(trial.trial_id, ()))
                if run is not None:
                    same = tuple(trial.params.get(name) for name in SAME)
                    found.setdefault(same, {})[run.setting, trial.seed] = run
        groups += [
            AlikeRuns(
                objective=alike[0].objective,
                lr_schedule=None if curve is None else str(curve),
                runs=tuple(runs.values()),
            )
            for (curve, _), runs in found.items()
        ]
    return groups


def _counts(trial: TrialRecord) -> bool:
    return (trial.scheduler, trial.status) == (BASELINE, "complete") and trial.phase in ("search", "confirm")


def _run(trial: TrialRecord, intervals: Sequence[IntervalRecord]) -> ConstantRun | None:
    """Return a stored run; None without a size or an evaluation."""
    size = trial.params.get("train/batch_size")
    course = tuple(
        (each.signals.examples_seen, each.val_error)
        for each in intervals
        if each.val_error is not None and math.isfinite(each.val_error)
    )
    if not isinstance(size, int) or size < 1 or not course:
        return None
    return ConstantRun(batch_size=size, setting=tuple(sorted(trial.params.items())), course=course)


def _an(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
