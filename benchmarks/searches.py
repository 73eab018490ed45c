"""Whole searches of one study as people would run them: ours, and Ray Tune's own ways over the same space.

What each does is the same training, :func:`adasearch.training.loop.train`, on the same data:

- :func:`ours`: adasearch's search;
- :func:`optuna_search_on_worker_groups`: ``OptunaSearch``, with or without ASHA, on adasearch's workers;
- :func:`optuna_search_fresh`: the pattern of Ray's documentation, ``OptunaSearch`` over a function that makes
  a ``TorchTrainer`` for each trial. Without ASHA: a trainer that Tune stops in mid-run leaks its placement
  group where Ray runs without its dashboard, and the next trial then waits for ever.

Ray must be connected (:func:`adasearch.tuning.cluster.connect`).
"""

import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from adasearch.records import IntervalRecord, Params, TrialRecord, Value
from adasearch.spaces.optuna_trials import objectives, quiet_optuna
from adasearch.store import Store
from adasearch.store.trials import begin_trial
from adasearch.training.task import TrialTask
from adasearch.tuning.engine import DRIVER_RESOURCES, run_trials
from adasearch.tuning.optuna_source import OptunaSource
from adasearch.tuning.resources import WorkerGroupSettings
from adasearch.tuning.trial_source import TrialPlan
from adasearch.tuning.worker_group import SlotTrainable
from problems import Course, Problem, Stretch, settings_for

__all__ = ["optuna_search_fresh", "optuna_search_on_worker_groups", "ours"]

GOALS: dict[str, Any] = {"metric": ["val_error", "seconds"], "mode": ["min", "min"]}
WORST = {"val_error": 1.0, "seconds": 1e6}  # of a trial that failed, as OptunaSearch needs numbers


# --- ours --------------------------------------------------------------------------------------------


class _Listener:
    def __init__(self, problem: Problem) -> None:
        self.course, self._clock = Course(), problem.resolved.record.clock
        self._seen: dict[str, int] = {}

    def started(self, trial: TrialRecord) -> None:
        pass

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None:
        spent = self.course.spent.get(trial.trial_id, 0.0) + record.seconds(self._clock)
        self.course.heard(trial.trial_id, spent)
        former = self._seen.get(trial.trial_id, 0)
        seen = self._seen[trial.trial_id] = record.signals.examples_seen
        spent = record.train_seconds + record.eval_seconds
        self.course.trained.append(Stretch(time.monotonic(), spent, seen - former))

    def interrupted(self) -> None:
        pass

    def restarted(self, trial: TrialRecord) -> None:
        pass

    def noted(self, trial: TrialRecord, text: str) -> None:
        pass

    def ended(self, trial: TrialRecord) -> None:
        if trial.status == "complete":
            error, seconds = objectives(trial, self._clock)
            self.course.end(error, seconds, (trial.train_seconds or 0) + (trial.eval_seconds or 0))


def ours(
    problem: Problem, folder: str, *, trials: int, slots: int, seed: int, stopper: str, sampler: str
) -> Course:
    """Search with adasearch."""
    resolved = problem.resolved
    plan = TrialPlan(
        study=replace(resolved.record, seed=seed, stopper=stopper, sampler=sampler),
        data=resolved.data,
        trials=trials,
        stored=(),
        intervals={},
        curve=problem.curve,
    )
    listener = _Listener(problem)
    results = f"{folder}/{uuid.uuid4().hex[:8]}"
    with quiet_optuna():
        source = OptunaSource(plan, resolved.train_space, resolved.scheduler_space)
        run_trials([source], Store(results), settings_for(folder), slots=slots, listener=listener)
    shutil.rmtree(results, ignore_errors=True)
    return listener.course


# --- Ray Tune's own ----------------------------------------------------------------------------------


class _OnWorkerGroup(SlotTrainable):
    """A slot whose config is a point of the space."""

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], settings: WorkerGroupSettings, problem: Problem, seed: int
    ) -> None:
        self._problem, self._seed, self._count = problem, seed, 0
        super().setup(self._next(config, settings), settings)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return super().reset_config(self._next(new_config, self._settings))

    def _next(self, config: dict[str, Any], settings: WorkerGroupSettings) -> dict[str, Any]:
        self._metrics = _Metrics(self._problem)
        self._count += 1
        return {"task": self._problem.task(self._seed + self._count, _flat(config), settings.storage)}

    def step(self) -> dict[str, Any]:
        result = super().step()
        found = self._metrics.after(result["delivery"].records)
        outcome = result["delivery"].outcome
        if outcome is not None and outcome.status != "complete":
            found |= WORST
        return {**found, "done": result["done"]}


