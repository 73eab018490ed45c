"""The report's tables and sentences: the verdicts, and what ``compare`` prints."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass

from adasearch.analysis.compare import SEARCH_COLUMNS, notes, settings_columns
from adasearch.analysis.confirmed_tables import confirmed_notes, confirmed_parts
from adasearch.analysis.gather import Gathered
from adasearch.analysis.search_table import describe, settings_rows
from adasearch.analysis.verdicts import GAINS
from adasearch.io.tables import Column, fraction, number, times
from adasearch.schedulers.registry import BASELINE

__all__ = ["PageTable", "all_tables", "cell_class", "holds_words", "said", "verdicts"]

VERDICTS = [
    Column("architecture", "architecture"),
    Column("scheduler", "scheduler"),
    Column("words", "verdict"),
    Column("gain", "speed-up"),
    Column("gain_default", "vs default"),
    Column("error", "error"),
    Column("spent", "time"),
    Column("basis", "based on"),
]

TONES: Mapping[object, str] = {
    **dict.fromkeys(GAINS, "good"),
    "worse": "bad",
}
"""CSS classes of what confirming runs show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTable:
    """A table of the page: rows as mappings, and what its columns mean."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, object]]
    note: str = ""


def said(found: Gathered, names: Set[str]) -> list[str]:
    """Return a sentence per study, or per confirmed candidate where there are such."""
    lines = []
    confirmed = [cells for _, rows, _ in confirmed_parts(found.evidence)[:1] for cells in rows]
    for row in (each for each in found.rows if each.study in names):
        sure = [cells for cells in confirmed if cells["study"] == row.study]
        lines += [
            f"{row.architecture}, {row.scheduler}, over {cells['seeds']} fresh seeds: {cells['words']}; test "
            f"error {cells['error'] or '-'}, speed-up {cells['gain'] or '-'} against the tuned reference, "
            f"{cells['gain_default'] or '-'} against the untuned default."
            for cells in sure
        ]
        if not sure:
            lines.append(describe(row))
        if not sure and row.scheduler != BASELINE:
            lines.append("Time to the target: not confirmed, so there are no seeds to draw it from.")
    return lines


def holds_words(table: PageTable, column: Column) -> bool:
    """Tell whether a column of a table holds words, which stand at its left."""
    return any(isinstance(row.get(column.key), str) for row in table.rows)


def cell_class(column: Column, row: Mapping[str, object], words: bool) -> str:
    """Return the CSS classes of a cell."""
    if column.header != "verdict":
        return "" if words else "number"
    return f"verdict {TONES.get(row.get('outcome'), '')}".strip()


def verdicts(found: Gathered) -> PageTable:
    """Return the table that a reader sees first."""
    return PageTable(title="Verdicts", columns=VERDICTS, rows=_rows(found))


def _rows(found: Gathered) -> list[dict[str, object]]:
    """Return a row per study, and per confirmed candidate where there are such."""
    confirmed = [cells for title, rows, _ in confirmed_parts(found.evidence)[:1] for cells in rows]
    lines: list[dict[str, object]] = []
    for row in found.rows:
        sure = [cells for cells in confirmed if cells["study"] == row.study]
        lines += [{**cells, "basis": f"{cells['seeds']} fresh seeds, test split"} for cells in sure]
        if not sure:
            lines.append(
                {
                    **asdict(row),
                    "words": row.verdict,
                    "gain": None if row.speedup is None else times(row.speedup),
                    "gain_default": None if row.speedup_default is None else times(row.speedup_default),
                    "error": None if row.val_error is None else fraction(row.val_error),
                    "spent": None if row.seconds is None else f"{number(row.seconds)} s",
                    "basis": "one seed, validation split",
                }
            )
    return lines


def all_tables(found: Gathered) -> list[PageTable]:
    """Return the tables of ``compare``."""
    if not found.chosen:
        return []
    parts = confirmed_parts(found.evidence)
    meaning = " ".join(confirmed_notes(found.evidence)) if parts else ""
    tables = [
        PageTable(title=title, columns=columns, rows=rows, note=meaning if not place else "")
        for place, (title, rows, columns) in enumerate(parts)
    ]
    rows = [asdict(row) for row in found.rows]
    settings = settings_rows(found.rows, found.trials)
    search = PageTable(
        title="Search: one seed, validation split",
        columns=SEARCH_COLUMNS,
        rows=rows,
        note=" ".join(notes(found.chosen)),
    )
    settled = PageTable(
        title="Settings of these trials", columns=settings_columns(settings, found.trials), rows=settings
    )
    return [*tables, search, settled]
