"""Rows to text, Markdown, CSV or JSON."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Column", "fraction", "number", "render", "times"]

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


def render(
    rows: Sequence[Row], columns: Sequence[Column], form: str, *, title: str = "", width: int | None = None
) -> str:
    """Return rows in a ``Format``; JSON is ``{"rows": [...]}`` and, like CSV, holds every raw value.

    Text that is wider than ``width`` characters is turned on its side: a line per column.
    """
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
    table = _lines(rows, columns)
    if width is not None and rows and max(map(len, table)) > width:
        table = _on_its_side(rows, columns, width)
    return "".join(f"{line}\n" for line in ([title] if title else []) + table)


def _lines(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    from rich.table import Table  # 50 ms, which --help need not wait for

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in columns:
        words = any(isinstance(row.get(column.key), str) for row in rows)
        table.add_column(column.header, justify="left" if words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(column.cell(row) for column in columns))
    return _printed(table, 1000)


def _on_its_side(rows: Sequence[Row], columns: Sequence[Column], width: int) -> list[str]:
    """Return a line per column, and as many rows beside one another as there is room for, one at least."""
    from rich.table import Table

    left = max(len(column.header) for column in columns) + 2
    groups: list[list[Row]] = []
    room = 0
    for row in rows:
        needed = max(len(column.cell(row)) for column in columns) + 2
        if not groups or needed > room:
            groups.append([])
            room = width - left
        groups[-1].append(row)
        room -= needed
    lines: list[str] = []
    for group in groups:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True)
        for _ in group:
            table.add_column(overflow="fold")
        for column in columns:
            table.add_row(column.header, *(column.cell(row) for row in group))
        lines += [*([""] if lines else []), *_printed(table, width)]
    return lines


def _printed(table: "Table", width: int) -> list[str]:
    from rich.console import Console

    # In a notebook rich would show the table itself, before what is printed, and write nothing here.
    console = Console(
        file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False, force_jupyter=False
    )
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]
