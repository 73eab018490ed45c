"""From confirming runs to the rows of their tables: what a candidate is worth beside its controls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from adasearch.analysis.paired_tests import (
    ERROR_MARGIN,
    Estimate,
    Paired,
    corrected,
    estimate,
    paired,
    verdict,
)
from adasearch.analysis.selection import NO_GAIN, Pick, pick_trials
from adasearch.analysis.time_to_target import median_reached, to_target
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

__all__ = ["BY_NAME", "ConfirmedRow", "confirmed_rows", "whole_verdict"]

BY_NAME = "chosen by name"
Runs = Mapping[int, TrialRecord]
"""Complete runs of one role by their seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedRow:
    """A candidate, or one of its controls, over its fresh seeds.

    Means over ``seeds`` complete runs, with bootstrap intervals (``_low``, ``_high``). ``target_...`` is what
    it took to reach the validation error ``target_error``: the median over seeds, "not reached" unless more
    than half got there; ``reached`` counts those that did. ``measure_share`` is of the training time.

    ``error_difference``, ``speedup``, ``time_saved`` and ``verdict`` compare the candidate over ``pairs``
    common seeds: its own row with the reference (and, as ``..._default``, with the untuned default), a
    control's row with that control. p values are corrected over the table.
    """

    table: str
    study: str
    architecture: str
    scheduler: str
    scale: str
    dataset: str
    role: str
    ran: str
    trial_id: str
    source_trial_id: str
    seeds: int
    unfinished: int
    failed: int
    test_error: float | None
    test_error_low: float | None
    test_error_high: float | None
    val_error: float | None
    seconds: float | None
    seconds_low: float | None
    seconds_high: float | None
    clock: str
    train_seconds: float | None
    modelled_seconds: float | None
    target_error: float | None
    target_seconds: float | str | None
    target_examples: float | str | None
    target_steps: float | str | None
    reached: int
    mean_batch_size: float | None
    final_batch_size: float | None
    adaptations: float | None
    measure_share: float | None
    peak_memory_bytes: int | None
    pairs: int
    error_difference: float | None
    error_difference_low: float | None
    error_difference_high: float | None
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    time_saved: float | None
    p_error: float | None
    p_time: float | None
    p_equal_error: float | None
    p_equal_time: float | None
    error_margin: float
    error_difference_default: float | None
    speedup_default: float | None
    speedup_default_low: float | None
    speedup_default_high: float | None
    time_saved_default: float | None
    verdict_default: str | None
    search_verdict: str
    verdict: str


