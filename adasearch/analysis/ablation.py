"""The levels of one parameter side by side: error and seconds of each, in pairs against the first level.

Two trials are a pair if they share a study, a seed and every other parameter, as those of a round of the
sampler ``grid`` do. Only complete trials of phase search count.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adasearch.analysis.paired_tests import (
    ERROR_MARGIN,
    LEVEL,
    MIN_PAIRS,
    TIME_MARGIN,
    Estimate,
    Paired,
    check_margin,
    corrected,
    estimate,
    paired,
    verdict,
)
from adasearch.analysis.selection import complete
from adasearch.errors import InputError, unknown
from adasearch.io.tables import Column, between, render
from adasearch.profiles.quantiles import QUANTILE
from adasearch.records import StudyRecord, TrialRecord, Value

__all__ = ["MAX_LEVELS", "LevelRow", "by_level", "level_table"]

MAX_LEVELS = 12
"""Most values that a field may have had to be told level by level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRow:
    """One level of a field in one study.

    Args:
        study, architecture, scheduler: whose trials they are.
        field, level: the parameter by prefixed name, and its value.
        trials, complete: asked with this level, and of these run to the end, which alone count.
        val_error, seconds: means over the complete trials and their bootstrap intervals; an error is a
            fraction, seconds are by the study's clock.
        pairs: pairs with the study's first level; None for that level itself.
        error_difference: mean error of this level minus the first's, over the pairs.
        log_speed: mean logarithm of the first's seconds over this level's, over the pairs.
        verdict: what the pairs show, in words; p values are corrected over the levels of the study.
    """

    study: str
    architecture: str
    scheduler: str
    clock: str
    field: str
    level: Value
    trials: int
    complete: int
    val_error: Estimate | None
    seconds: Estimate | None
    pairs: int | None
    error_difference: Estimate | None
    log_speed: Estimate | None
    verdict: str


def by_level(
    studies: Sequence[StudyRecord], trials: Sequence[TrialRecord], field: str, *, margin: float = ERROR_MARGIN
) -> list[LevelRow]:
    """Return a row per study and level of ``field``, such as "scheduler/window", in ascending order.

    Studies that do not have the field, or had it at one value only, are left out.

    Raises:
        InputError: a margin outside 0 to 1, a field that no study varies, or one of more than ``MAX_LEVELS``
            values.
    """
    check_margin(margin)
    rows = []
    for study in sorted(studies, key=lambda study: (study.scheduler, study.architecture, study.study)):
        own = [t for t in trials if (t.study, t.phase) == (study.study, "search") and field in t.params]
        levels = sorted(
            {trial.params[field] for trial in own}, key=lambda value: (isinstance(value, str), value)
        )
        if len(levels) > MAX_LEVELS:
            raise InputError(
                f"--by takes a field of at most {MAX_LEVELS} different values but {field} has {len(levels)} "
                f"in {study.study}"
            )
        if len(levels) > 1:
            rows += _study_rows(study, own, field, levels, margin)
    if not rows:
        names = [study.study for study in studies]
        known = {name for trial in trials if trial.study in names for name in trial.params}
        if field not in known:
            raise unknown("field", field, known)
        raise InputError(f"--by needs a field of several values but {field} has one in every study")
    return rows


def _study_rows(
    study: StudyRecord, trials: Sequence[TrialRecord], field: str, levels: Sequence[Value], margin: float
) -> list[LevelRow]:
    ended = {level: complete([t for t in trials if t.params[field] == level]) for level in levels}
    known = {level: [t for t in own if t.seconds(study.clock) < float("inf")] for level, own in ended.items()}
    first, *others = levels
    found = {str(level): _against(known[level], known[first], field, study.clock, margin) for level in others}
    compared = corrected({name: each for name, each in found.items() if each is not None})
    return [
        LevelRow(
            study=study.study,
            architecture=study.architecture,
            scheduler=study.scheduler,
            clock=study.clock,
            field=field,
            level=level,
            trials=sum(trial.params[field] == level for trial in trials),
            complete=len(ended[level]),
            val_error=estimate([t.known_error for t in ended[level]]) if ended[level] else None,
            seconds=estimate([t.seconds(study.clock) for t in known[level]]) if known[level] else None,
            **_outcome(compared.get(str(level)), level == first),
        )
        for level in levels
    ]


