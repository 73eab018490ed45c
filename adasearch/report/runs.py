"""What the report draws of each network: the runs that matter, their courses, and who reached the target."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.selection import Pick, pick_trials
from adasearch.analysis.time_to_target import to_target
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

__all__ = ["Course", "Reached", "courses", "drawn_trials", "reached_cases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One run of a group of comparable studies that stands for something.

    ``role`` is "default", "reference" or "scheduler", and ``series`` counts the group's adaptive studies, for
    a colour of their own. ``intervals`` holds at least one. ``seconds`` are those
    since the start at each interval's end by the group's clock, infinite from where that clock has none.
    """

    label: str
    role: str
    series: int
    trial: TrialRecord
    intervals: Sequence[IntervalRecord]
    seconds: Sequence[float]

    @property
    def timed(self) -> bool:
        """Whether every interval has a time by the group's clock."""
        return math.isfinite(self.seconds[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """When the confirming runs of one role reached the target.

    ``seconds`` holds one entry per complete run, infinite if it never did, and ``ended`` the whole time of
    each. ``target`` is the validation error that was fixed in advance.
    """

    role: str
    target: float
    seconds: Sequence[float]
    ended: Sequence[float]
    seeds: Sequence[int]


def drawn_trials(group: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> set[str]:
    """Return the trials whose intervals the report needs: what stands for a study, and what confirmed it."""
    picks = pick_trials(group, trials).values()
    standing = [each for pick in picks for each in (pick.trial, pick.reference, pick.default) if each]
    return {trial.trial_id for trial in [*standing, *(t for t in trials if t.phase == "confirm")]}


def courses(
    group: Sequence[StudyRecord],
    trials: Sequence[TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> list[Course]:
    """Return the untuned default, the reference, and what stands for each scheduler, in this order."""
    picks = pick_trials(group, trials)
    found: list[Course] = []
    ordered = sorted(group, key=lambda each: (each.scheduler != BASELINE, each.scheduler))
    adaptive = [each.study for each in ordered if each.scheduler != BASELINE]
    for study in ordered:
        series = adaptive.index(study.study) if study.study in adaptive else 0
        pick = picks[study.study]
        twin = sum(each.scheduler == study.scheduler for each in group) > 1
        for name, role, trial in _standing(study, pick):
            label = f"{name}, {study.study}" if twin else name
            rows = intervals.get(trial.trial_id, ())
            if rows:
                ends = list(accumulate(record.seconds(study.clock) for record in rows))
                found.append(
                    Course(label=label, role=role, series=series, trial=trial, intervals=rows, seconds=ends)
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
            )
        )
    return [case for case in cases if case and case[0].role == "candidate"]