def whole_verdict(row: ConfirmedRow) -> str:
    """Return a row's verdict, with the search's doubts where there were any."""
    doubtful = row.search_verdict in (NO_GAIN, BY_NAME)
    return f"{row.verdict} ({row.search_verdict})" if doubtful else row.verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One candidate with the runs of each role, its own first."""

    study: StudyRecord
    candidate: str
    search_verdict: str
    runs: Mapping[str, Runs]
    all: Mapping[str, Sequence[TrialRecord]]
    target: float | None


def confirmed_rows(
    studies: Sequence[StudyRecord],
    trials: Sequence[TrialRecord],
    intervals: Mapping[str, Sequence[IntervalRecord]],
    *,
    margin: float = ERROR_MARGIN,
) -> list[ConfirmedRow]:
    """Return per confirmed candidate its own row and then those of its controls.

    ``intervals`` are those of the confirming runs, by trial.
    """
    picks = pick_trials(studies, trials)
    cases: list[_Case] = []
    for study in sorted(studies, key=lambda s: (s.architecture, s.scale, s.dataset, s.scheduler)):
        confirming = [trial for trial in trials if (trial.study, trial.phase) == (study.study, "confirm")]
        if study.scheduler != BASELINE and confirming:
            cases += _cases(study, confirming, picks[study.study], margin)
    rows: list[ConfirmedRow] = []
    against: dict[str, dict[str, Paired]] = {}
    roles = dict.fromkeys(role for case in cases for role in case.runs if role != "candidate")
    for role in roles:  # each control's column of verdicts is a family of tests
        found = {case.candidate: _compared(case, role, margin) for case in cases if role in case.runs}
        against[role] = corrected({name: each for name, each in found.items() if each is not None})
    for case in cases:
        compared = {role: each[case.candidate] for role, each in against.items() if case.candidate in each}
        rows += [_row(case, role, compared, intervals, margin) for role in case.runs]
    return rows


def _cases(study: StudyRecord, confirming: Sequence[TrialRecord], pick: Pick, margin: float) -> list[_Case]:
    by_role: dict[str, list[TrialRecord]] = {}
    for trial in confirming:
        by_role.setdefault(trial.role, []).append(trial)
    found = []
    for name in dict.fromkeys(trial.source_trial_id or "" for trial in by_role.get("candidate", [])):
        every = {}
        for role, made in by_role.items():
            own = role in ("candidate", "mean_batch", "decay")
            source = name if own else _newest_source(made)
            every[role] = [trial for trial in made if trial.source_trial_id == source]
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
        found.append(
            _Case(
                study=study,
                candidate=name,
                search_verdict=pick.verdict if chosen else BY_NAME,
                runs=runs,
                all=every,
                target=median(errors) + margin if errors else None,
            )
        )
    return found


def _newest_source(runs: Sequence[TrialRecord]) -> str | None:
    return max(runs, key=lambda trial: trial.number).source_trial_id


def _compared(case: _Case, role: str, margin: float) -> Paired | None:
    this, other, clock = case.runs["candidate"], case.runs[role], case.study.clock
    common = sorted(this.keys() & other.keys())
    if not common:
        return None
    times = [(this[seed].seconds(clock), other[seed].seconds(clock)) for seed in common]
    timed = all(0 < time < math.inf for pair in times for time in pair)
    errors = [(_tested(this[seed]), _tested(other[seed])) for seed in common]
    return paired(errors, times if timed else None, margin=margin)


def _tested(trial: TrialRecord) -> float:
    assert trial.test_error is not None
    return trial.test_error


def _row(
    case: _Case,
    role: str,
    compared: Mapping[str, Paired],
    intervals: Mapping[str, Sequence[IntervalRecord]],
    margin: float,
) -> ConfirmedRow:
    study, every = case.study, case.all[role]
    runs = list(case.runs[role].values())
    own = role == "candidate"
    main = compared.get("reference" if own else role)
    default = compared.get("default") if own else None
    error = estimate([_tested(trial) for trial in runs]) if runs else None
    clocked = [trial.seconds(study.clock) for trial in runs]
    spent = estimate(clocked) if clocked and all(map(math.isfinite, clocked)) else None
    spans = [to_target(intervals.get(t.trial_id, ()), case.target, study.clock) for t in runs]
    marks = [median_reached([span[part] for span in spans]) if case.target else None for part in range(3)]
    words = "no reference" if main is None else verdict(main)
    if not runs:
        words = "nothing complete"
    adaptations = _mean([float(trial.adaptations) for trial in runs])
    if own and runs and not adaptations:
        words = f"no change made ({words})"
    memory = [trial.peak_memory_bytes for trial in runs if trial.peak_memory_bytes is not None]
    train = _mean([trial.train_seconds for trial in runs])
    measured = _mean([trial.measure_seconds for trial in runs])
    final = [float(trial.final_batch_size) for trial in runs if trial.final_batch_size is not None]
    return ConfirmedRow(
        table="confirmed" if own else "controls",
        study=study.study,
        architecture=study.architecture,
        scheduler=study.scheduler,
        scale=study.scale,
        dataset=study.dataset,
        role=role,
        ran=every[0].scheduler,
        trial_id=every[0].trial_id,
        source_trial_id=every[0].source_trial_id or "",
        seeds=len(runs),
        unfinished=sum(trial.status == "running" for trial in every),
        failed=sum(trial.status == "failed" for trial in every),
        test_error=error.mean if error else None,
        test_error_low=error.low if error else None,
        test_error_high=error.high if error else None,
        val_error=_mean([trial.val_error for trial in runs]),
        seconds=spent.mean if spent else None,
        seconds_low=spent.low if spent else None,
        seconds_high=spent.high if spent else None,
        clock=study.clock,
        train_seconds=train,
        modelled_seconds=_mean([trial.modelled_seconds for trial in runs]),
        target_error=case.target,
        target_seconds=marks[0],
        target_examples=marks[1],
        target_steps=marks[2],
        reached=sum(math.isfinite(span[1]) for span in spans),
        mean_batch_size=_mean([trial.mean_batch_size for trial in runs]),
        final_batch_size=median(final) if final else None,
        adaptations=adaptations,
        measure_share=measured / train if measured is not None and train else None,
        peak_memory_bytes=max(memory, default=None),
        pairs=main.seeds if main else 0,
        error_difference=main.error.mean if main else None,
        error_difference_low=main.error.low if main else None,
        error_difference_high=main.error.high if main else None,
        speedup=_ratio(main, "mean"),
        speedup_low=_ratio(main, "low"),
        speedup_high=_ratio(main, "high"),
        time_saved=_saved(main),
        p_error=main.p_error if main else None,
        p_time=main.p_time if main else None,
        p_equal_error=main.p_equal_error if main else None,
        p_equal_time=main.p_equal_time if main else None,
        error_margin=margin,
        error_difference_default=default.error.mean if default else None,
        speedup_default=_ratio(default, "mean"),
        speedup_default_low=_ratio(default, "low"),
        speedup_default_high=_ratio(default, "high"),
        time_saved_default=_saved(default),
        verdict_default=verdict(default) if default else None,
        search_verdict=case.search_verdict,
        verdict=words,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _ratio(compared: Paired | None, part: str) -> float | None:
    value = getattr(compared.log_speed, part) if compared and compared.log_speed else None
    return None if value is None else math.exp(value)


def _saved(compared: Paired | None) -> float | None:
    speed: Estimate | None = compared.log_speed if compared else None
    return None if speed is None else 1 - math.exp(-speed.mean)