def _against(
    own: Sequence[TrialRecord], others: Sequence[TrialRecord], field: str, clock: str, margin: float
) -> Paired | None:
    """Return trials of one level compared with those of the first, None without a pair."""
    partners = {_key(trial, field): trial for trial in others}
    pairs = [(trial, partners[key]) for trial in own if (key := _key(trial, field)) in partners]
    if not pairs:
        return None
    errors = [(one.known_error, other.known_error) for one, other in pairs]
    times = [(one.seconds(clock), other.seconds(clock)) for one, other in pairs]
    return paired(errors, times, margin=margin)


def _key(trial: TrialRecord, field: str) -> tuple[object, ...]:
    """Return what two trials of a pair have in common.

    An absolute threshold that follows from a quantile depends on the window, and is no choice of its own.
    """
    derived = {
        name.replace(QUANTILE, "scheduler") for name in trial.params if name.startswith(f"{QUANTILE}/")
    }
    left_out = derived | {field}
    return trial.seed, *sorted((n, str(value)) for n, value in trial.params.items() if n not in left_out)


def _outcome(found: Paired | None, first: bool) -> dict[str, Any]:
    if found is None:
        words = "first level" if first else "no pairs"
        return {"pairs": None if first else 0, "error_difference": None, "log_speed": None, "verdict": words}
    return {
        "pairs": found.seeds,
        "error_difference": found.error,
        "log_speed": found.log_speed,
        "verdict": verdict(found),
    }


def level_table(rows: Sequence[LevelRow], form: str, *, margin: float = ERROR_MARGIN, mark: str = "") -> str:
    """Return levels in one of :data:`~adasearch.io.tables.FORMATS`; ``mark`` is added to the title."""
    if form in ("csv", "json"):
        return render([_raw(row) for row in rows], [], form)
    clocks = " and ".join(sorted({row.clock for row in rows}))
    notes = [
        f"means over complete trials, and {1 - LEVEL:.0%} bootstrap intervals; time by the {clocks} clock;",
        "vs first: in pairs with the first level that share the seed and every other parameter; speed-up:",
        f"its time over this level's; verdicts: t tests at {LEVEL:g}, Holm-corrected over a study's levels;",
        f"equal: within {100 * margin:g} pp of error or {math.expm1(TIME_MARGIN):.0%} of time; "
        f"too few seeds: below {MIN_PAIRS} pairs",
    ]
    table = render(
        [_cells(row) for row in rows], _COLUMNS, form, title=f"{rows[0].field}, level by level{mark}"
    )
    return "\n".join([table, *notes, ""])


def _cells(row: LevelRow) -> dict[str, object]:
    return {
        **asdict(row),
        "level": str(row.level),
        "error": _written(row.val_error, 100, "%"),
        "spent": _written(row.seconds, 1, "s"),
        "difference": _written(row.error_difference, 100, "pp", sign="+"),
        "speedup": _written(_ratio(row.log_speed), 1, "x", digits=2),
    }


def _written(value: Estimate | None, factor: float, unit: str, **form: Any) -> str | None:
    return None if value is None else between(value.mean, value.low, value.high, factor, unit, **form)


def _ratio(value: Estimate | None) -> Estimate | None:
    """Return a mean of logarithms as a ratio."""
    if value is None:
        return None
    low, high = (None if end is None else math.exp(end) for end in (value.low, value.high))
    return Estimate(math.exp(value.mean), low, high)


def _raw(row: LevelRow) -> dict[str, object]:
    """Return a row with each mean and interval in columns of their own; speed-ups are ratios."""
    estimates = {
        "val_error": row.val_error,
        "seconds": row.seconds,
        "error_difference": row.error_difference,
        "speedup": _ratio(row.log_speed),
    }
    plain = {name: value for name, value in asdict(row).items() if name not in (*estimates, "log_speed")}
    for name, each in estimates.items():
        mean, low, high = (None, None, None) if each is None else (each.mean, each.low, each.high)
        plain |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return plain


_COLUMNS = [
    Column("architecture", "architecture"),
    Column("scheduler", "scheduler"),
    Column("level", "level"),
    Column("complete", "complete"),
    Column("error", "val error"),
    Column("spent", "time"),
    Column("pairs", "pairs"),
    Column("difference", "error vs first"),
    Column("speedup", "speed-up vs first"),
    Column("verdict", "verdict"),
]
