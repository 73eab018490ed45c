"""One study's Optuna side: it proposes parameters and is told the truth about what came of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from adasearch.environment import versions
from adasearch.errors import InputError
from adasearch.profiles.quantiles import thresholds
from adasearch.records import Params, Signals, StudyRecord, TrialRecord
from adasearch.spaces.optuna_trials import STATE_OF_STATUS, combinations, frozen_trial, new_study, objectives
from adasearch.spaces.space import Space
from adasearch.store.trials import begin_trial
from adasearch.tuning.trial_source import TrialPlan

__all__ = ["OptunaSource", "initial_points"]

STARTUP_TRIALS = 5  # Optuna's 10 would leave a study of 10 trials without a single informed one
SIZE, RATE, OPTIMIZER = "train/batch_size", "train/lr", "train/optimizer"


class OptunaSource:
    """Asks Optuna for a study's next trial and tells it each outcome.

    Optuna is refilled from the stored trials in order. Complete trials carry both values; a trial that was
    stopped early is PRUNED without intermediate values (in a study of two objectives they crash TPE); a
    failed one is FAIL. Trials that were running when a search ended come first, under their own numbers.
    With the sampler "grid" the number alone says which combination a trial is and, by the round, its seed.

    Args:
        plan: the study, and what is stored of it.
        train_space: what is searched of the training.
        scheduler_space: what is searched of the scheduler.
        profile: the runs that thresholds given as quantiles are of.
        early: points to try right after the first ones, unless a stored trial had them.
        points: first ones in place of the usual, brought into the spaces' ranges.
    """

    def __init__(
        self,
        plan: TrialPlan,
        train_space: Space,
        scheduler_space: Space,
        *,
        profile: Sequence[Sequence[Signals]] = (),
        early: Sequence[Params] = (),
        points: Sequence[Params] | None = None,
    ) -> None:
        self._plan = plan
        self._profile = profile
        self._distributions = {**train_space.distributions(), **scheduler_space.distributions()}
        self._fixed = {**train_space.fixed(), **scheduler_space.fixed()}
        stored = [trial for trial in plan.stored if trial.phase == "search"]
        self._study = new_study(sampler=_sampler(plan.study, asked=len(stored)))
        self._live: dict[str, optuna.Trial] = {}
        self._next_number = max((trial.number for trial in stored), default=-1) + 1
        for trial in stored:
            if lacking := sorted(self._distributions.keys() - trial.params.keys()):
                raise InputError(f"{trial.trial_id} is stored without {', '.join(lacking)}")
        finished = [trial for trial in stored if trial.status != "running"]
        interrupted = [trial for trial in stored if trial.status == "running"]
        self.left = max(0, plan.trials - len(finished))
        for trial in finished:
            self._study.add_trial(frozen_trial(trial, self._distributions, plan.study.clock))
        for trial in interrupted[: self.left]:
            self._enqueue({name: trial.params[name] for name in self._distributions}, trial.number)
        self._interrupted = {trial.number: trial.params for trial in interrupted}
        self._round = 1  # trials that share a seed, one after another
        if plan.study.sampler == "grid":
            grid = combinations(self._distributions)
            self._round = len(grid)
            for number in range(self._next_number, self._next_number + self.left - len(interrupted)):
                self._enqueue(grid[number % self._round], number)
            return
        first = self._first({**train_space.first(), **scheduler_space.first()}, points)
        for point in (*first, *early):
            if not any(all(trial.params.get(name) == point[name] for name in point) for trial in stored):
                self._study.enqueue_trial(dict(point), skip_if_exists=True)

    def _first(self, default: Params, points: Sequence[Params] | None) -> list[Params]:
        """Return the points to begin with."""
        if points is not None:
            return [self._within({**default, **point}) for point in points]
        if self._plan.study.sampler == "tpe":
            return initial_points(default, self._distributions, self._fixed)
        return [default]

    def _within(self, point: Params) -> Params:
        """Return what of a point is searched, each number in its range: Optuna takes no other back."""
        found = {name: point[name] for name in self._distributions if name in point}
        for name, value in found.items():
            ends = self._distributions[name]
            if isinstance(ends, IntDistribution | FloatDistribution):
                assert isinstance(value, int | float)
                found[name] = min(max(value, ends.low), ends.high)
        return found

    @property
    def plan(self) -> TrialPlan:
        """What this was made from."""
        return self._plan

    @property
    def ready(self) -> bool:
        """Whether there are any left."""
        return self.left > 0

    def ask(self) -> TrialRecord:
        """Return the next trial, which begins now."""
        self.left -= 1
        asked = self._study.ask(self._distributions)
        number = asked.user_attrs.get("number")
        if number is None:
            number = self._next_number
            self._next_number += 1
        params = self._interrupted.get(number)
        if params is None:
            params = {**self._fixed, **asked.params}
            params |= thresholds(self._plan.study.scheduler, params, self._profile)
        study = self._plan.study
        trial = begin_trial(
            study,
            phase="search",
            number=number,
            params=params,
            seed=study.seed + number // self._round,
            versions=versions(self._plan.threads),
        )
        self._live[trial.trial_id] = asked
        return trial

    def tell(self, trial: TrialRecord) -> TrialRecord:
        """Tell Optuna how a trial ended; return it with the status that was told.

        A complete trial with a value that is not finite counts as failed.
        """
        asked = self._live.pop(trial.trial_id)
        if trial.status == "complete":
            values = objectives(trial, self._plan.study.clock)
            if all(map(math.isfinite, values)):
                self._study.tell(asked, values)
                return trial
            trial = replace(trial, status="failed", cause="diverged", error=f"its objectives are {values}")
        self._study.tell(asked, state=STATE_OF_STATUS[trial.status])
        return trial

    def _enqueue(self, searched: Params, number: int) -> None:
        """Let a trial of these parameters and this number be asked for next, after those enqueued before."""
        self._study.enqueue_trial(dict(searched), user_attrs={"number": number})


def _sampler(study: StudyRecord, *, asked: int) -> BaseSampler:
    # With the seed alone a resumed search would draw its first points again.
    seed = (study.seed * 1_000_003 + asked) % 2**32
    if study.sampler != "tpe":  # a grid leaves nothing to draw
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, constant_liar=True)


def initial_points(
    default: Params, distributions: Mapping[str, BaseDistribution], fixed: Params
) -> list[Params]:
    """Return the default point, and the default at larger batches: the largest, and half way there.

    Half way is the geometric mean. The three span what a study is about, error against seconds, from its
    first trials on. The learning rate follows the size as far as its range goes: in proportion with SGD
    (Goyal et al., arXiv 1706.02677), by the square root with AdamW (Malladi et al., arXiv 2205.10287). A
    space without a range of sizes above its default has the default alone.

    Args:
        default: the first value of all that is searched, by prefixed name.
        distributions: what is searched.
        fixed: what is not.

    >>> sizes = {"train/batch_size": IntDistribution(16, 128), "train/lr": FloatDistribution(0.01, 0.3)}
    >>> initial_points({"train/batch_size": 32, "train/lr": 0.1}, sizes, {"train/optimizer": "sgd"})[1:]
    [{'train/batch_size': 128, 'train/lr': 0.3}, {'train/batch_size': 64, 'train/lr': 0.2}]
    """
    sizes, rates = distributions.get(SIZE), distributions.get(RATE)
    small = default.get(SIZE)
    if not isinstance(sizes, IntDistribution) or not isinstance(small, int):
        return [default]
    power = 1.0 if {**fixed, **default}.get(OPTIMIZER) == "sgd" else 0.5
    points = [default]
    for size in (sizes.high, round(math.sqrt(small * sizes.high))):
        point = {**default, SIZE: size}
        rate = default.get(RATE)
        if isinstance(rates, FloatDistribution) and isinstance(rate, int | float):
            point[RATE] = min(max(rate * (size / small) ** power, rates.low), rates.high)
        if point not in points:
            points.append(point)
    return points
