"""What was confirmed, as figures; see :mod:`adasearch.plots` for the house rules."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.estimates import Estimate
from adasearch.analysis.paired_tests import error_of, speedup_of
from adasearch.plots.search import ADAPTIVE, GREY, WIDTH, left_title, plain_axes

__all__ = ["against_controls"]


def against_controls(rows: Sequence[ConfirmedRow]) -> Figure:
    """Draw each candidate against each of its controls: speed-up and difference of test error.

    A mark is the mean over paired seeds, a bar its 95 % bootstrap interval, the dotted line no difference and
    the grey band the margin of equal errors. ``rows`` are those of
    :func:`adasearch.analysis.confirmed_runs.confirmed_rows`; rows without pairs are left out.
    """
    controls = [row for row in rows if row.table == "controls" and row.pairs]
    schedulers = list(dict.fromkeys(row.scheduler for row in controls))
    figure = Figure(figsize=(WIDTH, 1.2 + 0.22 * max(4, len(controls))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    labels = [f"{row.architecture}, {row.scheduler} against {row.role.replace('_', ' ')}" for row in controls]
    for axes in (left, right):
        plain_axes(axes)
        axes.set_yticks(range(len(controls)), labels, fontsize=8)
        axes.set_ylim(max(1, len(controls)) - 0.5, -0.5)
    _bars(left, controls, schedulers, lambda row: speedup_of(row.paired), 1)
    left.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    left.set_xlabel("times as fast")
    left_title(left, "Speed-up")
    _bars(right, controls, schedulers, lambda row: error_of(row.paired), 100)
    right.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    if controls:
        margin = 100 * controls[0].error_margin
        right.axvspan(-margin, margin, color=GREY, alpha=0.15, linewidth=0)
    right.set_xlabel("test error, points above the control's")
    left_title(right, "Difference of error")
    return figure


def _bars(
    axes: Axes,
    rows: Sequence[ConfirmedRow],
    schedulers: Sequence[str],
    value: Callable[[ConfirmedRow], Estimate | None],
    unit: float,
) -> None:
    for place, row in enumerate(rows):
        found = value(row)
        if found is None:
            continue
        colour, shape = ADAPTIVE[schedulers.index(row.scheduler) % len(ADAPTIVE)]
        if found.low is not None and found.high is not None:
            axes.plot([unit * found.low, unit * found.high], [place, place], color=colour, linewidth=1.4)
        axes.plot(unit * found.mean, place, shape, color=colour, ms=5, gid=f"{row.study} {row.role}")
