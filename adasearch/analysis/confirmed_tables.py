"""The tables of what was confirmed, as people read them."""

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from adasearch import counts
from adasearch.analysis.confirmed import ConfirmedRow, flat_row, whole_verdict
from adasearch.analysis.enough import MAX_ERROR, MIN_PAIRS
from adasearch.analysis.estimates import LEVEL, written, written_objective
from adasearch.analysis.paired_tests import TIME_MARGIN, error_of, speedup_of
from adasearch.analysis.time_to_target import NOT_REACHED
from adasearch.io.tables import Column, fraction, number, render
from adasearch.io.text import wrapped
from adasearch.objective import ERROR, headed, is_fraction, named, shown
from adasearch.schedulers.registry import BASELINE

__all__ = [
    "confirmed_notes",
    "confirmed_parts",
    "confirmed_tables",
    "counted",
    "fraction_cell",
    "margin_words",
    "objective_cell",
    "with_unit",
    "with_word",
]

MIB = 2**20
COUNTS = ("mean_batch_size", "final_batch_size", "target_examples")
"""What is told in tokens where examples are sequences."""


def confirmed_parts(
    rows: Sequence[ConfirmedRow],
) -> list[tuple[str, list[dict[str, object]], list[Column]]]:
    """Return title, rows and columns of each table: the verdicts, what each candidate took, its controls."""
    told = [_cells(row) | {"scheduler": name} for row, name in zip(rows, _schedulers(rows), strict=True)]
    candidates = [cells for cells in told if cells["table"] == "confirmed"]
    controls = [cells for cells in told if cells["table"] == "controls"]
    parts = [
        ("Confirmed: fresh seeds, test split", candidates, _VERDICT_COLUMNS),
        ("What the candidates took", candidates, _COST_COLUMNS),
        ("The candidates against their controls", controls, _CONTROL_COLUMNS),
    ]
    word = headed(row.objective for row in rows)
    lengths = [row.sequence_length for row in rows]
    parts = [(title, cells, with_unit(with_word(columns, word), lengths)) for title, cells, columns in parts]
    return [part for part in parts if part[1]]


def confirmed_tables(rows: Sequence[ConfirmedRow], form: str, *, mark: str, width: int | None = None) -> str:
    """Return the verdicts, what each candidate cost, its controls, and what the columns mean.

    ``form`` is "text" or "markdown"; ``mark`` is added to the titles.
    """
    parts = [
        render(cells, columns, form, title=f"{title}{mark}", width=width)
        for title, cells, columns in confirmed_parts(rows)
    ]
    return "\n".join([*parts, *(wrapped(note, width) for note in confirmed_notes(rows)), ""])


def _schedulers(rows: Sequence[ConfirmedRow]) -> list[str]:
    """Return what each row's scheduler is called: with the candidate's trial where it is one of several."""
    several = Counter(row.study for row in rows if row.table == "confirmed")
    names, trial = [], ""
    for row in rows:
        if row.table == "confirmed":
            trial = row.source_trial_id.removeprefix(f"{row.study}-")
        alone = several[row.study] < 2 and row.scheduler != BASELINE
        names.append(row.scheduler if alone else f"{row.scheduler}, {trial}")
    return names


def _cells(row: ConfirmedRow) -> dict[str, object]:
    """Return a row's values, intervals joined with their means."""
    runs = row.runs
    return {
        **counted(flat_row(row), row.sequence_length),
        "error": written_objective(runs.test_error, row.objective),
        "target_error": objective_cell(runs.target_error, row.objective),
        "spent": written(runs.seconds, 1, "s"),
        "difference": written_objective(error_of(row.paired), row.objective, difference=True),
        "gain": written(speedup_of(row.paired), 1, "x", digits=2),
        "difference_default": written_objective(error_of(row.default), row.objective, difference=True),
        "gain_default": written(speedup_of(row.default), 1, "x", digits=2),
        "words": whole_verdict(row),
        "outcome": None if row.idle else row.outcome,
        "memory": None if runs.peak_memory_bytes is None else runs.peak_memory_bytes / MIB,
        "reached_of": f"{runs.reached} of {runs.seeds}",
    }


def objective_cell(value: float | None, objective: str) -> float | str | None:
    """Return a value for a column of :func:`fraction_cell`: written, but for a fraction."""
    return value if value is None or is_fraction(objective) else shown(value, objective)


def fraction_cell(value: object) -> str:
    """Write a fraction; what is written already stays."""
    return value if isinstance(value, str) else fraction(value)


def with_word(columns: Sequence[Column], word: str) -> list[Column]:
    """Return columns whose headers call the objective what it is."""
    if word == ERROR:
        return list(columns)
    return [replace(each, header=re.sub(r"\berror\b", lambda _: word, each.header)) for each in columns]


def counted(row: dict[str, object], sequence_length: int | None) -> dict[str, object]:
    """Return a row with its counts in the unit that they are told in."""
    told = {name: row[name] for name in COUNTS if name in row}
    return row | {
        name: counts.count(value, sequence_length) if isinstance(value, int | float) else value
        for name, value in told.items()
    }


