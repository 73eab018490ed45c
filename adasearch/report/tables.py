"""The report's tables and sentences: the verdicts, and what ``compare`` prints."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass

from adasearch.analysis.batch_by_runs import FIT_NOTE
from adasearch.analysis.ceiling_table import CEILING_COLUMNS, ceiling_rows
from adasearch.analysis.ceilings import MODEL_NOTE
from adasearch.analysis.compare import search_cells, search_columns, settings_columns
from adasearch.analysis.compare_notes import notes, settings_note
from adasearch.analysis.confirmed_tables import confirmed_notes, confirmed_parts, with_word
from adasearch.analysis.gather import Gathered
from adasearch.analysis.search_table import SearchRow, describe, settings_rows
from adasearch.analysis.summary import in_one_sentence
from adasearch.analysis.verdicts import GAINS, MEANINGS
from adasearch.io.tables import Column, number, times
from adasearch.objective import headed, named, shown
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store

__all__ = [
    "PageTable",
    "all_tables",
    "ceilings",
    "cell_class",
    "headline",
    "holds_words",
    "said",
    "verdicts",
    "words",
]

_WHO = [Column("architecture", "architecture"), Column("scheduler", "scheduler"), Column("words", "verdict")]
CONFIRMED = [
    *_WHO,
    Column("error", "test error"),
    Column("difference", "error vs reference"),
    Column("spent", "time"),
    Column("gain", "speed-up"),
    Column("gain_default", "speed-up vs default"),
    Column("seeds", "seeds"),
]
SEARCHED = [
    *_WHO,
    Column("error", "validation error"),
    Column("spent", "time"),
    Column("gain", "speed-up"),
    Column("gain_default", "speed-up vs default"),
]

TONES: Mapping[object, str] = {
    **dict.fromkeys(GAINS, "good"),
    **dict.fromkeys(("worse", "worse error, less time", "slower"), "bad"),
}
"""CSS classes of what confirming runs show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTable:
    """A table of the page: rows as mappings, and what its columns mean."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, object]]
    note: str = ""


TERMS = [
    ("reference", MEANINGS["reference"]),
    ("untuned default", "the first constant trial, of our defaults: the kind of baseline that papers use"),
    ("candidate", "the fastest trial of a scheduler whose error is within the same bound"),
    (
        "speed-up",
        "the time of the other over this one's: above 1 is faster. It is shown at equal error only: a dash, "
        "or words in place of a mark, where the error is higher or no batch size was changed",
    ),
    ("fresh seeds", "runs of 'adasearch confirm' that the search never saw, judged on the test split"),
    (
        "mean batch, decay",
        "controls: a constant batch of the candidate's mean size, and its path as a decay of the learning "
        "rate in place of growth",
    ),
]


def headline(found: Gathered) -> str:
    """Return the result as one sentence; empty without a study."""
    return in_one_sentence(found.rows, found.evidence) if found.chosen else ""


def words(found: Gathered) -> list[tuple[str, str]]:
    """Return what the words of a page mean: its terms, and the verdicts that stand on it."""
    used = {row.verdict for row in found.rows} | {row.outcome for row in found.evidence}
    used |= {row.search_verdict for row in found.evidence}
    used |= {"no change made"} if any(row.idle for row in found.evidence) else set()
    verdicts = [(word, meaning) for word, meaning in MEANINGS.items() if word in used and word != "reference"]
    return [*TERMS, *verdicts] if found.chosen else []


def said(found: Gathered, names: Set[str]) -> list[str]:
    """Return a sentence per study, or per confirmed candidate where there are such."""
    lines = []
    confirmed = _compared(found)
    for row in (each for each in found.rows if each.study in names):
        sure = [cells for cells in confirmed if cells["study"] == row.study]
        lines += [
            f"{row.architecture}, {row.scheduler}, over {cells['seeds']} fresh seeds: {cells['words']}; test "
            f"{named(row.objective)} {cells['error'] or '-'}, speed-up {cells['gain'] or '-'} against the "
            f"tuned reference, {cells['gain_default'] or '-'} against the untuned default."
            for cells in sure
        ]
        if not sure:
            lines.append(describe(row))
        if not sure and row.scheduler != BASELINE:
            lines.append("Time to the target: not confirmed, so there are no seeds to draw it from.")
    return lines


def _compared(found: Gathered) -> list[dict[str, object]]:
    """Return what the schedules' candidates showed on fresh seeds, of those that had a reference there."""
    rows = [row for row in found.evidence if row.scheduler != BASELINE and row.pairs]
    return [cells for _, each, _ in confirmed_parts(rows)[:1] for cells in each]


def holds_words(table: PageTable, column: Column) -> bool:
    """Tell whether a column of a table holds words, which stand at its left."""
    return any(isinstance(row.get(column.key), str) for row in table.rows)


def cell_class(column: Column, row: Mapping[str, object], words: bool) -> str:
    """Return the CSS classes of a cell."""
    if column.header != "verdict":
        return "" if words else "number"
    return f"verdict {TONES.get(row.get('outcome'), '')}".strip()


def verdicts(found: Gathered) -> list[PageTable]:
    """Return the tables that a reader sees first: what was confirmed, and what a search alone says."""
    sure = _compared(found)
    checked = {cells["study"] for cells in sure}
    searched = [row for row in found.rows if row.study not in checked]
    tables = [
        PageTable(
            title="Verdicts: fresh seeds, test split",
            columns=with_word(CONFIRMED, headed(row.objective for row in found.evidence)),
            rows=sure,
        ),
        PageTable(
            title="Verdicts of the search: one seed, validation split",
            columns=with_word(SEARCHED, headed(row.objective for row in searched)),
            rows=[_searched(row) for row in searched],
        ),
    ]
    return [table for table in tables if table.rows]


def ceilings(store: Store, found: Gathered) -> list[PageTable]:
    """Return the table of what the profiles say that any schedule can save; none without profiles."""
    rows = ceiling_rows(store, found.chosen)
    title = "Ceilings before any search: a model, by the profiles"
    table = PageTable(title=title, columns=CEILING_COLUMNS, rows=rows, note=f"{MODEL_NOTE}; {FIT_NOTE}.")
    return [table] if rows else []


def _searched(row: SearchRow) -> dict[str, object]:
    return {
        **asdict(row),
        "words": row.verdict,
        "gain": None if row.speedup is None else times(row.speedup),
        "gain_default": None if row.speedup_default is None else times(row.speedup_default),
        "error": None if row.val_error is None else shown(row.val_error, row.objective),
        "spent": None if row.seconds is None else f"{number(row.seconds)} s",
    }


def all_tables(found: Gathered) -> list[PageTable]:
    """Return the tables of ``compare``."""
    if not found.chosen:
        return []
    parts = confirmed_parts(found.evidence)
    meaning = "; ".join(confirmed_notes(found.evidence)) if parts else ""
    tables = [
        PageTable(title=title, columns=columns, rows=rows, note=meaning if not place else "")
        for place, (title, rows, columns) in enumerate(parts)
    ]
    settings = settings_rows(found.rows, found.trials)
    search = PageTable(
        title="Search: one seed, validation split",
        columns=search_columns(found.rows),
        rows=search_cells(found.rows),
        note="; ".join(notes(found.chosen)),
    )
    settled = PageTable(
        title="Settings of these trials",
        columns=settings_columns(settings, found.trials),
        rows=settings,
        note=settings_note(found.chosen) or "",
    )
    return [*tables, search, settled]
