"""The tables of what was confirmed, as people read them."""

import math
from collections.abc import Sequence

from adasearch.analysis.confirmed import ConfirmedRow, flat_row, whole_verdict
from adasearch.analysis.estimates import LEVEL, written
from adasearch.analysis.paired_tests import TIME_MARGIN, error_of, speedup_of
from adasearch.analysis.time_to_target import NOT_REACHED
from adasearch.enough import MAX_ERROR, MIN_PAIRS
from adasearch.io.tables import Column, fraction, number, render
from adasearch.io.text import wrapped

__all__ = ["confirmed_notes", "confirmed_parts", "confirmed_tables"]

MIB = 2**20


def confirmed_parts(
    rows: Sequence[ConfirmedRow],
) -> list[tuple[str, list[dict[str, object]], list[Column]]]:
    """Return title, rows and columns of each table: the verdicts, what each candidate took, its controls."""
    candidates = [_cells(row) for row in rows if row.table == "confirmed"]
    controls = [_cells(row) for row in rows if row.table == "controls"]
    parts = [
        ("Confirmed: fresh seeds, test split", candidates, _VERDICT_COLUMNS),
        ("What the candidates took", candidates, _COST_COLUMNS),
        ("The candidates against their controls", controls, _CONTROL_COLUMNS),
    ]
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


def _cells(row: ConfirmedRow) -> dict[str, object]:
    """Return a row's values, intervals joined with their means."""
    runs = row.runs
    return {
        **flat_row(row),
        "error": written(runs.test_error, 100, "%"),
        "spent": written(runs.seconds, 1, "s"),
        "difference": written(error_of(row.paired), 100, "pp", sign="+"),
        "gain": written(speedup_of(row.paired), 1, "x", digits=2),
        "difference_default": written(error_of(row.default), 100, "pp", sign="+"),
        "gain_default": written(speedup_of(row.default), 1, "x", digits=2),
        "words": whole_verdict(row),
        "outcome": None if row.idle else row.outcome,
        "memory": None if runs.peak_memory_bytes is None else runs.peak_memory_bytes / MIB,
        "reached_of": f"{runs.reached} of {runs.seeds}",
    }


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
    Column("target_error", "target", fraction),
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
    margin = 100 * rows[0].error_margin
    notes = [
        f"means over fresh seeds, and {1 - LEVEL:.0%} bootstrap intervals, each of its row alone; time by "
        f"the {clocks} clock",
        f"verdicts: pairs of equal seeds, t tests at {LEVEL:g}, Holm-corrected over the table, so that an "
        f"interval alone proves nothing; equal: within {margin:g} pp of error or "
        f"{math.expm1(TIME_MARGIN):.0%} of time (TOST); perhaps worse: the error's interval lies above 0 but "
        f"the corrected test does not say so; too few seeds: below {MIN_PAIRS} pairs; too few to say: both "
        f"errors above {MAX_ERROR:.0%}",
        f"a dash in place of a speed-up: an error more than {margin:g} pp or (perhaps) higher, so that times "
        "do not compare, or no change of batch size, so that it is a constant run of other settings",
        f"target: the reference's median validation error and {margin:g} pp, median over seeds, "
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
