"""Frames to numbers: the architecture-by-scheduler table of a search.

Which trials stand in it is :mod:`adasearch.analysis.selection`'s. Opens without torch and without ray.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from adasearch.analysis.equal_error import times_compare
from adasearch.analysis.selection import Pick, complete, pick_trials, searched
from adasearch.analysis.verdicts import SearchVerdict
from adasearch.objective import ERROR, named, shown
from adasearch.records import StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

__all__ = ["SearchRow", "complete_trials", "describe", "pareto_front", "search_rows", "settings_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRow:
    """One line of the search table: an architecture under one scheduler.

    ``speedup`` is the reference's seconds over this trial's; ``time_saved`` is ``1 - 1/speedup``;
    ``speedup_default`` is the same against the first constant trial, our untuned default. All three are None
    where this trial's error lies above the bound E, or where it changed nothing. Of ``trials``
    asked, ``complete`` ran to the end and ``acted`` of these changed the batch size at least once. Sizes are
    in examples, sequences of ``sequence_length`` tokens where that is known; ``bits_per_byte`` tells the same
    as ``val_error`` where the bytes of the text are known.
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
    verdict: SearchVerdict
    objective: str = ERROR
    sequence_length: int | None = None
    bits_per_byte: float | None = None


def search_rows(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> list[SearchRow]:
    """Return one row per study, grouped by architecture with the constant baseline first."""
    by_study = searched(studies, trials)
    picks = pick_trials(studies, trials)
    order = sorted(
        studies, key=lambda s: (s.architecture, s.scale, s.dataset, s.scheduler != BASELINE, s.scheduler)
    )
    return [_search_row(study, by_study[study.study], picks[study.study]) for study in order]


def complete_trials(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """Return trial_id, scheduler, val_error and, by its study's clock, seconds of each trial that counts."""
    clocks = {study.study: study.clock for study in studies}
    rows = [
        (trial.trial_id, trial.scheduler, trial.val_error, trial.seconds(clocks[trial.study]))
        for trial in complete(trials)
        if trial.study in clocks
    ]
    return pd.DataFrame(rows, columns=["trial_id", "scheduler", "val_error", "seconds"])


def describe(row: SearchRow) -> str:
    """Return a row of the search table as a sentence."""
    who = f"{row.architecture}, {row.scheduler}"
    if row.val_error is None or row.seconds is None:
        return f"{who}: none of {row.trials} trials is complete."
    word = named(row.objective)
    result = f"{shown(row.val_error, row.objective)} validation {word} in {row.seconds:.1f} s"
    if row.verdict == "no gain in search":
        return f"{who}: no gain; the lowest {word} of {row.complete} complete trials is {result}."
    faster = row.scheduler != BASELINE and row.speedup is not None
    speed = f", {row.speedup:.2f} times as fast as the reference" if faster else ""
    return f"{who}: {result}{speed} ({row.verdict}, chosen from {row.complete} complete trials)."


def _search_row(study: StudyRecord, trials: Sequence[TrialRecord], pick: Pick) -> SearchRow:
    ended, chosen = complete(trials), pick.trial
    spent = _known_seconds(chosen, study.clock)
    equal = False
    if chosen is not None and pick.error_bound is not None:
        equal = times_compare(chosen.known_error, pick.error_bound, acted=not pick.idle)
    speedup = _ratio(_known_seconds(pick.reference, study.clock), spent) if equal else None
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
        speedup_default=_ratio(_known_seconds(pick.default, study.clock), spent) if equal else None,
        adaptations=chosen.adaptations if chosen else None,
        mean_batch_size=chosen.mean_batch_size if chosen else None,
        final_batch_size=chosen.final_batch_size if chosen else None,
        trials=len(trials),
        complete=len(ended),
        pruned=sum(trial.status == "pruned" for trial in trials),
        failed=sum(trial.status == "failed" for trial in trials),
        acted=sum(trial.adaptations > 0 for trial in ended),
        verdict=pick.verdict,
        objective=study.objective,
        sequence_length=study.sequence_length,
    )


def _known_seconds(trial: TrialRecord | None, clock: str) -> float | None:
    spent = math.inf if trial is None else trial.seconds(clock)
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


def pareto_front(trials: pd.DataFrame, seconds: str = "train_seconds") -> pd.DataFrame:
    """Return the rows of ``trials`` that no other row beats in error or time without losing in the other.

    ``seconds`` is the column of the time. Rows with a missing value are left out. The result is sorted by
    error.

    >>> points = pd.DataFrame({"val_error": [0.1, 0.2, 0.3], "train_seconds": [5.0, 6.0, 1.0]})
    >>> list(pareto_front(points).index)
    [0, 2]
    """
    ordered = trials.dropna(subset=["val_error", seconds]).sort_values(["val_error", seconds])
    least = ordered.groupby(seconds)["val_error"].transform("min")
    return ordered[(ordered[seconds] == ordered[seconds].cummin()) & (ordered["val_error"] == least)]
