"""What a candidate is checked against: the runs of ``confirm``, decided before any of them is made.

Everything is run again on the same fresh seeds:

* **candidate**, the trial that the rule of :mod:`adasearch.analysis.selection` picks;
* **reference** and **default**, the tuned and the untuned constant trial (once, if they are the same);
* **mean_batch**, the candidate's settings at its mean batch size, rounded into the limits, for the whole run;
* **decay**, the candidate's path as a decay of the learning rate in place of growth: the size stays, and the
  ratio of learning rate to batch size takes the course that it took in the candidate. Growth at a constant
  learning rate acts like such a decay, so that a gain over this control is due to the size.

With ``none`` the candidate runs alone, with ``reference`` beside that one. A constant trial may be confirmed,
too, and has no path. With ``all`` there are also **largest**, the reference at the
largest size with its learning rate scaled linearly, **adabatch** with the paper's values from the default's
settings (a growth at each fifth of the run, as its 20 of 100 epochs), and **adabatch_tuned** where AdaBatch
was searched.

The path is that of the candidate's trial in the search; if that had a course of learning-rate factors (a
coupling), ``mean_batch`` keeps that course.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from adasearch.analysis.selection import Pick
from adasearch.choices import Controls
from adasearch.errors import InputError
from adasearch.records import Limits, Params, StudyRecord, TrialRecord, Value
from adasearch.schedulers.base import nearest
from adasearch.schedulers.points import Point, points_text

__all__ = ["FRESH", "ConfirmRun", "confirm_runs_of", "matched", "spread"]

FRESH = 1_000_000
"""Seeds of confirmation begin so far above a study's own, which a search counts up from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRun:
    """One run to make: equal ones are the same run, so that what is stored need not be made again."""

    role: str
    scheduler: str
    params: tuple[tuple[str, Value], ...]
    source_trial_id: str
    seed: int = 0


def confirm_runs_of(trials: Sequence[TrialRecord]) -> dict[ConfirmRun, TrialRecord]:
    """Return the confirming runs among stored trials."""
    return {
        _run(trial.role, trial.scheduler, trial.params, trial.source_trial_id or "", trial.seed): trial
        for trial in trials
        if trial.phase == "confirm"
    }


def _run(role: str, scheduler: str, params: Params, source: str, seed: int = 0) -> ConfirmRun:
    return ConfirmRun(
        role=role,
        scheduler=scheduler,
        params=tuple(sorted(params.items())),
        source_trial_id=source,
        seed=seed,
    )


def matched(
    study: StudyRecord,
    candidate: TrialRecord,
    path: Sequence[Point],
    pick: Pick,
    *,
    controls: Controls = "matched",
    adabatch: TrialRecord | None = None,
) -> list[ConfirmRun]:
    """Return a candidate and its controls, still without seeds.

    ``path`` is the candidate's, ``pick`` names reference and default, and ``adabatch`` is the trial
    that stands for a searched AdaBatch. A control that would be the same run as another is left out.
    """
    name = candidate.trial_id
    runs = [_run("candidate", candidate.scheduler, candidate.params, name)]
    if controls == "none":
        return runs
    if pick.reference is not None and pick.reference != candidate:
        runs.append(_again("reference", pick.reference))
    if controls == "reference":
        return runs
    if pick.default is not None and not any(
        _alike(pick.default, each) for each in (pick.reference, candidate)
    ):
        runs.append(_again("default", pick.default))
    if path:  # else they would be the candidate once more
        train = {key: value for key, value in candidate.params.items() if key.startswith("train/")}
        runs.append(_at_mean_size(train, candidate, path, study.limits))
        runs.append(_as_decay(train, candidate, path))
    if controls == "all":
        runs += _others(study, pick, adabatch)
    return runs


def _alike(trial: TrialRecord, other: TrialRecord | None) -> bool:
    """Tell whether a fresh seed would run the same twice: a grid that is over tries its points again."""
    return other is not None and (trial.scheduler, trial.params) == (other.scheduler, other.params)


