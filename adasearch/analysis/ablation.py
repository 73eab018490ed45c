"""The levels of one parameter side by side: error and seconds of each, in pairs against the first level.

Two trials are a pair if they share a study, a seed and every other parameter, as those of a round of the
sampler ``grid`` do. Only complete trials of phase search count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from adasearch.analysis.confirmed_tables import margin_words, with_word
from adasearch.analysis.enough import MIN_PAIRS
from adasearch.analysis.estimates import LEVEL, Estimate, estimate, flat, written, written_objective
from adasearch.analysis.paired_tests import (
    ERROR_MARGIN,
    TIME_MARGIN,
    Paired,
    check_margin,
    corrected,
    error_of,
    paired,
    speedup_of,
    verdict,
)
from adasearch.analysis.selection import complete
from adasearch.analysis.verdicts import LevelVerdict
from adasearch.errors import InputError, unknown
from adasearch.io.tables import Column, render
from adasearch.io.text import wrapped
from adasearch.objective import ERROR, headed, margin_of
from adasearch.profiles.quantiles import QUANTILE
from adasearch.records import StudyRecord, TrialRecord, Value

__all__ = ["MAX_LEVELS", "LevelRow", "by_level", "level_table"]

MAX_LEVELS = 12
"""Most values that a field may have had to be told level by level."""

PLAIN = (
    *("study", "architecture", "scheduler", "clock", "field", "level"),
    *("trials", "complete", "pairs", "verdict"),
)
"""Columns that hold one value as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRow:
    """One level of a field in one study.

    Args:
        study, architecture, scheduler: whose trials they are.
        field, level: the parameter by prefixed name, and its value.
        trials, complete: asked with this level, and of these run to the end, which alone count.
        val_error, seconds: means over the complete trials and their bootstrap intervals; an error is a
            fraction, seconds are by the study's clock.
        first: whether it is the study's first level.
        paired: this level against the first; None without pairs. p values are corrected over the levels of
            the study.
        error_margin: the difference of errors that counts as none.
        objective: what is called error here.
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
    first: bool
    paired: Paired | None
    error_margin: float = ERROR_MARGIN
    objective: str = ERROR

    @property
    def pairs(self) -> int | None:
        """Pairs with the first level; None for that level itself."""
        if self.first:
            return None
        return 0 if self.paired is None else self.paired.seeds

    @property
    def verdict(self) -> LevelVerdict:
        """What the pairs show."""
        if self.first:
            return "first level"
        return "no pairs" if self.paired is None else verdict(self.paired)


def by_level(
    studies: Sequence[StudyRecord], trials: Sequence[TrialRecord], field: str, *, margin: float | None = None
) -> list[LevelRow]:
    """Return a row per study and level of ``field``, such as "scheduler/window", in ascending order.

    Studies that do not have the field, or had it at one value only, are left out.

    Raises:
        InputError: a margin that cannot be, a field that no study varies, or one of more than ``MAX_LEVELS``
            values.
    """
    check_margin(margin, [study.objective for study in studies] or [ERROR])
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
    study: StudyRecord,
    trials: Sequence[TrialRecord],
    field: str,
    levels: Sequence[Value],
    margin: float | None,
) -> list[LevelRow]:
    ended = {level: complete([t for t in trials if t.params[field] == level]) for level in levels}
    known = {level: [t for t in own if t.seconds(study.clock) < float("inf")] for level, own in ended.items()}
    first, *others = levels
    errors = [trial.known_error for trial in known[first]]
    own_margin = margin_of(study.objective, margin, median(errors) if errors else None)
    found = {str(level): _against(known[level], known[first], field, study, own_margin) for level in others}
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
            first=level == first,
            paired=compared.get(str(level)),
            error_margin=own_margin,
            objective=study.objective,
        )
        for level in levels
    ]


def _against(
    own: Sequence[TrialRecord], others: Sequence[TrialRecord], field: str, study: StudyRecord, margin: float
) -> Paired | None:
    """Return trials of one level compared with those of the first, None without a pair."""
    partners = {_key(trial, field): trial for trial in others}
    pairs = [(trial, partners[key]) for trial in own if (key := _key(trial, field)) in partners]
    if not pairs:
        return None
    errors = [(one.known_error, other.known_error) for one, other in pairs]
    times = [(one.seconds(study.clock), other.seconds(study.clock)) for one, other in pairs]
    return paired(errors, times, margin=margin, objective=study.objective)


def _key(trial: TrialRecord, field: str) -> tuple[object, ...]:
    """Return what two trials of a pair have in common.

    An absolute threshold that follows from a quantile depends on the window, and is no choice of its own.
    """
    derived = {
        name.replace(QUANTILE, "scheduler") for name in trial.params if name.startswith(f"{QUANTILE}/")
    }
    left_out = derived | {field}
    return trial.seed, *sorted((n, str(value)) for n, value in trial.params.items() if n not in left_out)


def level_table(
    rows: Sequence[LevelRow],
    form: str,
    *,
    mark: str = "",
    width: int | None = None,
) -> str:
    """Return levels in a :data:`~adasearch.choices.Format`; ``mark`` is added to the title."""
    if form in ("csv", "json"):
        return render([_raw(row) for row in rows], [], form)
    clocks = " and ".join(sorted({row.clock for row in rows}))
    margins = " or ".join(dict.fromkeys(margin_words(row.error_margin, row.objective) for row in rows))
    note = (
        f"means over complete trials, and {1 - LEVEL:.0%} bootstrap intervals; time by the {clocks} clock; "
        "vs first: in pairs with the first level that share the seed and every other parameter; speed-up: "
        f"its time over this level's; verdicts: t tests at {LEVEL:g}, Holm-corrected over a study's levels; "
        f"equal: within {margins} or {math.expm1(TIME_MARGIN):.0%} of time; too few "
        f"seeds: below {MIN_PAIRS} pairs"
    )
    table = render(
        [_cells(row) for row in rows],
        with_word(_COLUMNS, headed(row.objective for row in rows)),
        form,
        title=f"{rows[0].field}, level by level{mark}",
        width=width,
    )
    return "\n".join([table, wrapped(note, width), ""])


def _cells(row: LevelRow) -> dict[str, object]:
    """Return a row's values, intervals joined with their means."""
    return {
        **_raw(row),
        "level": str(row.level),
        "error": written_objective(row.val_error, row.objective),
        "spent": written(row.seconds, 1, "s"),
        "difference": written_objective(error_of(row.paired), row.objective, difference=True),
        "speedup": written(speedup_of(row.paired), 1, "x", digits=2),
    }


def _raw(row: LevelRow) -> dict[str, object]:
    """Return a row with each mean and interval in columns of their own."""
    return {
        **{name: getattr(row, name) for name in PLAIN},
        **flat("val_error", row.val_error),
        **flat("seconds", row.seconds),
        **flat("error_difference", error_of(row.paired)),
        **flat("speedup", speedup_of(row.paired)),
    }


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
