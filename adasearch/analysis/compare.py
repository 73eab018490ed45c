"""The architecture-by-scheduler table, and the settings that were found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from adasearch.analysis.compare_notes import notes, units
from adasearch.analysis.confirmed import flat_row
from adasearch.analysis.confirmed_tables import (
    confirmed_tables,
    counted,
    fraction_cell,
    objective_cell,
    with_unit,
    with_word,
)
from adasearch.analysis.failures import failures
from adasearch.analysis.gather import EVERYTHING, Gathered, Scope, gather, mark
from adasearch.analysis.search_table import SearchRow, settings_rows
from adasearch.analysis.time_to_target import NOT_REACHED
from adasearch.io.tables import Column, fraction, number, render, times
from adasearch.io.text import wrapped
from adasearch.objective import headed
from adasearch.profiles.quantiles import QUANTILE
from adasearch.records import StudyRecord, TrialRecord
from adasearch.spaces.fixed_fields import fixed_elsewhere
from adasearch.store.store import Store

__all__ = [
    "SEARCH_COLUMNS",
    "compare",
    "search_cells",
    "search_columns",
    "settings_columns",
    "unfinished",
]


VAL_ERROR = Column("val_error", "val error", fraction_cell)
SEARCH_COLUMNS = [
    Column("architecture", "architecture"),
    Column("scheduler", "scheduler"),
    VAL_ERROR,
    Column("seconds", "seconds", number),
    Column("speedup", "speed-up", times),
    Column("time_saved", "time saved", fraction),
    Column("speedup_default", "vs default", times),
    Column("adaptations", "changes"),
    Column("mean_batch_size", "mean batch", number),
    Column("final_batch_size", "final batch"),
    Column("complete", "complete"),
    Column("acted", "acted"),
    Column("trials", "trials"),
    Column("verdict", "verdict"),
]


OF_TEXT = ("sequence_length", "bits_per_byte")
"""What rows for machines have where one is of a language model."""


def compare(
    store: Store,
    scope: Scope = EVERYTHING,
    *,
    form: str = "text",
    margin: float | None = None,
    width: int | None = None,
) -> str:
    """Return the tables of a results folder: what was confirmed, what was searched, and the settings found.

    JSON and CSV hold the raw values of the first two with their settings, which count examples, sequences
    among them; ``table`` tells them apart. An
    unfinished study is a row of what is there. ``margin`` is the difference of errors that counts as none,
    None for one point of a fraction and half a percent of the reference's of a loss. ``width`` is the room
    for text, in characters; None for any.

    Raises:
        InputError: an unknown study, studies of different data, budgets or splits without ``force``, or
            a device profile that is of none of them.
    """
    found = gather(store, scope, margin=margin)
    if form in ("csv", "json"):
        return render(_raw(found), SEARCH_COLUMNS, form)
    rows, trials, marked = found.rows, found.trials, mark(found.unlike)
    table = render(
        search_cells(rows),
        search_columns(rows),
        form,
        title=f"Search: one seed, validation split{marked}",
        width=width,
    )
    if not found.chosen:
        runs = [trial.trial_id for trial in store.trials("train")]
        only = f"; of single runs there are {len(runs)}, such as {runs[-1]} (see 'replay')" if runs else ""
        return f"no study in {store.name}{only}\n"
    settings = settings_rows(rows, trials)
    columns = settings_columns(settings, trials)
    return "\n".join(
        [
            *([confirmed_tables(found.evidence, form, mark=marked, width=width)] if found.evidence else []),
            table,
            *(wrapped(note, width) for note in notes(found.chosen)),
            *unfinished(rows),
            *(wrapped(line, width) for line in found.parted),
            *_failed(found, store.name),
            "",
            *(
                [render(settings, columns, form, title=f"Settings of these trials{marked}", width=width)]
                if len(columns) > 2  # the study's names
                else []
            ),
            *(wrapped(line, width) for line in _fixed(found.chosen, settings)),
            *(wrapped(line, width) for line in _agreement(settings, [column.key for column in columns[2:]])),
            *(wrapped(line, width) for line in units(found.chosen)),
            "",
        ]
    )


def search_columns(rows: Sequence[SearchRow]) -> list[Column]:
    """Return the columns of the search table, which call objective and unit what they are."""
    columns = list(SEARCH_COLUMNS)
    if any(row.bits_per_byte is not None for row in rows):
        columns.insert(columns.index(VAL_ERROR) + 1, Column("bits_per_byte", "bits per byte"))
    named = with_word(columns, headed(row.objective for row in rows))
    return with_unit(named, [row.sequence_length for row in rows])


def search_cells(rows: Sequence[SearchRow]) -> list[dict[str, object]]:
    """Return the rows of the search table as people read them."""
    return [
        {
            **counted(asdict(row), row.sequence_length),
            "val_error": objective_cell(row.val_error, row.objective),
        }
        for row in rows
    ]


def _raw(found: Gathered) -> list[dict[str, object]]:
    """Return the rows of both tables with their settings; every row has every key."""
    params = {trial.trial_id: trial.params for trial in found.trials}
    rows: list[dict[str, object]] = [
        *(
            {
                **_numbers(flat_row(row)),
                **params[row.trial_id],
                "objective": row.objective,
                "sequence_length": row.sequence_length,
            }
            for row in found.evidence
        ),
        *({"table": "search", **asdict(row), **params.get(row.trial_id or "", {})} for row in found.rows),
    ]
    last = ("objective", *(each for each in OF_TEXT if any(row.get(each) is not None for row in rows)))
    keys = dict.fromkeys(key for row in rows for key in row if key not in ("objective", *OF_TEXT))
    keys |= dict.fromkeys(last)
    alike = {"not_alike": found.unlike} if found.unlike else {}
    return [{key: row.get(key) for key in keys} | alike for row in rows]


def _numbers(row: dict[str, object]) -> dict[str, object]:
    """Return a row for machines: what was not reached is nothing, for ``reached`` tells it in numbers."""
    return {name: None if value == NOT_REACHED else value for name, value in row.items()}


def settings_columns(settings: Sequence[Mapping[str, object]], trials: Sequence[TrialRecord]) -> list[Column]:
    """Return the columns of every parameter that was searched, the scheduler's first."""
    names = dict.fromkeys(name for row in settings for name in row if "/" in name)
    values: dict[tuple[str, str], set[object]] = {}
    for trial in trials:
        if trial.phase == "search":
            for name, value in trial.params.items():
                values.setdefault((trial.study, name), set()).add(value)
    varied = {name for (_, name), seen in values.items() if len(seen) > 1}
    searched = [name for name in names if name in varied]
    ordered = sorted(searched, key=lambda name: name.startswith("train/"))
    heads = [Column("architecture", "architecture"), Column("scheduler", "scheduler")]
    return [*heads, *(Column(name, _header(name)) for name in ordered)]


