"""What a notebook shows: words, a table and a picture, every name of a user's escaped."""

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["picture", "table", "text"]

SHORT = (
    *("architecture", "scheduler", "val_error", "seconds", "speedup", "adaptations", "mean_batch_size"),
    *("trials", "verdict"),
)
"""The columns of the search table that tell most."""


def text(*lines: str) -> str:
    """Return paragraphs.

    >>> text("a < b")
    '<p>a &lt; b</p>'
    """
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def table(rows: Sequence[Mapping[str, object]], *, short: bool = False) -> str:
    """Return rows as a table; of ``short`` ones the columns that tell most.

    >>> table([{"a": 0.123456, "b": None}])
    '<table><tr><th>a</th><th>b</th></tr><tr><td>0.1235</td><td>-</td></tr></table>'
    """
    names = [
        name for name in dict.fromkeys(name for row in rows for name in row) if not short or name in SHORT
    ]
    head = "".join(f"<th>{escape(str(name))}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{_cell(row.get(name))}</td>' for name in names)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    if value is None or value != value:  # NaN stands for what there is not
        return "-"
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def picture(figure: "Figure | None") -> str:
    """Return a figure as SVG; nothing where there is none."""
    if figure is None:
        return ""
    sink = io.StringIO()
    figure.savefig(sink, format="svg", bbox_inches="tight")
    drawn = sink.getvalue()
    return drawn[drawn.index("<svg") :]
