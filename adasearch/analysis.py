"""Frames to numbers: which trial counts, and the architecture-by-scheduler table.

One function, :func:`choose`, holds the rule that picks reference and candidate, for every table and command.
Opens without torch and without ray.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from adasearch.records import StudyRecord, TrialRecord

__all__ = [
    "Choice",
    "SearchRow",
    "choose",
    "comparable",
    "complete_trials",
    "describe",
    "error_bound",
    "pareto_front",
    "search_rows",
    "settings_rows",
]

BASELINE = "constant"
ALIKE = (
    *("architecture", "scale", "fingerprint", "subset", "seed", "budget", "smallest", "largest"),
    *("workers", "precision", "device", "clock", "device_profile"),
)
"""What studies have in common that may be compared with one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the rule picks from the constant trials and one scheduler's trials.

    ``error_bound`` is E; ``candidate`` is None where there is no gain. Without a constant study
    ``error_bound`` and ``reference`` are None, too.
    """

    error_bound: float | None
    reference: TrialRecord | None
    candidate: TrialRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRow:
    """One line of the search table: an architecture under one scheduler.

    ``speedup`` is the reference's seconds over this trial's; ``time_saved`` is ``1 - 1/speedup``;
    ``speedup_default`` is the same against the first constant trial, our untuned default. All three are None
    where this trial's error lies above the bound E. Of ``trials``
    asked, ``complete`` ran to the end and ``acted`` of these changed the batch size at least once.
    """

    study: str
    architecture: str
    scheduler: str
    scale: str
    dataset: str
    trial_id: str | None
    val_error: float | None
    seconds: float | None
    clock: str
    speedup: float | None
    time_saved: float | None
    speedup_default: float | None
    adaptations: int | None
    mean_batch_size: float | None
    final_batch_size: int | None
    trials: int
    complete: int
    pruned: int
    failed: int
    acted: int
    verdict: str


def seconds(trial: TrialRecord, clock: str) -> float:
    """Return a complete trial's training time by the study's clock; infinite if that clock has none."""
    value = trial.modelled_seconds if clock == "modelled" else trial.train_seconds
    return math.inf if value is None else value


def error_bound(best: float, val_examples: int) -> float:
    """Return E, the validation error up to which a trial counts as equally good as the best constant one.

    ``E = best + sqrt(p (1 - p) / n)`` with ``p = max(best, 1/n)``: one standard error of a fraction
    measured on n examples.

    >>> round(error_bound(0.10, 900), 3)
    0.11
    """
    p = max(best, 1 / val_examples)
    return best + math.sqrt(p * (1 - p) / val_examples)


def choose(
    constant: Sequence[TrialRecord], adaptive: Sequence[TrialRecord], *, val_examples: int, clock: str
) -> Choice:
    """Pick the reference among the constant trials and the candidate among a scheduler's.

    Only complete trials of phase search count. Reference: the constant trial with the least seconds among
    those with ``val_error <= E``. Candidate: the adaptive trial with the least seconds among those with
    ``val_error <= E``, if it is faster than the reference. Ties go to the lower error, then number.
    """
    constants = _complete(constant)
    if not constants:
        return Choice(error_bound=None, reference=None, candidate=None)
    bound = error_bound(min(_error(trial) for trial in constants), val_examples)
    reference = _fastest(constants, bound, clock)
    candidate = _fastest(_complete(adaptive), bound, clock)
    if candidate and reference and seconds(candidate, clock) >= seconds(reference, clock):
        candidate = None
    return Choice(error_bound=bound, reference=reference, candidate=candidate)


def _complete(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [
        trial
        for trial in trials
        if trial.status == "complete" and trial.phase == "search" and trial.val_error is not None
    ]


def _error(trial: TrialRecord) -> float:
    return math.inf if trial.val_error is None else trial.val_error


def _fastest(trials: Sequence[TrialRecord], bound: float, clock: str) -> TrialRecord | None:
    fit = [trial for trial in trials if _error(trial) <= bound]
    return min(fit, key=lambda trial: (seconds(trial, clock), _error(trial), trial.number), default=None)


def search_rows(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> list[SearchRow]:
    """Return one row per study, grouped by architecture with the constant baseline first."""
    by_study: dict[str, list[TrialRecord]] = {study.study: [] for study in studies}
    for trial in trials:
        if trial.study in by_study and trial.phase == "search":
            by_study[trial.study].append(trial)
    order = sorted(
        studies, key=lambda s: (s.architecture, s.scale, s.dataset, s.scheduler != BASELINE, s.scheduler)
    )
    return [_search_row(study, by_study, baseline_of(study, studies)) for study in order]


def baseline_of(study: StudyRecord, studies: Sequence[StudyRecord]) -> StudyRecord | None:
    """Return the constant study that ``study`` is compared with: same network, data, budget and clock."""
    if study.scheduler == BASELINE:
        return study
    alike = [
        other
        for other in studies
        if other.scheduler == BASELINE and all(getattr(other, name) == getattr(study, name) for name in ALIKE)
    ]
    # Names end in "-<scheduler>-<dataset>": the baseline of the same --study PREFIX begins in the same way.
    same_prefix = [other for other in alike if study.study.startswith(other.study.partition("-constant-")[0])]
    return next(iter(same_prefix or alike), None)


def comparable(studies: Sequence[StudyRecord]) -> list[list[StudyRecord]]:
    """Return the studies in groups that may be compared: same network, data, budget and clock."""
    groups: dict[tuple[object, ...], list[StudyRecord]] = {}
    for study in studies:
        groups.setdefault(tuple(getattr(study, name) for name in ALIKE), []).append(study)
    return list(groups.values())


def complete_trials(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """Return trial_id, scheduler, val_error and, by its study's clock, seconds of each trial that counts."""
    clocks = {study.study: study.clock for study in studies}
    rows = [
        (trial.trial_id, trial.scheduler, trial.val_error, seconds(trial, clocks[trial.study]))
        for trial in _complete(trials)
        if trial.study in clocks
    ]
    return pd.DataFrame(rows, columns=["trial_id", "scheduler", "val_error", "seconds"])


