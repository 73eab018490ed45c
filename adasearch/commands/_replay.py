"""``adasearch replay``: what a scheduler would have decided on a stored run, as a table and a picture."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from adasearch import counts
from adasearch.analysis.replay import virtual_decisions
from adasearch.callbacks import Say, say_nothing
from adasearch.choices import Format
from adasearch.errors import AdasearchError, InputError
from adasearch.io.tables import Column, number, render
from adasearch.records import Decision, IntervalRecord, Limits, Signals, TrialRecord, Value
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.by_optimizer import settled
from adasearch.schedulers.registry import make_scheduler
from adasearch.schedulers.run_plan import planned, wants_plan
from adasearch.store.store import Store
from adasearch.training.config import TrainConfig

__all__ = ["NOTE", "replay"]

NOTE = (
    "decisions, not outcomes: sizes and learning-rate factors are this scheduler's own, but losses and\n"
    "gradients are those that the run measured at its sizes; at other sizes it would have measured others"
)

COLUMNS = [
    Column("interval", "interval"),
    Column("epoch", "epoch", number),
    Column("batch_size", "run: size"),
    Column("next_batch_size", "next"),
    Column("replayed_batch_size", "replay: size"),
    Column("replayed_next_batch_size", "next"),
    Column("replayed_next_lr_scale", "lr factor"),
    Column("replayed_reason", "reason"),
]
SIZES = ("batch_size", "next_batch_size", "replayed_batch_size", "replayed_next_batch_size")


def replay(
    store: Store,
    trial_id: str,
    scheduler: str,
    *,
    fixed: Sequence[str] = (),
    limits: Limits | None = None,
    form: Format = "text",
    plot: str | None = None,
    say: Say = say_nothing,
) -> str:
    """Return a table of what ``scheduler`` would have decided beside what was done; draw it to ``plot``.

    Fields not ``fixed`` (as ``scheduler/FIELD=VALUE``) are the run's own where it ran this very scheduler,
    else the defaults. ``limits`` are those of the run's study unless given. What a table for people says
    below itself ``say`` hears of one for machines.

    Raises:
        InputError: an unknown trial, scheduler or field, or signals that the run did not measure.
    """
    trial, intervals = store.find_trial(trial_id)
    rule = _planned(_rule(trial, scheduler, fixed), store, trial)
    limits = limits or _limits(store, trial)
    made = [record for record in intervals if record.decided]
    if not made:
        raise InputError(f"{trial_id} has no interval after which anything was decided")
    divided = any(record.signals.preconditioned_noise is not None for record in made)
    rule = settled(rule, second_moments=divided)
    if not limits.admit(made[0].signals.batch_size):
        raise InputError(f"{trial_id} began with {made[0].signals.batch_size}, outside {limits}")
    _check_signals(rule, scheduler, trial_id, [record.signals for record in made])
    try:
        decisions = virtual_decisions([record.signals for record in made], rule, limits)
    except ValueError as error:
        raise AdasearchError(f"scheduler {scheduler}: {error}") from error
    study = store.study_of(trial)
    length = None if study is None else study.sequence_length
    if plot is not None:
        _draw(Path(plot), trial, scheduler, made, decisions, length)
    title = f"{scheduler} on the signals of {trial_id} (which ran {trial.scheduler})"
    rows = _rows(made, decisions)
    if form in ("csv", "json"):
        say(NOTE)
        return render(rows, COLUMNS, form, title=title)
    columns = [replace(each, write=partial(_size, length)) if each.key in SIZES else each for each in COLUMNS]
    table = render(rows, columns, form, title=title)
    unit = "" if length is None else f"sizes are tokens; reasons count sequences of {length} tokens\n"
    return f"{table}{NOTE}\n{unit}{_curve_note(rule, scheduler, trial)}"


def _size(sequence_length: int | None, batch_size: object) -> str:
    assert isinstance(batch_size, int)
    return counts.size(batch_size, sequence_length)


def _rule(trial: TrialRecord, scheduler: str, fixed: Sequence[str]) -> BatchSizeScheduler:
    """Return the scheduler that is to decide."""
    from adasearch.spaces.study_spaces import (
        parse_fixed,  # brings Optuna, which listing commands need not wait for
    )

    fields: dict[str, Value] = dict(trial.fields_of("scheduler")) if scheduler == trial.scheduler else {}
    for text in fixed:
        if not text.startswith("scheduler/"):
            raise InputError(f"--set of a replay must be scheduler/FIELD=VALUE but got {text!r}")
        setting = parse_fixed(text, [scheduler])
        fields[setting.name] = setting.value
    return make_scheduler(scheduler, fields)


def _planned(rule: BatchSizeScheduler, store: Store, trial: TrialRecord) -> BatchSizeScheduler:
    if not wants_plan(rule):
        return rule
    study = store.study_of(trial)
    if study is None:
        raise InputError(f"the study of {trial.trial_id} is not stored, so its run's plan is not known")
    return planned(rule, TrainConfig.of(study, trial).plan)


def _limits(store: Store, trial: TrialRecord) -> Limits:
    study = store.study_of(trial)
    if study is None:
        raise InputError(f"the study of {trial.trial_id} is not stored; give --smallest and --largest")
    return study.limits


def _check_signals(
    rule: BatchSizeScheduler, scheduler: str, trial_id: str, history: Sequence[Signals]
) -> None:
    gaps = {name: sum(getattr(row, name) is None for row in history) for name in sorted(rule.needs)}
    missing = [
        name if count == len(history) else f"{name} (in {count} of {len(history)} intervals)"
        for name, count in gaps.items()
        if count
    ]
    if missing:
        raise InputError(f"scheduler {scheduler} needs what {trial_id} did not measure: {', '.join(missing)}")


def _rows(made: Sequence[IntervalRecord], decisions: Sequence[Decision]) -> list[dict[str, object]]:
    sizes = [made[0].signals.initial_batch_size, *(decision.batch_size for decision in decisions)]
    return [
        {
            "interval": record.signals.interval,
            "epoch": record.signals.epoch,
            "examples_seen": record.signals.examples_seen,
            "batch_size": record.signals.batch_size,
            "next_batch_size": record.decision.batch_size,
            "next_lr_scale": record.decision.lr_scale,
            "action": record.decision.action,
            "reason": record.decision.reason,
            "replayed_batch_size": size,
            "replayed_next_batch_size": decision.batch_size,
            "replayed_next_lr_scale": decision.lr_scale,
            "replayed_action": decision.action,
            "replayed_reason": decision.reason,
        }
        for record, size, decision in zip(made, sizes, decisions, strict=False)
    ]


def _curve_note(rule: BatchSizeScheduler, scheduler: str, trial: TrialRecord) -> str:
    curve = trial.params.get("train/lr_schedule")
    if curve is None or curve in rule.lr_schedules:
        return ""
    allowed = ", ".join(sorted(rule.lr_schedules))
    return f"{scheduler} would not run with this trial's lr_schedule {curve}, only with {allowed}\n"


def _draw(
    file: Path,
    trial: TrialRecord,
    scheduler: str,
    made: Sequence[IntervalRecord],
    decisions: Sequence[Decision],
    sequence_length: int | None,
) -> None:
    try:
        from adasearch.plots.replay import replay_sizes
    except ImportError as error:
        raise InputError(f"--plot needs matplotlib: pip install 'adasearch[notebooks]' ({error})") from error
    try:
        figure = replay_sizes(trial, made, scheduler, decisions, sequence_length=sequence_length)
        figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"--plot {file}: {error}") from error