class _Metrics:
    """What Tune is told of a trial."""

    def __init__(self, problem: Problem) -> None:
        study = problem.resolved.record
        self._problem, self._intervals, self._error = problem, list[IntervalRecord](), 1.0
        self._trial = begin_trial(study, phase="search", number=0, params={}, seed=0, versions={})

    def after(self, records: "tuple[IntervalRecord, ...]") -> dict[str, Any]:
        self._intervals += records
        self._error = next((r.val_error for r in reversed(records) if r.val_error is not None), self._error)
        spent = self._problem.spent(self._trial, self._intervals) if self._intervals else 0.0
        return {
            "val_error": self._error,
            "seconds": spent,
            "trained_seconds": sum(record.train_seconds + record.eval_seconds for record in self._intervals),
            "examples": self._intervals[-1].signals.examples_seen if self._intervals else 0,
        }


class _Watch(tune.Callback):  # type: ignore[misc]
    """Follows a search of Tune's."""

    def __init__(self, course: Course, budget: int) -> None:
        self._course, self._budget = course, budget

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if result.get("examples"):
            self._course.heard(trial.trial_id, result["seconds"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        last = trial.last_result
        if last.get("examples", 0) >= self._budget and last["seconds"] < WORST["seconds"]:
            self._course.end(last["val_error"], last["seconds"], last["trained_seconds"])


def _flat(config: Mapping[str, Any]) -> dict[str, Value]:
    return {f"{kind}/{name}": value for kind, own in config.items() for name, value in own.items()}


def _searched(
    problem: Problem,
    trainable: Any,
    folder: str,
    *,
    trials: int,
    slots: int,
    seed: int,
    asha: bool,
    first: Sequence[Params],
) -> Course:
    study = problem.resolved.record
    course = Course()
    searcher = OptunaSearch(
        space=problem.distributions, seed=seed, points_to_evaluate=[dict(point) for point in first], **GOALS
    )
    stopper = ASHAScheduler(
        time_attr="examples",
        metric="val_error",
        mode="min",
        max_t=study.budget,
        grace_period=max(1, study.budget // 4),
        reduction_factor=2,
    )
    storage = f"{folder}/tune-{uuid.uuid4().hex[:8]}"
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=stopper if asha else None,
            num_samples=trials,
            max_concurrent_trials=slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune", storage_path=storage, verbose=0, callbacks=[_Watch(course, study.budget)]
        ),
    ).fit()
    shutil.rmtree(storage, ignore_errors=True)
    return course


def optuna_search_on_worker_groups(
    problem: Problem, folder: str, *, trials: int, slots: int, seed: int, asha: bool, informed: bool = False
) -> Course:
    """Search with ``OptunaSearch`` on adasearch's workers; ``informed``, from adasearch's first points on."""
    first = problem.firsts if informed else [problem.first]
    slot = tune.with_parameters(_OnWorkerGroup, settings=settings_for(folder), problem=problem, seed=seed)
    trainable = tune.with_resources(slot, DRIVER_RESOURCES)
    return _searched(
        problem, trainable, folder, trials=trials, slots=slots, seed=seed, asha=asha, first=first
    )


def optuna_search_fresh(problem: Problem, folder: str, *, trials: int, slots: int, seed: int) -> Course:
    """Search with ``OptunaSearch``, a new ``TorchTrainer`` for each trial."""
    function = tune.with_parameters(_documented, folder=folder, problem=problem, seed=seed)
    trainable = tune.with_resources(function, DRIVER_RESOURCES)
    return _searched(
        problem, trainable, folder, trials=trials, slots=slots, seed=seed, asha=False, first=[problem.first]
    )


def _documented(config: dict[str, Any], folder: str, problem: Problem, seed: int) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    name = tune.get_context().get_trial_id()
    TorchTrainer(
        _train,
        train_loop_config={"task": problem.task(seed, _flat(config), folder), "problem": problem},
        torch_config=TorchConfig(backend="gloo"),
        scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(name=f"train-{name}", storage_path=folder, callbacks=[TuneReportCallback()]),
    ).fit()


def _train(config: dict[str, Any]) -> None:
    import ray.train
    import torch

    from adasearch.data.load import load_dataset
    from adasearch.schedulers import make_scheduler
    from adasearch.training.loop import train

    torch.set_num_threads(1)
    task: TrialTask = config["task"]
    data = load_dataset(task.data)
    metrics = _Metrics(config["problem"])
    scheduler = make_scheduler(task.scheduler, task.scheduler_fields)
    for record in train(task.config, scheduler, task.limits, data):
        ray.train.report(metrics.after((record,)))