def describe(row: SearchRow) -> str:
    """Return a row of the search table as a sentence."""
    who = f"{row.architecture}, {row.scheduler}"
    if row.val_error is None or row.seconds is None:
        return f"{who}: none of {row.trials} trials is complete."
    result = f"{100 * row.val_error:.1f} % validation error in {row.seconds:.1f} s"
    if row.verdict == "no gain in search":
        return f"{who}: no gain; the lowest error of {row.complete} complete trials is {result}."
    faster = row.scheduler != BASELINE and row.speedup is not None
    speed = f", {row.speedup:.2f} times as fast as the reference" if faster else ""
    return f"{who}: {result}{speed} ({row.verdict}, chosen from {row.complete} complete trials)."


def _search_row(
    study: StudyRecord, by_study: dict[str, list[TrialRecord]], baseline: StudyRecord | None
) -> SearchRow:
    trials = by_study[study.study]
    constant = by_study[baseline.study] if baseline else []
    choice = choose(constant, trials, val_examples=study.val_examples, clock=study.clock)
    complete = _complete(trials)
    best = min(complete, key=lambda trial: (_error(trial), trial.number), default=None)
    if study.scheduler == BASELINE:
        chosen, verdict = choice.reference, "reference"
    elif choice.reference is None:
        chosen, verdict = best, "no reference"
    elif choice.candidate is not None:
        chosen, verdict = choice.candidate, "not confirmed"
    else:
        chosen, verdict = best, "no gain in search"
    if not complete:
        verdict = "no complete trial"
    spent = _known_seconds(chosen, study.clock)
    # A ratio of times means something at equal error only.
    equal = chosen is not None and choice.error_bound is not None and _error(chosen) <= choice.error_bound
    speedup = _ratio(_known_seconds(choice.reference, study.clock), spent) if equal else None
    default = next((trial for trial in _complete(constant) if trial.number == 0), None)
    return SearchRow(
        study=study.study,
        architecture=study.architecture,
        scheduler=study.scheduler,
        scale=study.scale,
        dataset=study.dataset,
        trial_id=chosen.trial_id if chosen else None,
        val_error=chosen.val_error if chosen else None,
        seconds=spent,
        clock=study.clock,
        speedup=speedup,
        time_saved=None if speedup is None else 1 - 1 / speedup,
        speedup_default=_ratio(_known_seconds(default, study.clock), spent) if equal else None,
        adaptations=chosen.adaptations if chosen else None,
        mean_batch_size=chosen.mean_batch_size if chosen else None,
        final_batch_size=chosen.final_batch_size if chosen else None,
        trials=len(trials),
        complete=len(complete),
        pruned=sum(trial.status == "pruned" for trial in trials),
        failed=sum(trial.status == "failed" for trial in trials),
        acted=sum(trial.adaptations > 0 for trial in complete),
        verdict=verdict,
    )


def _known_seconds(trial: TrialRecord | None, clock: str) -> float | None:
    spent = math.inf if trial is None else seconds(trial, clock)
    return spent if math.isfinite(spent) else None


def _ratio(other: float | None, spent: float | None) -> float | None:
    return other / spent if other and spent else None


def settings_rows(rows: Sequence[SearchRow], trials: Sequence[TrialRecord]) -> list[dict[str, object]]:
    """Return the parameters of each row's trial: one dictionary per row, by parameter name."""
    by_id = {trial.trial_id: trial for trial in trials}
    return [
        {"architecture": row.architecture, "scheduler": row.scheduler, **by_id[row.trial_id].params}
        for row in rows
        if row.trial_id is not None
    ]


def pareto_front(
    trials: pd.DataFrame, first: str = "val_error", second: str = "train_seconds"
) -> pd.DataFrame:
    """Return the rows of ``trials`` that no other row beats in one column without losing in the other.

    Both columns are minimised; rows with a missing value are left out. The result is sorted by ``first``.

    >>> points = pd.DataFrame({"val_error": [0.1, 0.2, 0.3], "train_seconds": [5.0, 6.0, 1.0]})
    >>> list(pareto_front(points).index)
    [0, 2]
    """
    ordered = trials.dropna(subset=[first, second]).sort_values([first, second])
    least_first = ordered.groupby(second)[first].transform("min")
    return ordered[(ordered[second] == ordered[second].cummin()) & (ordered[first] == least_first)]


def with_params(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials table with a column per parameter in place of the JSON."""
    params = pd.DataFrame([json.loads(text) for text in trials["params"]], index=trials.index)
    return trials.drop(columns="params").join(params)
