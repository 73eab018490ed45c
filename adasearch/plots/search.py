"""Numbers to figures. Each function returns a matplotlib Figure of its own and touches no global state.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; shapes repeat what they say.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from adasearch.analysis.search_table import SearchRow, complete_trials, pareto_front, search_rows
from adasearch.analysis.selection import error_bound
from adasearch.analysis.trajectory import changes, deba_trace
from adasearch.analysis.verdicts import SearchVerdict
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.registry import BASELINE

__all__ = [
    "ADAPTIVE",
    "CONSTANT",
    "GREY",
    "INK",
    "WIDTH",
    "batch_sizes",
    "deba_signals",
    "left_title",
    "pareto",
    "plain_axes",
]

INK, GREY, PALE = "#222222", "#6b6b6b", "#e8e8e8"
ADAPTIVE = (("#0072B2", "^"), ("#D55E00", "s"), ("#009E73", "D"), ("#CC79A7", "v"), ("#E69F00", "P"))
CONSTANT = (GREY, "o")
ACTION = {"grow": "#0072B2", "shrink": "#D55E00"}
ROLE: Mapping[SearchVerdict, str] = {"not confirmed": "candidate", "no gain in search": "no gain"}
WIDTH = 7.5  # inches, a notebook's column
LISTED = 12  # changes whose reasons have room below a figure
PERCENTS = (0, 1, 2, 5, 10, 20, 50, 100)
MULTIPLES = (0, 0.5, 1, 2, 5, 20, 100, 1000)  # of a threshold

Style = tuple[str, str]
"""Colour and shape."""


def pareto(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> Figure:
    """Draw the complete trials of comparable studies: validation error against seconds.

    The step lines are the Pareto fronts, the ringed trials are those of the search table, and the dotted
    line is E, the error up to which a trial counts as equally good. ``studies`` must not be empty.
    """
    rows = search_rows(studies, trials)
    points = complete_trials(studies, trials)
    adaptive = [row.scheduler for row in rows if row.scheduler != BASELINE]
    styles = {name: ADAPTIVE[place % len(ADAPTIVE)] for place, name in enumerate(adaptive)}
    figure = Figure(figsize=(WIDTH, 4), layout="constrained")
    axes = plain_axes(figure.add_subplot())
    for row in rows:
        own = points[points["scheduler"] == row.scheduler]
        _draw_trials(axes, own, row.scheduler, styles.get(row.scheduler, CONSTANT))
    _name_rows(axes, rows, styles)
    constant = points.loc[points["scheduler"] == BASELINE, "val_error"]
    if len(constant):
        bound = 100 * error_bound(constant.min(), studies[0].val_examples)
        axes.axhline(bound, color=GREY, linewidth=0.8, linestyle=":", zorder=1, gid="E")
        _beside(axes, f"E = {bound:.1f} %", bound)
    # Linear below 1 %, so that an error of 0 has a place, and logarithmic above.
    axes.set_yscale("symlog", linthresh=1, linscale=0.5)
    _ticks(axes, PERCENTS, "g")
    _leave_room(axes)
    axes.set_xlabel(f"training time of one trial (seconds, {studies[0].clock} clock)")
    axes.set_ylabel("validation error (%)")
    left_title(axes, f"{studies[0].architecture}, {studies[0].scale}, on {studies[0].dataset}")
    return figure


def _leave_room(axes: Axes) -> None:
    """Leave room for the names left and right of the outermost points, but none below an error of 0."""
    axes.margins(x=0, y=0.2)
    low, high = axes.get_xlim()
    axes.set_xlim(low - 0.35 * (high - low), high + 0.25 * (high - low))
    axes.set_ylim(bottom=max(0, axes.get_ylim()[0]))


def _draw_trials(axes: Axes, own: pd.DataFrame, scheduler: str, style: Style) -> None:
    colour, shape = style
    error = 100 * own["val_error"]
    axes.plot(own["seconds"], error, shape, color=colour, alpha=0.6, mew=0, gid=f"{scheduler} trials")
    front = pareto_front(own, second="seconds").sort_values("seconds")
    error = 100 * front["val_error"]
    axes.plot(front["seconds"], error, drawstyle="steps-post", color=colour, gid=f"{scheduler} front")


def _name_rows(axes: Axes, rows: Sequence[SearchRow], styles: Mapping[str, Style]) -> None:
    """Ring and name the trial of each row, the fastest on its left and the others on their right."""
    marked = [
        (row.seconds, row.val_error, row)
        for row in rows
        if row.val_error is not None and row.seconds is not None
    ]
    marked.sort(key=lambda mark: mark[:2])
    for place, (spent, error, row) in enumerate(marked):
        colour, _ = styles.get(row.scheduler, CONSTANT)
        axes.plot(spent, 100 * error, "o", mfc="none", mec=colour, mew=1.6, ms=12, gid=f"{row.scheduler} row")
        axes.annotate(
            f"{row.scheduler}: {ROLE.get(row.verdict, row.verdict)}",
            (spent, 100 * error),
            xytext=(6, -7) if place else (-6, -7),
            textcoords="offset points",
            ha="left" if place else "right",
            va="top",
            color=colour,
            fontsize=9,
            fontweight="bold",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def batch_sizes(trial: TrialRecord, intervals: Sequence[IntervalRecord]) -> Figure:
    """Draw a trial's batch size over examples, each change numbered and its reason listed below.

    ``intervals`` must not be empty.
    """
    made = changes(intervals).to_dict("records")
    reasons = [
        f"{number:\u2007>2}   {row['from']} → {row['to']}:  {row['reason']}"
        for number, row in enumerate(made, 1)
    ]
    if len(made) > LISTED:
        reasons = [*reasons[:LISTED], f"and {len(made) - LISTED} more"]
    note = "\n".join(reasons) or "The batch size never changed."
    figure = Figure(figsize=(WIDTH, 2.9 + 0.19 * len(reasons)), layout="constrained")
    axes = plain_axes(figure.add_subplot())
    sizes = [record.signals.batch_size for record in intervals]
    begins = [0, *(record.signals.examples_seen for record in intervals)]
    axes.plot(begins, [*sizes, sizes[-1]], color=INK, drawstyle="steps-post", gid="batch size")
    for number, row in enumerate(made, 1):
        place, colour = (row["examples_seen"], row["to"]), ACTION[row["action"]]
        axes.plot(*place, "o", color=colour, markersize=13, gid=row["action"])
        axes.annotate(str(number), place, ha="center", va="center_baseline", color="white", fontsize=8)
    # Logarithmic: a change by one factor is equally high everywhere.
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    seen = [*sizes, *(row["to"] for row in made)]
    axes.set_ylim(min(seen) / 1.4, max(seen) * 1.4)
    axes.set_ylabel("batch size\n(examples per step)")
    _over_examples(axes)
    left_title(axes, trial.trial_id)
    figure.supxlabel(note, x=0.02, ha="left", fontsize=8.5, linespacing=1.5, color=INK)
    return figure


def deba_signals(trial: TrialRecord, intervals: Sequence[IntervalRecord]) -> Figure:
    """Draw what a Deba trial compared with its thresholds, recomputed from its stored signals.

    Full points were compared; at hollow ones it waited. Numbered lines are the changes of the batch size.
    ``intervals`` must hold at least two.
    """
    deba = Deba(**trial.fields_of("scheduler"))  # type: ignore[arg-type]
    trace = deba_trace(trial, intervals)
    made = changes(intervals).to_dict("records")
    figure = Figure(figsize=(WIDTH, 5.8), layout="constrained")
    panels = (
        ("c", "confidence c\n(over its median)", "confidence", deba.confidence_threshold),
        ("dg", "norm variation dG\n(relative)", "stability", deba.stability_threshold),
        ("dl", "loss variation dL\n(relative)", "stability", deba.stability_threshold),
    )
    rows = [plain_axes(axes) for axes in figure.subplots(len(panels), sharex=True)]
    for axes, (name, label, kind, threshold) in zip(rows, panels, strict=True):
        for number, row in enumerate(made, 1):
            axes.axvline(row["examples_seen"], color=ACTION[row["action"]], linewidth=1, gid=row["action"])
            if axes is rows[0]:
                _above(axes, str(number), row["examples_seen"], ACTION[row["action"]])
        axes.axhspan(0, threshold, color=PALE, linewidth=0, zorder=0)
        axes.axhline(threshold, color=INK, linewidth=1, linestyle="--", gid=f"{name} threshold")
        _beside(axes, f"{kind}\nthreshold\n{threshold:.3g}", threshold)
        axes.plot(trace["examples_seen"], trace[name], color=GREY, linewidth=1, gid=name)
        for decided, fill in ((True, INK), (False, "white")):
            own = trace[trace["decided"] == decided]
            part = f"{name} {'compared' if decided else 'waited'}"
            points = axes.plot(own["examples_seen"], own[name], "o", color=INK, mfc=fill, ms=5, gid=part)
            points[0].set(clip_on=False, zorder=3)
        # Linear around the threshold and logarithmic far above, where the first intervals often are.
        axes.set_yscale("symlog", linthresh=2 * threshold, linscale=1.5)
        _ticks(axes, [threshold * times for times in MULTIPLES], ".2g")
        axes.set_ylim(0, 1.3 * max(threshold, trace[name].max()))
        axes.set_ylabel(label)
    _over_examples(rows[-1])
    figure.align_ylabels(rows)
    note = "● compared   ○ waited (first intervals, cooldown, end)   grey: below the threshold"
    figure.supxlabel(note, x=0.02, ha="left", fontsize=8.5, color=INK)
    figure.suptitle(trial.trial_id, x=0.02, ha="left", fontsize=10, fontweight="bold")
    return figure


def plain_axes(axes: Axes) -> Axes:
    """Return the axes without the lines and sizes that carry no meaning."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    return axes


def left_title(axes: Axes, text: str) -> None:
    """Put a title above the left end of the axes."""
    axes.set_title(text, loc="left", fontsize=10, fontweight="bold")


def _over_examples(axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("training examples seen")


def _ticks(axes: Axes, values: Sequence[float], form: str) -> None:
    """Put the vertical axis's ticks at these values alone."""
    axes.yaxis.set_major_locator(FixedLocator(values))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format(value, form)))


def _beside(axes: Axes, text: str, height: float) -> None:
    """Write to the right of the axes, at a height of the data."""
    where = axes.get_yaxis_transform()
    axes.text(1.01, height, text, transform=where, va="center", fontsize=8.5, color=INK)


def _above(axes: Axes, text: str, place: float, colour: str) -> None:
    where = axes.get_xaxis_transform()
    axes.text(place, 1.02, text, transform=where, ha="center", va="bottom", fontsize=9, color=colour)