def _fixed(studies: Sequence[StudyRecord], settings: Sequence[Mapping[str, object]]) -> list[str]:
    """Return what of the settings was not searched but fixed, by ``--set``, a space or a limit."""
    told: dict[str, list[str]] = {}
    for study in studies:
        names = fixed_elsewhere(study)
        row = next(
            (
                r
                for r in settings
                if (r["architecture"], r["scheduler"]) == (study.architecture, study.scheduler)
            ),
            {},
        )
        line = ", ".join(f"{name}={row[name]}" for name in names if name in row)
        if line:
            told.setdefault(line, []).append(f"{study.architecture} {study.scheduler}")
    return [f"not searched: {line} ({', '.join(of)})" for line, of in told.items()]


def _header(name: str) -> str:
    """Return what a parameter's column is called.

    >>> _header("scheduler/window"), _header("quantile/stability_threshold")
    ('window', 'stability_threshold (quantile)')
    """
    kind, _, field = name.partition("/")
    return f"{field} ({kind})" if kind == QUANTILE else field


def _agreement(settings: Sequence[Mapping[str, object]], names: Sequence[str]) -> list[str]:
    """Return which searched settings agree between the architectures, per scheduler."""
    lines = []
    for scheduler in dict.fromkeys(row["scheduler"] for row in settings):
        rows = [row for row in settings if row["scheduler"] == scheduler]
        had = [name for name in names if all(name in row for row in rows)]
        if len({row["architecture"] for row in rows}) > 1 and had:
            agree = [_header(name) for name in had if _agree(row[name] for row in rows)]
            others = [_header(name) for name in had if not _agree(row[name] for row in rows)]
            lines.append(
                f"{scheduler}: alike for all architectures: {', '.join(agree) or 'none'}; not alike: "
                f"{', '.join(others) or 'none'}"
            )
    return [*lines, "(alike: the same, or numbers within a factor of 1.5)", ""] if lines else []


def _agree(values: Iterable[object]) -> bool:
    """Tell whether settings are the same or, as numbers, near to one another.

    >>> _agree([10, 14]), _agree([10, 16]), _agree(["a", "a"]), _agree([True, False])
    (True, False, True, False)
    """
    found = list(values)
    numbers = [value for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(found) and min(numbers) > 0:
        return max(numbers) <= 1.5 * min(numbers)
    return len(set(found)) == 1


def unfinished(rows: Sequence[SearchRow]) -> list[str]:
    """Return a line for each study that is not whole."""
    lines = []
    for row in rows:
        left = row.trials - row.complete - row.pruned - row.failed
        if row.failed or left or not row.complete:
            lines.append(
                f"{row.study}: {row.complete} complete, {row.pruned} stopped early, {row.failed} failed, "
                f"{left} unfinished"
            )
    return lines


def _failed(found: Gathered, results: str) -> list[str]:
    """Return the errors that ended trials of the chosen studies, each with where to look."""
    chosen = {study.study for study in found.chosen}
    own = [trial for trial in found.trials if trial.study in chosen]
    return [f"failed: {each}" for each in failures(own, results)]
