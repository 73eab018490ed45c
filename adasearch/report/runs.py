"""What the report draws of each network: the runs that matter, who reached the target, and what mattered."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.importance import ImportanceRow, importance_rows
from adasearch.analysis.selection import Pick, complete, pick_trials
from adasearch.analysis.time_to_target import to_target
from adasearch.plots.confirmed import Reached
from adasearch.plots.trajectories import DrawnRun
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

__all__ = ["drawn_runs", "drawn_trials", "reached_cases", "searched_importances"]


MAX_FANOVA = 100  # complete trials of a study, on which fanova takes some 10 s; with more it takes minutes


def drawn_trials(group: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> set[str]:
    """Return the trials whose intervals the report needs: what stands for a study, and what confirmed it."""
    picks = pick_trials(group, trials).values()
    standing = [each for pick in picks for each in (pick.trial, pick.reference, pick.default) if each]
    return {trial.trial_id for trial in [*standing, *(t for t in trials if t.phase == "confirm")]}


def drawn_runs(
    group: Sequence[StudyRecord],
    trials: Sequence[TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> list[DrawnRun]:
    """Return the untuned default, the reference, and what stands for each scheduler, in this order."""
    picks = pick_trials(group, trials)
    found: list[DrawnRun] = []
    ordered = sorted(group, key=lambda each: (each.scheduler != BASELINE, each.scheduler))
    adaptive = [each.study for each in ordered if each.scheduler != BASELINE]
    for study in ordered:
        series = adaptive.index(study.study) if study.study in adaptive else None
        pick = picks[study.study]
        twin = sum(each.scheduler == study.scheduler for each in group) > 1
        for name, role, trial in _standing(study, pick):
            label = f"{name}, {study.study}" if twin else name
            rows = intervals.get(trial.trial_id, ())
            if rows:
                ends = list(accumulate(record.seconds(study.clock) for record in rows))
                found.append(
                    DrawnRun(
                        label=label,
                        role=role,
                        series=series,
                        trial=trial,
                        intervals=rows,
                        seconds=ends,
                        sequence_length=study.sequence_length,
                    )
                )
    return found


def _standing(study: StudyRecord, pick: Pick) -> list[tuple[str, str, TrialRecord]]:
    if study.scheduler != BASELINE:
        name = study.scheduler if pick.verdict == "not confirmed" else f"{study.scheduler} ({pick.verdict})"
        return [] if pick.trial is None else [(name, "scheduler", pick.trial)]
    if pick.reference is None:
        return []
    if pick.default is None or pick.default == pick.reference:
        return [("reference = default" if pick.default else "reference", "reference", pick.reference)]
    return [("untuned default", "default", pick.default), ("reference", "reference", pick.reference)]


def reached_cases(
    study: StudyRecord,
    evidence: Sequence[ConfirmedRow],
    trials: Sequence[TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> list[list[Reached]]:
    """Return per confirmed candidate of a study its own runs and then those of each of its controls.

    A role without a complete run, or a candidate without a target, is left out.
    """
    by_id = {trial.trial_id: trial for trial in trials}
    cases: list[list[Reached]] = []
    for row in (each for each in evidence if each.study == study.study):
        if row.table == "confirmed":
            cases.append([])
        first = by_id[row.trial_id]
        runs = [
            trial
            for trial in trials
            if (trial.study, trial.phase, trial.status) == (study.study, "confirm", "complete")
            and (trial.role, trial.source_trial_id) == (first.role, first.source_trial_id)
        ]
        if not runs or row.runs.target_error is None:
            continue
        rows = [intervals.get(trial.trial_id, ()) for trial in runs]
        spent = [to_target(each, row.runs.target_error, study.clock)[0] for each in rows]
        cases[-1].append(
            Reached(
                role=row.role,
                target=row.runs.target_error,
                seconds=spent,
                ended=[sum(record.seconds(study.clock) for record in each) for each in rows],
                seeds=[trial.seed for trial in runs],
                objective=row.objective,
            )
        )
    return [case for case in cases if case and case[0].role == "candidate"]


def searched_importances(
    studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]
) -> list[ImportanceRow]:
    """Return the importances of each study's settings: fanova's, and of very many trials ped-anova's."""
    rows: list[ImportanceRow] = []
    for study in studies:
        own = [trial for trial in trials if trial.study == study.study]
        evaluator = "ped-anova" if len(complete(own)) > MAX_FANOVA else "fanova"
        rows += importance_rows([study], own, evaluator=evaluator)
    return rows
