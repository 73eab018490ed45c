"""``adasearch predict``: from stored profiles and studies to guesses, and how good such guesses were."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import cast

from adasearch.analysis.ceiling_table import network_of, profiles_of_study
from adasearch.analysis.estimates import Estimate, flat
from adasearch.analysis.gather import Scope, gather
from adasearch.analysis.prediction import (
    MIN_NETWORKS,
    Checked,
    Gain,
    Prediction,
    Range,
    Traits,
    ceiling,
    leave_one_out,
    pays,
    predict,
)
from adasearch.analysis.profile_advice import (
    advice_notes,
    advice_of,
    profile_line,
    told,
    without_profile,
)
from adasearch.analysis.selection import pick_trials
from adasearch.analysis.shipped import LOSS_NOTE, NOTES, SHIPPED_NOTE, shipped_outcomes
from adasearch.counts import headed
from adasearch.errors import InputError
from adasearch.io.advice import command
from adasearch.io.tables import Column, render, times
from adasearch.io.text import wrapped
from adasearch.objective import is_fraction
from adasearch.profiles.profile import SpeedProfile, StabilityProfile
from adasearch.profiles.profile_store import ProfileStore
from adasearch.schedulers.registry import BASELINE, scheduler_class
from adasearch.store.store import Store

__all__ = ["outcomes_of", "predict_table"]

DEFAULT = ("deba",)  # scheduler whose outcomes are guessed


def _profiles_of(store: Store) -> list[tuple[SpeedProfile, StabilityProfile]]:
    """Return the profiles of every network and data set that has both, the newest of each.

    A stability profile with a run that diverged predicts nothing, and is left out.
    """
    profiles = ProfileStore(store.name)
    speed = {network_of(each.setting): each for each in sorted(profiles.speed(), key=lambda p: p.created_at)}
    steady = {
        network_of(each.setting): each
        for each in sorted(profiles.stability(), key=lambda p: p.created_at)
        if not each.diverged
    }
    return [(speed[key], steady[key]) for key in speed.keys() & steady.keys()]


def outcomes_of(store: Store) -> list[Gain]:
    """Return what each adaptive study was worth beside its reference: as confirmed, else as searched.

    Studies without a reference, a complete trial or both profiles are left out, and those of a loss.
    """
    gathered = gather(store, Scope(force=True))
    picks = pick_trials(gathered.studies, gathered.trials)
    chosen = {name: pick.trial.trial_id for name, pick in picks.items() if pick.trial}
    rows = {
        row.study: row
        for row in gathered.evidence
        if row.role == "candidate" and row.source_trial_id == chosen.get(row.study)
    }
    profiles = ProfileStore(store.name)
    speed, steady = profiles.speed(), [each for each in profiles.stability() if not each.diverged]
    found = []
    for study in gathered.studies:
        pick, row = picks[study.study], rows.get(study.study)
        pair = profiles_of_study(study, speed, steady)
        traits = None if pair is None else _traits(*pair)
        if study.scheduler == BASELINE or traits is None or not is_fraction(study.objective):
            continue  # a loss is on another scale than errors
        pairs = None if row is None else row.paired
        ratio = None if pairs is None else pairs.log_speed  # whatever its error, to learn from
        if pairs is not None and ratio is not None:
            gain, change = ratio.exp().mean, pairs.error.mean
        elif pick.trial is None or pick.reference is None:
            continue
        else:
            gain = pick.reference.seconds(study.clock) / pick.trial.seconds(study.clock)
            assert pick.trial.val_error is not None
            assert pick.reference.val_error is not None
            change = pick.trial.val_error - pick.reference.val_error
        found.append(
            Gain(
                traits=traits,
                scheduler=study.scheduler,
                speedup=gain,
                error_change=change,
                confirmed=ratio is not None,
            )
        )
    return found


UNCHECKED = (
    f"to be told by {MIN_NETWORKS + 1} classifiers of your own that were profiled and searched with one "
    "scheduler"
)


def predict_table(
    store: Store,
    *,
    architectures: Sequence[str] = (),
    schedulers: Sequence[str] = (),
    check: bool = False,
    form: str = "text",
    width: int | None = None,
) -> str:
    """Return the table of guesses for profiled networks, or with ``check`` of guesses beside outcomes.

    Raises:
        InputError: no profiles, none of a network that was named, or too few networks to check, which
            are no rows for machines.
    """
    for name in schedulers or ():
        scheduler_class(name)
    outcomes = outcomes_of(store)
    if check:
        if architectures or schedulers:
            raise InputError("--check guesses every network and scheduler that was searched; give it alone")
        return _checked_table(leave_one_out(outcomes), form, width)
    profiles = _profiles_of(store)
    traits = [_traits(*pair) for pair in profiles]
    known = {each.architecture for each in traits}
    for name in architectures:
        if name not in known:
            raise InputError(without_profile(store, name, known))
    if not traits:
        raise InputError(
            f"no network has a speed and a stability profile in {store.name}; '{profile_line(store)}' takes "
            "those of one"
        )
    wanted = [each for each in traits if not architectures or each.architecture in architectures]
    known_elsewhere, guesses = False, []
    check_line = command("predict", results=store.name, check=True)
    for scheduler in schedulers or DEFAULT:
        networks = {each.traits.network for each in outcomes if each.scheduler == scheduler}
        few = len(networks) <= MIN_NETWORKS  # one of which may be that which is guessed
        others = [each for each in shipped_outcomes() if few and each.traits.network not in networks]
        images = [each for each in wanted if each.classifies]
        known_elsewhere |= bool(images) and any(each.scheduler == scheduler for each in others)
        gains = [*outcomes, *others]
        guesses += [predict(each, scheduler, gains if each in images else []) for each in _sorted(wanted)]
    shown = {_traits(*pair): pair for pair in profiles if _traits(*pair) in wanted}
    advice = {each: advice_of(store, *pair) for each, pair in shown.items()}
    rows = [_row(each) for each in guesses]
    if form in ("csv", "json"):
        rows = [row | advice[each.traits].row() for row, each in zip(rows, guesses, strict=True)]
    table = _table(rows, COLUMNS, form, "Before any search", width)
    if form in ("csv", "json"):
        return table
    said = {each: told(each, *pair, advice[each], store.name, width) for each, pair in shown.items()}
    notes = [
        *advice_notes(advice.values()),
        *([SHIPPED_NOTE] if known_elsewhere else []),
        *([LOSS_NOTE] if any(not each.classifies for each in shown) else []),
        *NOTES,
    ]
    return "\n".join(
        [
            table,
            *(line for each in _sorted(wanted) for line in said[each]),
            "",
            *(wrapped(note, width) for note in notes),
            "how good such guesses were:",
            f"  {check_line if leave_one_out(outcomes) else UNCHECKED}",
            "",
        ]
    )


def _traits(speed: SpeedProfile, steady: StabilityProfile) -> Traits:
    figures = {each.name: each.mean for each in steady.figures if each.epoch is None}
    return Traits(
        architecture=steady.setting.architecture,
        scale=steady.setting.scale,
        dataset=steady.setting.dataset,
        ceiling=ceiling(speed.curve, steady.batch_size),
        stability_score=figures.get("stability_score"),
        noise_scale=figures.get("noise_scale"),
        rising_at=speed.rising_at,
        sequence_length=steady.setting.sequence_length,
    )


def _sorted(traits: Sequence[Traits]) -> list[Traits]:
    return sorted(traits, key=lambda each: (each.dataset, each.architecture, each.scale))


COLUMNS = [
    Column("architecture", "architecture"),
    Column("dataset", "dataset"),
    Column("scheduler", "scheduler"),
    Column("ceiling", "ceiling", times),
    Column("stability_score", "stability score", lambda value: f"{value:.2f}"),
    Column("noise_scale", "noise scale", lambda value: f"{value:.0f}"),
    Column("speedup", "speed-up", lambda value: _span(value, "{:.2f}x", 1)),
    Column("error_change", "change of error", lambda value: _span(value, "{:+.1f}", 100)),
    Column("networks", "from networks"),
    Column("answer", "answer"),
]
CHECKED = [
    *COLUMNS[:4],
    COLUMNS[6],
    Column("speedup_found", "found", times),
    COLUMNS[7],
    Column("error_change_found", "found", lambda value: _points(value)),
    Column("confirmed", "confirmed"),
    Column("right", "pays or not: right"),
    Column("inside", "inside both ranges"),
]


def _span(value: object, form: str, unit: float) -> str:
    assert isinstance(value, Range)
    mean, low, high = (form.format(unit * each) for each in (value.mean, value.low, value.high))
    return f"{mean} ({low} to {high})"


def _points(value: object) -> str:
    assert isinstance(value, float)
    return f"{100 * value:+.1f}"


def _row(guess: Prediction) -> dict[str, object]:
    return {
        **asdict(guess.traits),
        "scheduler": guess.scheduler,
        "speedup": guess.speedup if guess.times_compare else None,
        "error_change": guess.error_change,
        "networks": guess.networks,
        "answer": guess.answer,
    }


def _checked_row(each: Checked) -> dict[str, object]:
    return {
        **_row(each.prediction),
        "speedup_found": each.outcome.speedup if each.outcome.times_compare else None,
        "error_change_found": each.outcome.error_change,
        "confirmed": "yes" if each.outcome.confirmed else "no",
        "right": "yes" if each.right else "no",
        "inside": "yes" if each.inside else "no",
    }


def _raw(row: dict[str, object]) -> dict[str, object]:
    """Return a row for machines: a range is three columns."""
    found: dict[str, object] = {}
    for name, value in row.items():
        if name in ("speedup", "error_change"):
            known = Estimate(value.mean, value.low, value.high) if isinstance(value, Range) else None
            found |= flat(name, known, mean="_mean")
        elif name != "sequence_length" or value is not None:
            found[name] = value
    return found


def _table(
    rows: Sequence[dict[str, object]], columns: Sequence[Column], form: str, title: str, width: int | None
) -> str:
    if form in ("csv", "json"):
        return render([_raw(row) for row in rows], columns, form, title=title)
    heading = headed("noise scale", [cast(int | None, row["sequence_length"]) for row in rows])
    told = [replace(each, header=heading) if each.key == "noise_scale" else each for each in columns]
    return render([_counted(row) for row in rows], told, form, title=title, width=width)


def _counted(row: dict[str, object]) -> dict[str, object]:
    """Return a row with its noise scale in the unit that it is told in."""
    noise, length = (cast(float | None, row[name]) for name in ("noise_scale", "sequence_length"))
    return row | {"noise_scale": None if noise is None else noise * (length or 1)}


def _checked_table(checked: Sequence[Checked], form: str, width: int | None) -> str:
    table = _table(
        [_checked_row(each) for each in checked], CHECKED, form, "Guesses, each network held out", width
    )
    if form in ("csv", "json"):
        return table
    if not checked:
        raise InputError(f"--check: {UNCHECKED}")
    paid = [pays(each.outcome.speedup, each.outcome.error_change) for each in checked]
    often = max(paid.count(True), paid.count(False))
    hits = sum(each.right for each in checked)
    inside = sum(each.inside for each in checked)
    return table + (
        f"pays or not: {hits} of {len(checked)} right (always giving the commoner answer: {often}); "
        f"{inside} of {len(checked)} outcomes inside both 90 % ranges\n"
    )
