"""What the axes of figures have in common: their scales, ticks and titles."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Locator, LogLocator, MaxNLocator, NullLocator

from adasearch.counts import unit_of
from adasearch.objective import is_fraction, named

__all__ = [
    *("beside", "left_title", "legend", "magnitudes", "name_rows", "note_below", "objective_label"),
    *("over_examples", "per_step", "percents", "plain_axes", "plain_ticks", "seen", "short", "sizes"),
    *("thinned", "thousands"),
]

PERCENTS = (0, 1, 2, 5, 10, 20, 50, 100)
MAX_MARKS = 300  # trials of a study, and points of a line, that a page shows: more are thinned


def plain_axes(axes: Axes) -> Axes:
    """Return the axes without the lines and sizes that carry no meaning."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9.5)
    return axes


def plain_ticks(axis: Axis, locator: Locator | None = None) -> None:
    """Write an axis's ticks as plain numbers: a logarithmic one has TeX, which a page would show as it is."""
    if locator is not None:
        axis.set_major_locator(locator)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def left_title(axes: Axes, text: str) -> None:
    """Put a title above the left end of the axes."""
    axes.set_title(text, loc="left", fontsize=10, fontweight="bold", parse_math=False)


def note_below(figure: Figure, text: str) -> None:
    """Put lines of explanation below the axes."""
    figure.supxlabel(text, x=0.02, ha="left", fontsize=8.5, linespacing=1.5, parse_math=False)


def beside(axes: Axes, text: str, height: float) -> None:
    """Write to the right of the axes, at a height of the data."""
    axes.text(1.01, height, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)


def legend(figure: Figure) -> None:
    """Name the lines above the axes."""
    figure.legend(
        loc="outside upper left", ncols=2, handlelength=1.6, columnspacing=1.2, borderpad=0.1, frameon=False
    )


def name_rows(axes: Axes, names: Sequence[str], most: int) -> None:
    """Make the vertical axis one of named rows, the first on top; a name has at most so many letters."""
    axes.set_yticks(range(len(names)), [short(name, most) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def objective_label(objective: str, sequence_length: int | None) -> str:
    """Return what the axis of an objective is called, with its unit where that is known.

    >>> objective_label("error", None), objective_label("loss", 128), objective_label("loss", None)
    ('error (%)', 'loss (nats per token)', 'loss')
    """
    unit = " (%)" if is_fraction(objective) else "" if sequence_length is None else " (nats per token)"
    return f"{named(objective)}{unit}"


def seen(sequence_length: int | None) -> str:
    """Return what the axis of a training's course is called."""
    return f"training {unit_of([sequence_length])} seen"


def per_step(sequence_length: int | None) -> str:
    """Return what the axis of batch sizes is called."""
    return f"batch size\n({unit_of([sequence_length])} per step)"


def over_examples(axes: Axes, label: str) -> None:
    """Make the horizontal axis one of examples, or of what else adds up during training."""
    axes.set_xlim(left=0)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(thousands)


def percents(axes: Axes) -> None:
    """Make the vertical axis one of percentages: linear up to 1, so that 0 has a place, then logarithmic."""
    axes.set_yscale("symlog", linthresh=1, linscale=0.5)
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    axes.set_ylim(bottom=max(0, low))
    few = sum(low <= value <= high for value in PERCENTS) < 2
    plain_ticks(axes.yaxis, MaxNLocator(4) if few else FixedLocator(PERCENTS))


def sizes(axes: Axes) -> None:
    """Make the vertical axis one of batch sizes: a change by one factor is equally high everywhere."""
    axes.set_yscale("log", base=2)
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    plain_ticks(axes.yaxis, LogLocator(2) if high >= 4 * low else MaxNLocator(3, integer=True))


def magnitudes(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with at least two ticks."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    plain_ticks(axes.yaxis, LogLocator(10, subs=(1, 3) if high < 100 * low else (1,)))
    axes.yaxis.set_major_formatter(thousands)


def thinned(count: int) -> list[int]:
    """Return at most ``MAX_MARKS`` of ``count`` places, evenly spread, the first and the last among them.

    >>> thinned(3), thinned(599)[:3], len(thinned(599))
    ([0, 1, 2], [0, 2, 4], 300)
    """
    if count <= MAX_MARKS:
        return list(range(count))
    return [round(place * (count - 1) / (MAX_MARKS - 1)) for place in range(MAX_MARKS)]


def short(name: str, most: int = 30) -> str:
    """Return a name that a figure has room for.

    >>> short("my_schedulers:GrowOnLowLoss", 16)
    'my_schedulers:G…'
    """
    return name if len(name) <= most else f"{name[: most - 1]}…"


def thousands(value: float, _: object = None) -> str:
    """Write a count or a duration as short as a tick needs it.

    >>> thousands(0.5), thousands(2500.0), thousands(120000.0), thousands(3e6), thousands(1e9)
    ('0.5', '2,500', '120k', '3M', '1e+09')
    """
    if abs(value) < 1 or abs(value) >= 1e9:
        return f"{value:g}"
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= max(unit, 1e4):
            return f"{value / unit:g}{letter}"
    return f"{value:,.5g}"
