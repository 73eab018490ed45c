"""Stored trials as Optuna's own, for the search that goes on, for importances and for the dashboard.

Reads what is stored and needs neither torch nor ray, nor the class of a scheduler.
"""

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import product

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from adasearch.errors import InputError, one_line
from adasearch.records import Params, StudyRecord, TrialRecord
from adasearch.spaces.space import Space

__all__ = [
    "STATE_OF_STATUS",
    "combinations",
    "distributions_of",
    "frozen_trial",
    "new_study",
    "objectives",
    "quiet_optuna",
    "stored_spaces",
]

MAX_GRID = 100_000  # combinations of a grid; nobody trains as many

STATE_OF_STATUS = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
"""Optuna's state of each status of ours."""


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Let Optuna tell neither of every study and trial nor what of it is experimental; then as before."""
    former = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(former)


def new_study(
    *, sampler: BaseSampler | None = None, storage: BaseStorage | None = None, name: str | None = None
) -> optuna.Study:
    """Return an empty Optuna study that minimises validation error and seconds."""
    with quiet_optuna():
        return optuna.create_study(
            directions=["minimize", "minimize"], sampler=sampler, storage=storage, study_name=name
        )


def stored_spaces(study: StudyRecord) -> list[Space]:
    """Return a stored study's two spaces, the training's first; no class of a scheduler is needed.

    Raises:
        InputError: what is stored is no space.
    """
    try:
        return [Space.model_validate(json.loads(text)) for text in (study.train_space, study.scheduler_space)]
    except (ValueError, RecursionError) as error:  # pydantic's errors are ValueErrors, too
        raise InputError(f"study {study.study} is stored with what is no space: {one_line(error)}") from error


def distributions_of(study: StudyRecord) -> dict[str, BaseDistribution]:
    """Return the searched parameters of a stored study by prefixed name; raises as :func:`stored_spaces`."""
    return {name: each for space in stored_spaces(study) for name, each in space.distributions().items()}


def combinations(distributions: Mapping[str, BaseDistribution]) -> list[Params]:
    """Return what the sampler ``grid`` tries in turn: every combination of the choices, sorted by name.

    Without any choice it is one empty combination.

    Raises:
        InputError: a field is searched over a range, or there are too many.

    >>> combinations({"scheduler/window": CategoricalDistribution([0, 15])})
    [{'scheduler/window': 0}, {'scheduler/window': 15}]
    """
    choices = []
    count = 1
    for name, each in sorted(distributions.items()):
        if not isinstance(each, CategoricalDistribution):
            kind, _, field = name.partition("/")
            kind = kind if kind == "train" else "scheduler"  # a quantile is of a scheduler's field
            raise InputError(
                f"--sampler grid takes choices and fixed values but {name} is a range; fix it with "
                f"--set {kind}/{field}=VALUE"
            )
        count *= len(each.choices)
        if count > MAX_GRID:
            raise InputError(
                f"--sampler grid takes at most {MAX_GRID} combinations but {name} makes them {count}"
            )
        choices.append([(name, value) for value in each.choices if value is not None])  # it never is
    return [dict(each) for each in product(*choices)]


def frozen_trial(
    trial: TrialRecord,
    distributions: Mapping[str, BaseDistribution],
    clock: str,
    user_attrs: Mapping[str, object] | None = None,
) -> FrozenTrial:
    """Return a stored trial as Optuna's; one stopped early has no values, and none has intermediate ones.

    A complete one with a value that is not finite is failed, as a search tells it.

    Raises:
        InputError: its parameters are none of ``distributions``.
    """
    values = objectives(trial, clock) if trial.status == "complete" else None
    lacking = values is not None and not all(map(math.isfinite, values))  # Optuna takes none such
    try:
        frozen = create_trial(
            state=TrialState.FAIL if lacking else STATE_OF_STATUS[trial.status],
            params={name: trial.params[name] for name in distributions},
            distributions=dict(distributions),
            values=None if lacking else values,
            user_attrs=dict(user_attrs or {}),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the parameters of {trial.trial_id} are not of its study's spaces: {one_line(error)}"
        ) from error
    frozen.datetime_start = _local(trial.started_at)
    if trial.ended_at is not None:
        frozen.datetime_complete = _local(trial.ended_at)
    return frozen


def objectives(trial: TrialRecord, clock: str) -> list[float]:
    """Return validation error and seconds; what was not measured is NaN or infinite.

    They are floats whatever they were: Optuna's TPE cannot take integers.
    """
    error = math.nan if trial.val_error is None else trial.val_error
    return [float(error), trial.seconds(clock)]


def _local(moment: datetime) -> datetime:
    """Return a moment as Optuna writes its own: local time without a zone."""
    return moment.astimezone().replace(tzinfo=None)
