"""Rows to text, Markdown, CSV or JSON."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from adasearch.choices import Format

__all__ = ["FORMATS", "Column", "fraction", "number", "render", "times"]

FORMATS: tuple[str, ...] = get_args(Format)

Row = Mapping[str, object]


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table for people: the row's key, the header, and how a value is written."""

    key: str
    header: str
    write: Callable[[object], str] = _plain

    def cell(self, row: Row) -> str:
        """Return a row's value as text; a dash where there is none."""
        value = row.get(self.key)
        return "-" if value is None else self.write(value)


def fraction(value: object) -> str:
    """Write a fraction as a percentage.

    >>> fraction(0.0315)
    '3.1 %'
    """
    assert isinstance(value, int | float)
    return f"{round(100 * value, 1) + 0.0:.1f} %"  # + 0.0: no minus before a zero


def number(value: object) -> str:
    """Write a number with one decimal."""
    assert isinstance(value, int | float)
    return f"{value:.1f}"


def times(value: object) -> str:
    """Write a ratio.

    >>> times(1.5)
    '1.50x'
    """
    assert isinstance(value, int | float)
    return f"{value:.2f}x"


def render(rows: Sequence[Row], columns: Sequence[Column], form: str, *, title: str = "") -> str:
    """Return rows in one of ``FORMATS``; JSON is ``{"rows": [...]}`` and, like CSV, holds every raw value."""
    if form == "json":
        return json.dumps({"rows": list(rows)}, indent=2, default=str) + "\n"
    if form == "csv":
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in rows for name in row)) or [
            column.key for column in columns
        ]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()
    if form == "markdown":
        lines = [[column.header for column in columns], ["---"] * len(columns)]
        lines += [[column.cell(row).replace("|", "\\|") for column in columns] for row in rows]
        head = f"**{title}**\n\n" if title else ""
        return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return _text(rows, columns, title)


def _text(rows: Sequence[Row], columns: Sequence[Column], title: str) -> str:
    from rich.console import Console  # 50 ms, which --help need not wait for
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        words = any(isinstance(row.get(column.key), str) for row in rows)
        table.add_column(column.header, justify="left" if words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(column.cell(row) for column in columns))
    console = Console(file=io.StringIO(), width=1000, highlight=False, markup=False, emoji=False)
    if title:
        console.print(title)  # as the table's own it would be broken to its width
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "".join(line.rstrip() + "\n" for line in console.file.getvalue().splitlines())
