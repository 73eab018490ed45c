"""From confirming runs to rows: whose candidates they are, over which seeds, and beside which controls."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from adasearch.analysis.confirmed import ConfirmedRow, RunSummary
from adasearch.analysis.estimates import estimate
from adasearch.analysis.paired_tests import Paired, corrected, paired
from adasearch.analysis.selection import Pick, pick_trials
from adasearch.analysis.time_to_target import median_reached, to_target
from adasearch.analysis.verdicts import SearchVerdict
from adasearch.objective import margin_of
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

__all__ = ["confirmed_rows"]

Runs = Mapping[int, TrialRecord]
"""Complete runs of one role by their seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One candidate with the runs of each role, its own first."""

    study: StudyRecord
    candidate: str
    search_verdict: SearchVerdict
    runs: Mapping[str, Runs]
    all: Mapping[str, Sequence[TrialRecord]]
    target: float | None
    margin: float

    @property
    def constant(self) -> bool:
        """Whether the candidate is a constant batch size, which somebody named."""
        return self.study.scheduler == BASELINE


def confirmed_rows(
    studies: Sequence[StudyRecord],
    trials: Sequence[TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
    *,
    margin: float | None = None,
    chosen: Collection[str] | None = None,
) -> list[ConfirmedRow]:
    """Return per confirmed candidate its own row and then those of its controls.

    ``intervals`` are those of the confirming runs, by trial. p values are corrected over all ``studies``, of
    which the ``chosen`` have rows (default: all). ``margin`` is the difference of errors that counts as none,
    None for the usual one of each objective.
    """
    picks = pick_trials(studies, trials)
    fresh = _fresh(trials)
    cases: list[_Case] = []
    for study in sorted(studies, key=lambda s: (s.architecture, s.scale, s.dataset, s.scheduler)):
        confirming = [trial for trial in trials if (trial.study, trial.phase) == (study.study, "confirm")]
        if confirming:
            cases += _cases(study, confirming, picks[study.study], margin, fresh)
    rows: list[ConfirmedRow] = []
    against: dict[str, dict[str, Paired]] = {}
    families: dict[tuple[str, bool], list[_Case]] = {}
    for case in cases:
        for role in case.runs:
            families.setdefault((role, case.constant), []).append(case)
    for (role, _), family in families.items():  # a control's column of verdicts, of schedules or constants
        if role != "candidate":
            found = {case.candidate: _compared(case, role) for case in family}
            known = {name: each for name, each in found.items() if each is not None}
            against[role] = against.get(role, {}) | corrected(known)
    for case in cases:
        if chosen is not None and case.study.study not in chosen:
            continue
        compared = {role: each[case.candidate] for role, each in against.items() if case.candidate in each}
        rows += [_row(case, role, compared, intervals) for role in case.runs]
    return rows


def _fresh(trials: Sequence[TrialRecord]) -> dict[str, list[TrialRecord]]:
    """Return the confirming runs of candidates by the trial that they repeat."""
    found: dict[str, list[TrialRecord]] = {}
    for trial in trials:
        if (trial.phase, trial.role) == ("confirm", "candidate"):
            found.setdefault(trial.source_trial_id or "", []).append(trial)
    return found


def _cases(
    study: StudyRecord,
    confirming: Sequence[TrialRecord],
    pick: Pick,
    margin: float | None,
    fresh: Mapping[str, list[TrialRecord]],
) -> list[_Case]:
    by_role: dict[str, list[TrialRecord]] = {}
    for trial in confirming:
        by_role.setdefault(trial.role, []).append(trial)
    found = []
    for name in dict.fromkeys(trial.source_trial_id or "" for trial in by_role.get("candidate", [])):
        every: dict[str, list[TrialRecord]] = {}
        for role, made in by_role.items():
            own = role in ("candidate", "mean_batch", "decay")
            source = name if own else _newest_source(made)
            every[role] = [trial for trial in made if trial.source_trial_id == source]
        for role, control in (("reference", pick.reference), ("default", pick.default)):
            made = every.get(role, [])
            if any(trial.source_trial_id == name for trial in made):
                del every[role]  # the candidate itself
            elif not made and control is not None and control.trial_id != name:
                every[role] = fresh.get(control.trial_id, [])  # it was a candidate of its own
        every = {"candidate": every.pop("candidate"), **{role: made for role, made in every.items() if made}}
        same = pick.reference is not None and pick.reference == pick.default
        if same and "reference" in every and "default" not in every:
            every["default"] = every["reference"]  # the tuned one is the untuned one, and ran once
        runs = {
            role: {t.seed: t for t in each if t.status == "complete" and t.test_error is not None}
            for role, each in every.items()
        }
        errors = [t.val_error for t in runs.get("reference", {}).values() if t.val_error is not None]
        chosen = pick.trial is not None and pick.trial.trial_id == name
        own_margin = margin_of(study.objective, margin, median(errors) if errors else None)
        found.append(
            _Case(
                study=study,
                candidate=name,
                search_verdict=pick.verdict if chosen else "chosen by name",
                runs=runs,
                all=every,
                target=median(errors) + own_margin if errors else None,
                margin=own_margin,
            )
        )
    return found


def _newest_source(runs: Sequence[TrialRecord]) -> str | None:
    return max(runs, key=lambda trial: trial.number).source_trial_id


def _compared(case: _Case, role: str) -> Paired | None:
    this, other, clock = case.runs["candidate"], case.runs[role], case.study.clock
    common = sorted(this.keys() & other.keys())
    if not common:
        return None
    times = [(this[seed].seconds(clock), other[seed].seconds(clock)) for seed in common]
    timed = all(0 < time < math.inf for pair in times for time in pair)
    errors = [(_tested(this[seed]), _tested(other[seed])) for seed in common]
    acted = case.constant or any(trial.adaptations for trial in this.values())
    return paired(
        errors,
        times if timed else None,
        margin=case.margin,
        acted=acted,
        objective=case.study.objective,
    )


def _tested(trial: TrialRecord) -> float:
    assert trial.test_error is not None
    return trial.test_error


def _row(
    case: _Case,
    role: str,
    compared: Mapping[str, Paired],
    intervals: Mapping[str, Sequence[IntervalRecord]],
) -> ConfirmedRow:
    study, first, own = case.study, case.all[role][0], role == "candidate"
    return ConfirmedRow(
        study=study.study,
        architecture=study.architecture,
        scheduler=study.scheduler,
        scale=study.scale,
        dataset=study.dataset,
        role=role,
        ran=first.scheduler,
        trial_id=first.trial_id,
        source_trial_id=first.source_trial_id or "",
        runs=_summary(case, role, intervals),
        paired=compared.get("reference" if own else role),
        default=compared.get("default") if own else None,
        error_margin=case.margin,
        search_verdict=case.search_verdict,
        objective=study.objective,
        sequence_length=study.sequence_length,
    )


def _summary(case: _Case, role: str, intervals: Mapping[str, Sequence[IntervalRecord]]) -> RunSummary:
    clock, every = case.study.clock, case.all[role]
    runs = list(case.runs[role].values())
    spent = [trial.seconds(clock) for trial in runs]
    spans = [to_target(intervals.get(trial.trial_id, ()), case.target, clock) for trial in runs]
    marks = [median_reached([span[part] for span in spans]) if case.target else None for part in range(3)]
    train = _mean([trial.train_seconds for trial in runs])
    measured = _mean([trial.measure_seconds for trial in runs])
    final = [float(trial.final_batch_size) for trial in runs if trial.final_batch_size is not None]
    memory = [trial.peak_memory_bytes for trial in runs if trial.peak_memory_bytes is not None]
    return RunSummary(
        seeds=len(runs),
        unfinished=sum(trial.status == "running" for trial in every),
        failed=sum(trial.status == "failed" for trial in every),
        test_error=estimate([_tested(trial) for trial in runs]) if runs else None,
        val_error=_mean([trial.val_error for trial in runs]),
        seconds=estimate(spent) if spent and all(map(math.isfinite, spent)) else None,
        clock=clock,
        train_seconds=train,
        modelled_seconds=_mean([trial.modelled_seconds for trial in runs]),
        target_error=case.target,
        target_seconds=marks[0],
        target_examples=marks[1],
        target_steps=marks[2],
        reached=sum(math.isfinite(span[1]) for span in spans),
        mean_batch_size=_mean([trial.mean_batch_size for trial in runs]),
        final_batch_size=median(final) if final else None,
        adaptations=_mean([float(trial.adaptations) for trial in runs]),
        measure_share=measured / train if measured is not None and train else None,
        peak_memory_bytes=max(memory, default=None),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
