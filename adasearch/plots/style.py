"""How figures look: the style of where one will stand, and what a drawing function returns.

Each figure is drawn by one function, for a notebook's column as for a page of the report; a :class:`Style`
says for which. Notebooks add titles to what was drawn, the report adds more words and makes SVG of it.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; shapes repeat what they say.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adasearch.plots.axes import plain_axes

__all__ = ["ADAPTIVE", "CONSTANT", "GREY", "INK", "NOTEBOOK", "WIDTH", "Drawn", "Style", "Tips"]

SHAPES = "^sDvP"

Tips = list[tuple[Artist, Sequence[str]]]
"""Artists, and a text for each of their marks in the order in which they were drawn."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure without a title, what each of its marks is, how to read them, and a list of what happened."""

    figure: Figure
    tips: Tips
    note: str = ""
    listed: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """Where a figure will stand.

    Args:
        width: in inches.
        ink: colour of text and of what was measured.
        grey: colour of what is constant, or serves to compare.
        pale: colour of areas.
        series: colours of the adaptive schedulers in their order.
        labels: whether names, numbers and thresholds stand in the figure, as a still picture needs them; else
            there is a legend, the page tells what a mark is, and very many marks are thinned.
    """

    width: float
    ink: str
    grey: str
    pale: str
    series: tuple[str, ...]
    labels: bool

    def figure(self, height: float) -> Figure:
        """Return an empty figure of a height in inches."""
        return Figure(figsize=(self.width, height), layout="constrained")

    def axes(self, height: float) -> tuple[Figure, Axes]:
        """Return a figure of a height in inches, and its only axes."""
        figure = self.figure(height)
        return figure, plain_axes(figure.add_subplot())

    def look(self, place: int | None) -> tuple[str, str]:
        """Return colour and shape of the adaptive scheduler of this place; None is the constant one."""
        if place is None:
            return self.grey, "o"
        return self.series[place % len(self.series)], SHAPES[place % len(SHAPES)]


NOTEBOOK = Style(
    width=7.5,
    ink="#222222",
    grey="#6b6b6b",
    pale="#e8e8e8",
    series=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"),
    labels=True,
)
INK, GREY, WIDTH = NOTEBOOK.ink, NOTEBOOK.grey, NOTEBOOK.width
ADAPTIVE = tuple(zip(NOTEBOOK.series, SHAPES, strict=True))
CONSTANT = NOTEBOOK.look(None)
