"""The map of two parameters: what their cells gave, and how many trials that rests on."""

import math

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from adasearch.plots.search import INK, PALE, WIDTH

__all__ = ["interaction_map"]

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
    figure = Figure(figsize=(WIDTH, 1.9 + 0.45 * len(rows)), layout="constrained")
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
            empty = Rectangle(corner, 1, 1, fill=False, hatch="///", edgecolor=PALE, linewidth=0)
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
