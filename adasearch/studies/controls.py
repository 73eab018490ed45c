"""What a candidate is checked against: the runs of ``confirm``, decided before any of them is made.

Everything is run again on the same fresh seeds:

* **candidate**, the trial that the rule of :mod:`adasearch.analysis.selection` picks;
* **reference** and **default**, the tuned and the untuned constant trial (once, if they are the same);
* **mean_batch**, the candidate's settings at its mean batch size, rounded into the limits, for the whole run;
* **decay**, the candidate's path as a decay of the learning rate in place of growth: the size stays, and the
  ratio of learning rate to batch size takes the course that it took in the candidate. Growth at a constant
  learning rate acts like such a decay, so that a gain over this control is due to the size.

With ``all`` there are also **largest**, the reference at the largest size with its learning rate scaled
linearly, **adabatch** with the paper's values from the default's settings (a growth at each fifth of the run,
as its 20 of 100 epochs), and **adabatch_tuned** where AdaBatch was searched.

The path is that of the candidate's trial in the search; if that had a course of learning-rate factors (a
coupling), ``mean_batch`` keeps that course.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adasearch.analysis.selection import Pick
from adasearch.choices import Controls
from adasearch.records import Limits, Params, StudyRecord, TrialRecord, Value
from adasearch.schedulers.base import nearest
from adasearch.schedulers.points import Turn, points_text

__all__ = ["FRESH", "Repeat", "matched", "repeats_of", "spread"]

FRESH = 1_000_000
"""Seeds of confirmation begin so far above a study's own, which a search counts up from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One run to make: equal ones are the same run, so that what is stored need not be made again."""

    role: str
    scheduler: str
    params: tuple[tuple[str, Value], ...]
    source_trial_id: str
    seed: int = 0


def repeats_of(trials: Sequence[TrialRecord]) -> dict[Repeat, TrialRecord]:
    """Return the confirming runs among stored trials."""
    return {
        _repeat(trial.role, trial.scheduler, trial.params, trial.source_trial_id or "", trial.seed): trial
        for trial in trials
        if trial.phase == "confirm"
    }


def _repeat(role: str, scheduler: str, params: Params, source: str, seed: int = 0) -> Repeat:
    return Repeat(
        role=role,
        scheduler=scheduler,
        params=tuple(sorted(params.items())),
        source_trial_id=source,
        seed=seed,
    )


def matched(
    study: StudyRecord,
    candidate: TrialRecord,
    turns: Sequence[Turn],
    pick: Pick,
    *,
    controls: Controls = "matched",
    adabatch: TrialRecord | None = None,
) -> list[Repeat]:
    """Return a candidate and its controls, still without seeds.

    ``turns`` is the candidate's path, ``pick`` names reference and default, and ``adabatch`` is the trial
    that stands for a searched AdaBatch. A control that would be the same run as another is left out.
    """
    name = candidate.trial_id
    runs = [_repeat("candidate", candidate.scheduler, candidate.params, name)]
    if pick.reference is not None:
        runs.append(_again("reference", pick.reference))
    if pick.default is not None and pick.default != pick.reference:
        runs.append(_again("default", pick.default))
    if turns:  # else they would be the candidate once more
        train = {key: value for key, value in candidate.params.items() if key.startswith("train/")}
        runs.append(_at_mean_size(train, candidate, turns, study.limits))
        runs.append(_as_decay(train, candidate, turns))
    if controls == "all":
        runs += _others(study, pick, adabatch)
    return runs


def _again(role: str, trial: TrialRecord) -> Repeat:
    return _repeat(role, trial.scheduler, trial.params, trial.trial_id)


def _at_mean_size(
    train: Mapping[str, Value], candidate: TrialRecord, turns: Sequence[Turn], limits: Limits
) -> Repeat:
    assert candidate.mean_batch_size is not None
    size = nearest(candidate.mean_batch_size, limits)
    params = {**train, "train/batch_size": size}
    scheduler = "constant"
    if any(turn.lr_scale != 1 for turn in turns):
        scheduler = "ramp"
        params["scheduler/points"] = points_text([Turn(turn.mark, size, turn.lr_scale) for turn in turns])
    return _repeat("mean_batch", scheduler, params, candidate.trial_id)


def _as_decay(train: Mapping[str, Value], candidate: TrialRecord, turns: Sequence[Turn]) -> Repeat:
    size = train["train/batch_size"]
    assert isinstance(size, int)
    path = [Turn(turn.mark, size, turn.lr_scale * size / turn.batch_size) for turn in turns]
    return _repeat("decay", "ramp", {**train, "scheduler/points": points_text(path)}, candidate.trial_id)


def _others(study: StudyRecord, pick: Pick, adabatch: TrialRecord | None) -> list[Repeat]:
    runs = []
    if pick.reference is not None:
        params = dict(pick.reference.params)
        size, lr = params["train/batch_size"], params["train/lr"]
        assert isinstance(size, int)
        assert isinstance(lr, int | float)
        if size != study.largest:
            params |= {"train/batch_size": study.largest, "train/lr": lr * study.largest / size}
            runs.append(_repeat("largest", "constant", params, pick.reference.trial_id))
    if pick.default is not None:
        paper = {
            **pick.default.params,
            "train/lr_schedule": "constant",  # AdaBatch decays the learning rate itself
            "scheduler/period": study.budget / study.train_examples / 5,
            "scheduler/growth": 2.0,
            "scheduler/lr_decay": 0.375,
        }
        runs.append(_repeat("adabatch", "adabatch", paper, pick.default.trial_id))
    if adabatch is not None:
        runs.append(_again("adabatch_tuned", adabatch))
    return runs


def spread(study: StudyRecord, runs: Sequence[Repeat], seeds: int) -> list[Repeat]:
    """Return every run on each of so many fresh seeds, seed by seed.

    A machine that slows down then favours nobody; each seed begins with another run.
    """
    return [
        _repeat(run.role, run.scheduler, dict(run.params), run.source_trial_id, study.seed + FRESH + number)
        for number in range(seeds)
        for run in (*runs[number % len(runs) :], *runs[: number % len(runs)])
    ]
