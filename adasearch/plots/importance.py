"""Which settings mattered, and the map of two of them: what its cells gave, on how many trials."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from adasearch.analysis.importance import ImportanceRow
from adasearch.plots.axes import legend, name_rows
from adasearch.plots.style import INK, NOTEBOOK, Drawn, Style, Tips

__all__ = ["draw_importances", "interaction_map"]

MAX_SETTINGS = 14  # that a figure has room for: the most important ones

PANELS = (
    ("val_error", "median validation error (%)", 100.0),
    ("seconds", "median training time (seconds)", 1.0),
)
COLOURS = "cividis"  # reads alike with and without colour vision


def interaction_map(cells: pd.DataFrame, title: str = "") -> Figure:
    """Draw what :func:`adasearch.analysis.interaction.interaction` returned: one panel per objective.

    Each cell names its median and its trials; a hatched one had none.
    """
    first, second = cells.columns[:2]
    rows, columns = list(cells[first].cat.categories), list(cells[second].cat.categories)
    figure = NOTEBOOK.figure(1.9 + 0.45 * len(rows))
    for axes, (value, label, factor) in zip(figure.subplots(1, 2, sharey=True), PANELS, strict=True):
        _draw(axes, cells, value, factor)
        axes.set_title(label, loc="left", fontsize=9, color=INK)
        axes.set_xticks(range(len(columns)), [str(name) for name in columns], fontsize=8, rotation=30)
        axes.set_yticks(range(len(rows)), [str(name) for name in rows], fontsize=8)
        axes.set_xlabel(second)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(-0.5, len(rows) - 0.5)
    figure.axes[0].set_ylabel(first)
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontsize=10, fontweight="bold")
    return figure


def _draw(axes: Axes, cells: pd.DataFrame, value: str, factor: float) -> None:
    known = factor * cells[value].dropna()
    scale = Normalize(known.min(), known.max()) if len(known) else Normalize(0, 1)
    for row, column, trials, found in zip(
        cells.iloc[:, 0].cat.codes, cells.iloc[:, 1].cat.codes, cells["trials"], cells[value], strict=True
    ):
        corner = (column - 0.5, row - 0.5)
        if math.isnan(found):
            empty = Rectangle(corner, 1, 1, fill=False, hatch="///", edgecolor=NOTEBOOK.pale, linewidth=0)
            axes.add_patch(empty).set_gid("empty")
            continue
        share = float(scale(factor * found))
        colour = colormaps[COLOURS](share)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white")).set_gid("cell")
        axes.text(
            column,
            row,
            f"{factor * found:.3g}\nn={trials}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if share < 0.5 else INK,
        )


def draw_importances(rows: Sequence[ImportanceRow], *, style: Style) -> Drawn | None:
    """Draw how much of error and time each setting of one study explains; None where nothing has a share."""
    known = [(row, row.importance) for row in rows if row.importance is not None]
    if not known:
        return None
    most: dict[str, float] = {}
    for row, share in known:
        most[row.parameter] = max(most.get(row.parameter, 0.0), share)
    names = sorted(most, key=lambda each: (-most[each], each))[:MAX_SETTINGS]
    figure, axes = style.axes(1.1 + 0.36 * len(names))
    tips: Tips = []
    for objective, label, colour, shift in (
        ("val_error", "validation error", style.series[0], -0.19),
        ("seconds", "training time", style.grey, 0.19),
    ):
        own = [pair for pair in known if pair[0].objective == objective and pair[0].parameter in names]
        for place, (row, share) in enumerate(own):
            height = names.index(row.parameter) + shift
            (bar,) = axes.barh(height, share, color=colour, height=0.34, label=None if place else label)
            band = "" if row.spread is None else f" ± {row.spread:.2f}"
            tips.append((bar, [f"{row.parameter}, of {label}: {share:.2f}{band}"]))
            if row.spread:
                ends = [max(0.0, share - row.spread), min(1.0, share + row.spread)]
                axes.plot(ends, [height, height], color=style.ink, lw=1)
    name_rows(axes, names, most=34)
    axes.set_xlim(left=0)
    axes.set_xlabel("share of what the settings explain")
    legend(figure)
    first, _ = known[0]
    note = (
        f"{first.evaluator} on {first.complete} complete trials; lines: the spread if the trials are drawn "
        "anew. Trials that were stopped early do not count."
    )
    return Drawn(figure, tips, note)