def with_unit(columns: Sequence[Column], sequence_lengths: Collection[int | None]) -> list[Column]:
    """Return columns whose counts are called what they are, see :func:`counted`."""
    unit = counts.unit_of(sequence_lengths)
    if unit == "examples":
        return list(columns)

    def told(column: Column) -> Column:
        header = unit if column.header == "examples" else counts.headed(column.header, sequence_lengths)
        return replace(column, header=header, write=_grouped)

    return [told(each) if each.key in COUNTS else each for each in columns]


def _grouped(value: object) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def margin_words(margin: float, objective: str) -> str:
    """Return a difference of an objective in words.

    >>> margin_words(0.01, "error"), margin_words(0.0125, "loss")
    ('1 pp of error', '0.0125 of loss')
    """
    if is_fraction(objective):
        return f"{100 * margin:g} pp of error"
    return f"{margin:.3g} of {named(objective)}"


def _fractions(rows: Sequence[ConfirmedRow]) -> bool:
    return any(is_fraction(row.objective) for row in rows)


def _reached(value: object) -> str:
    return value if isinstance(value, str) else number(value)


def _whole(value: object) -> str:
    if isinstance(value, str):
        return value
    assert isinstance(value, int | float)
    return f"{value:.0f}"


_WHO = [Column("architecture", "architecture"), Column("scheduler", "scheduler")]
_VERDICT_COLUMNS = [
    *_WHO,
    Column("seeds", "seeds"),
    Column("error", "test error"),
    Column("difference", "error vs reference"),
    Column("spent", "time"),
    Column("gain", "speed-up"),
    Column("time_saved", "time saved", fraction),
    Column("words", "verdict"),
    Column("difference_default", "error vs default"),
    Column("gain_default", "speed-up vs default"),
    Column("time_saved_default", "time saved vs default", fraction),
    Column("verdict_default", "verdict vs default"),
]
_COST_COLUMNS = [
    *_WHO,
    Column("target_error", "target", fraction_cell),
    Column("reached_of", "reached"),
    Column("target_seconds", "seconds to it", _reached),
    Column("target_examples", "examples", _whole),
    Column("target_steps", "steps", _whole),
    Column("train_seconds", "measured s", number),
    Column("modelled_seconds", "modelled s", number),
    Column("mean_batch_size", "mean batch", number),
    Column("final_batch_size", "final batch", _whole),
    Column("adaptations", "changes", number),
    Column("measure_share", "measuring", fraction),
    Column("memory", "peak MiB", _whole),
]
_CONTROL_COLUMNS = [
    *_WHO,
    Column("role", "control"),
    Column("seeds", "seeds"),
    Column("error", "its test error"),
    Column("spent", "its time"),
    Column("target_seconds", "seconds to target", _reached),
    Column("mean_batch_size", "batch", number),
    Column("difference", "candidate's error"),
    Column("gain", "candidate's speed-up"),
    Column("verdict", "candidate is"),
]


def confirmed_notes(rows: Sequence[ConfirmedRow]) -> list[str]:
    """Return what the columns mean, and which runs are missing."""
    clocks = " and ".join(sorted({row.runs.clock for row in rows}))
    margin = " or ".join(dict.fromkeys(margin_words(row.error_margin, row.objective) for row in rows))
    points = margin.removesuffix(" of error")
    doubt = f"; too few to say: both errors above {MAX_ERROR:.0%}" if _fractions(rows) else ""
    text = any(row.sequence_length is not None for row in rows)
    notes = [
        *(["loss: mean cross entropy in nats per token"] if text else []),
        f"means over fresh seeds, and {1 - LEVEL:.0%} bootstrap intervals, each of its row alone; time by "
        f"the {clocks} clock",
        f"verdicts: pairs of equal seeds, t tests at {LEVEL:g}, Holm-corrected over the table, so that an "
        f"interval alone proves nothing; equal: within {margin} or "
        f"{math.expm1(TIME_MARGIN):.0%} of time (TOST); perhaps worse: the error's interval lies above 0 but "
        f"the corrected test does not say so; too few seeds: below {MIN_PAIRS} pairs{doubt}",
        f"a dash in place of a speed-up: an error more than {points} or (perhaps) higher, so that times "
        "do not compare, or no change of batch size, so that it is a constant run of other settings",
        f"target: the reference's median validation error and {points}, median over seeds, "
        f"'{NOT_REACHED}' unless more than half got there; mean_batch: constant at the candidate's mean size "
        "in the search; decay: the candidate's path as learning-rate decay instead of growth",
    ]
    fullest = {row.study: max(each.runs.seeds for each in rows if each.study == row.study) for row in rows}
    for row in rows:
        runs = row.runs
        if runs.unfinished or runs.failed or runs.seeds < fullest[row.study]:
            notes.append(
                f"{row.study}, {row.role}: {runs.seeds} of {fullest[row.study]} seeds complete, "
                f"{runs.failed} failed, {runs.unfinished} unfinished"
            )
    return notes
