"""What the axes of the report's figures have in common."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from adasearch.plots.search import PERCENTS

__all__ = ["WIDTH", "legend", "magnitudes", "percents", "short", "sizes", "thinned", "thousands"]

WIDTH = 5.2  # inches: a phone's width at one point a pixel
DRAWN = 300  # trials of a study, and points of a line: more are thinned


def thinned(count: int, most: int = DRAWN) -> list[int]:
    """Return at most so many of ``count`` places, evenly spread, the first and the last among them.

    >>> thinned(5, 3), thinned(2, 3)
    ([0, 2, 4], [0, 1])
    """
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def short(name: str, most: int = 30) -> str:
    """Return a name that a figure has room for.

    >>> short("my_schedulers:GrowOnLowLoss", 16)
    'my_schedulers:G…'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def thousands(value: float, _: object = None) -> str:
    """Write a count or a duration as short as a tick needs it.

    >>> thousands(0.5), thousands(2500.0), thousands(120000.0), thousands(3e6)
    ('0.5', '2,500', '120k', '3M')
    """
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= max(unit, 1e4):
            return f"{value / unit:g}{letter}"
    return f"{value:,g}" if abs(value) < 1 else f"{value:,.5g}"


def legend(figure: Figure) -> None:
    """Name the lines above the axes."""
    figure.legend(loc="outside upper left", ncols=2, handlelength=1.6, columnspacing=1.2, borderpad=0.1)


def percents(axes: Axes) -> None:
    """Make the vertical axis one of percentages: linear up to 1, so that 0 has a place, then logarithmic."""
    axes.set_yscale("symlog", linthresh=1, linscale=0.5)
    axes.margins(y=0.12)
    axes.yaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(bottom=max(0, low))
    few = sum(low <= value <= high for value in PERCENTS) < 2
    axes.yaxis.set_major_locator(MaxNLocator(4) if few else FixedLocator(PERCENTS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def sizes(axes: Axes) -> None:
    """Make the vertical axis one of batch sizes: a change by one factor is equally high everywhere."""
    axes.set_yscale("log", base=2)
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(2) if high >= 4 * low else MaxNLocator(3, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def magnitudes(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with ticks that hold no TeX, which a page would show as it is."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 3) if high < 100 * low else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))