def _again(role: str, trial: TrialRecord) -> ConfirmRun:
    return _run(role, trial.scheduler, trial.params, trial.trial_id)


def _at_mean_size(
    train: Mapping[str, Value], candidate: TrialRecord, path: Sequence[Point], limits: Limits
) -> ConfirmRun:
    assert candidate.mean_batch_size is not None
    size = nearest(candidate.mean_batch_size, limits)
    params = {**train, "train/batch_size": size}
    scheduler = "constant"
    if any(point.lr_scale not in (None, 1) for point in path):
        scheduler = "ramp"
        params["scheduler/points"] = points_text([replace(point, batch_size=size) for point in path])
    return _run("mean_batch", scheduler, params, candidate.trial_id)


def _as_decay(train: Mapping[str, Value], candidate: TrialRecord, path: Sequence[Point]) -> ConfirmRun:
    size, _ = _size_and_lr(candidate)
    points = points_text(decay_of(path, size))
    return _run("decay", "ramp", {**train, "scheduler/points": points}, candidate.trial_id)


def _size_and_lr(trial: TrialRecord) -> tuple[int, float]:
    """Return a trial's initial batch size and learning rate.

    Raises:
        InputError: its row, which may be of anybody's making, lacks one.
    """
    size, lr = (trial.params.get(f"train/{name}") for name in ("batch_size", "lr"))
    if not isinstance(size, int) or not isinstance(lr, int | float):
        raise InputError(f"{trial.trial_id} is stored without a number for train/batch_size or train/lr")
    return size, lr


def decay_of(path: Sequence[Point], size: int) -> list[Point]:
    """Return a path at one size whose learning rate has the ratio to it that the other path's had to its own.

    >>> points_text(decay_of([Point(400, 64), Point(1200, 128)], 32))  # growth at a constant learning rate
    '32*0.5@400, 32*0.25@1200'
    >>> points_text(decay_of([Point(400, 64, 2.0)], 32))  # a rate that grew with the size: nothing is left
    '32@400'
    """
    return [Point(point.mark, size, (point.lr_scale or 1) * size / point.batch_size) for point in path]


def _others(study: StudyRecord, pick: Pick, adabatch: TrialRecord | None) -> list[ConfirmRun]:
    runs = []
    if pick.reference is not None:
        params = dict(pick.reference.params)
        size, lr = _size_and_lr(pick.reference)
        if size != study.largest:
            params |= {"train/batch_size": study.largest, "train/lr": lr * study.largest / size}
            runs.append(_run("largest", "constant", params, pick.reference.trial_id))
    if pick.default is not None:
        paper = {
            **pick.default.params,
            "train/lr_schedule": "constant",  # AdaBatch decays the learning rate itself
            "scheduler/period": study.budget / study.train_examples / 5,
            "scheduler/growth": 2.0,
            "scheduler/lr_decay": 0.375,
        }
        runs.append(_run("adabatch", "adabatch", paper, pick.default.trial_id))
    if adabatch is not None:
        runs.append(_again("adabatch_tuned", adabatch))
    return runs


def spread(study: StudyRecord, runs: Sequence[ConfirmRun], seeds: int) -> list[ConfirmRun]:
    """Return every run on each of so many fresh seeds, seed by seed.

    A machine that slows down then favours nobody; each seed begins with another run.

    >>> from types import SimpleNamespace
    >>> runs = [_run(role, "constant", {}, "source") for role in ("candidate", "reference")]
    >>> [(run.role, run.seed) for run in spread(SimpleNamespace(seed=7), runs, 2)]
    [('candidate', 1000007), ('reference', 1000007), ('reference', 1000008), ('candidate', 1000008)]
    """
    return [
        _run(run.role, run.scheduler, dict(run.params), run.source_trial_id, study.seed + FRESH + number)
        for number in range(seeds)
        for run in (*runs[number % len(runs) :], *runs[: number % len(runs)])
    ]
