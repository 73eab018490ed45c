"""Importances as a table: one per scheduler and objective, parameters down, architectures across."""

from collections.abc import Sequence
from dataclasses import asdict

from adasearch.importance import ImportanceRow
from adasearch.tables import Column, render

__all__ = ["importance_table"]

TITLES = {"val_error": "validation error", "seconds": "seconds"}


def importance_table(rows: Sequence[ImportanceRow], form: str, *, mark: str = "") -> str:
    """Return importances in one of :data:`~adasearch.tables.FORMATS`; JSON and CSV hold every raw row.

    ``mark`` is added to the titles.
    """
    if form in ("csv", "json"):
        return render([asdict(row) for row in rows], [], form)
    if not rows:
        return "nothing was searched\n"
    parts = []
    for scheduler, objective in dict.fromkeys((row.scheduler, row.objective) for row in rows):
        own = [row for row in rows if (row.scheduler, row.objective) == (scheduler, objective)]
        clocks = " and ".join(sorted({row.clock for row in own}))
        what = TITLES[objective] + (f" ({clocks} clock)" if objective == "seconds" else "")
        if any(row.importance is not None for row in own):
            parts.append(_one_table(own, form, title=f"{scheduler}: what mattered for {what}{mark}"))
        else:
            why = dict.fromkeys(f"{row.study} ({row.note})" for row in own)
            parts.append(f"{scheduler}: what mattered for {what} cannot be told: {', '.join(why)}\n")
    known = any(row.importance is not None for row in rows)
    return "\n".join([*parts, *(_notes(rows) if known else []), ""])


def _one_table(rows: Sequence[ImportanceRow], form: str, *, title: str) -> str:
    studies = {row.study: row.architecture for row in rows}
    alone = len(set(studies.values())) == len(studies)
    columns = [Column("parameter", "parameter")]
    columns += [Column(study, network if alone else study) for study, network in studies.items()]
    columns = [*columns, Column("mean", "mean", _share)] if len(studies) > 1 else columns
    means: dict[str, float | None] = {}
    lines: dict[str, dict[str, object]] = {}
    for name in dict.fromkeys(row.parameter for row in rows):
        own = [row for row in rows if row.parameter == name]
        known = [row.importance for row in own if row.importance is not None]
        means[name] = sum(known) / len(known) if known else None
        lines[name] = {"parameter": name, "mean": means[name], **{row.study: _cell(row) for row in own}}
    # The scheduler's own first, in each part the most important.
    ordered = sorted(lines, key=lambda name: (name.startswith("train/"), -(means[name] or 0)))
    table = render([lines[name] for name in ordered], columns, form, title=title)
    notes = {f"{studies[row.study] if alone else row.study}: {row.note}": None for row in rows if row.note}
    if notes and form == "markdown":
        table += "\n"  # else the notes are rows
    return table + "".join(f"{note}\n" for note in notes)


def _cell(row: ImportanceRow) -> str | None:
    if row.importance is None:
        return None
    return _share(row.importance) + ("" if row.spread is None else f" ± {_share(row.spread)}")


def _share(value: object) -> str:
    return f"{value:.2f}"


def _notes(rows: Sequence[ImportanceRow]) -> list[str]:
    first = rows[0]
    counts: dict[str, int] = {row.study: row.complete for row in rows}
    low, high = min(counts.values()), max(counts.values())
    trials = f"{low}" if low == high else f"{low} to {high}"
    return [
        f"{first.evaluator}: shares of what the searched parameters explain, 1 in all for each network;",
        f"means over {first.seeds} seeds, ± the spread if each seed draws the {trials} complete trials",
        "anew; trials that were stopped early do not count, so what got them stopped is underrated",
    ]
