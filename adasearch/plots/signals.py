"""What a scheduler looked at during a run, as figures."""

import math
from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from adasearch.analysis.trajectory import deba_of, deba_trace
from adasearch.counts import count
from adasearch.plots.axes import (
    beside,
    magnitudes,
    note_below,
    over_examples,
    plain_axes,
    plain_ticks,
    seen,
    thinned,
)
from adasearch.plots.style import NOTEBOOK, Drawn, Style, Tips
from adasearch.plots.trajectories import decision_text
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.signal_sets import MEASURED, PRECONDITIONED

__all__ = ["deba_signals", "draw_deba", "draw_signals"]

PANELS = (
    ("c", "confidence c", "(over its median)"),
    ("dg", "norm variation dG", "(relative)"),
    ("dl", "loss variation dL", "(relative)"),
)
MULTIPLES = (0, 0.5, 1, 2, 5, 20, 100, 1000)  # of a threshold


def deba_signals(
    trial: TrialRecord, intervals: Sequence[IntervalRecord], *, sequence_length: int | None = None
) -> Figure:
    """Draw what a Deba trial compared with its thresholds, recomputed from its stored signals.

    Large points were compared; at small ones it waited. Numbered lines are the changes of the batch size.
    ``intervals`` must hold at least two. Of a language task ``sequence_length`` is given, and tokens are
    drawn.
    """
    drawn = draw_deba(trial, intervals, style=NOTEBOOK, sequence_length=sequence_length)
    drawn.figure.set_figheight(5.8)
    drawn.figure.suptitle(trial.trial_id, x=0.02, ha="left", fontsize=10, fontweight="bold", parse_math=False)
    note_below(drawn.figure, "\n".join(wrap(drawn.note, 110)))
    return drawn.figure


def draw_deba(
    trial: TrialRecord,
    intervals: Sequence[IntervalRecord],
    *,
    style: Style,
    sequence_length: int | None = None,
) -> Drawn:
    """Draw DEBA's indicators and thresholds in a trial of "deba" with at least two intervals."""
    deba, trace = deba_of(trial), deba_trace(trial, intervals)
    trace["examples_seen"] *= sequence_length or 1
    trace = trace if style.labels else trace.iloc[thinned(len(trace))]
    figure = style.figure(5.2)
    tips: Tips = []
    decisions = {r.signals.interval: decision_text(r, sequence_length) for r in intervals}
    rows = [plain_axes(axes) for axes in figure.subplots(len(PANELS), sharex=True)]
    for axes, (name, label, unit) in zip(rows, PANELS, strict=True):
        kind = "confidence" if name == "c" else "stability"
        threshold = deba.confidence_threshold if name == "c" else deba.stability_threshold
        _draw_changes(axes, intervals, style, sequence_length, numbered=style.labels and axes is rows[0])
        axes.axhspan(0, threshold, color=style.pale, lw=0, zorder=0)
        axes.axhline(threshold, color=style.ink, lw=1, ls="--", gid=f"{name} threshold")
        own = trace[np.isfinite(trace[name])]
        axes.plot(own["examples_seen"], own[name], color=style.grey, lw=1, gid=name)
        for some, word, shape, colour in (
            (own[own["decided"]], "compared", "o", style.ink),
            (own[~own["decided"]], "waited", ".", style.grey),
        ):
            if some.empty:  # a line that is not clipped reaches to the figure's corner when it is empty
                continue
            marks = axes.plot(some["examples_seen"], some[name], shape, color=colour, ms=5, mew=0,
                              clip_on=False, gid=f"{name} {word}")  # fmt: skip
            pairs = zip(some["interval"], some[name], strict=True)
            tips.append((marks[0], [f"{label} = {value:.3g}; {decisions[at]}" for at, value in pairs]))
        # Linear around the threshold and logarithmic far above, where the first intervals often are.
        axes.set_yscale("symlog", linthresh=2 * threshold, linscale=1.5)
        plain_ticks(axes.yaxis, FixedLocator([threshold * times for times in MULTIPLES]))
        axes.yaxis.set_major_formatter("{x:.2g}")
        axes.set_ylim(0, 1.3 * max([threshold, *own[name]]))
        axes.set_ylabel(f"{label}\n{unit}")
        if style.labels:
            beside(axes, f"{kind}\nthreshold\n{threshold:.3g}", threshold)
    over_examples(rows[-1], seen(sequence_length))
    figure.align_ylabels()
    note = (
        f"Rule {deba.rule}. Dashed: the threshold; grey: below it. Large points were compared with it, at "
        "small ones it waited (first intervals, cooldown, end). Vertical lines: changes of the batch size."
    )
    return Drawn(figure, tips, note)


def draw_signals(
    intervals: Sequence[IntervalRecord], *, style: Style, sequence_length: int | None = None
) -> Drawn:
    """Draw the signals that were measured in a run, or the training loss where none was."""
    known = {name: _finite(intervals, name) for name in (*MEASURED, *sorted(PRECONDITIONED))}
    shown = {name: rows for name, rows in known.items() if rows}
    shown = shown or {"train_loss": _finite(intervals, "train_loss")}
    figure = style.figure(0.8 + 1.5 * len(shown))
    tips: Tips = []
    panels = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
    for axes, (name, rows) in zip(panels, shown.items(), strict=True):
        rows = [rows[i] for i in thinned(len(rows))]
        ends = [count(record.signals.examples_seen, sequence_length) for record, _ in rows]
        values = [value for _, value in rows]
        _draw_changes(plain_axes(axes), intervals, style, sequence_length)
        axes.plot(ends, values, color=style.grey, lw=1)
        marks = axes.plot(ends, values, "o", color=style.ink, ms=4, mew=0, gid=name)
        tips.append(
            (marks[0], [f"{name} = {value:.4g}; {decision_text(r, sequence_length)}" for r, value in rows])
        )
        if values and min(values) > 0 and max(values) > 20 * min(values):
            magnitudes(axes)
        axes.set_ylabel(name.replace("_", " ").replace("component", "comp."), fontsize=9)
    over_examples(panels[-1], seen(sequence_length))
    figure.align_ylabels()
    note = "What was measured for it. Vertical lines: changes of the batch size; points tell the reason."
    return Drawn(figure, tips, note)


def _draw_changes(
    axes: Axes,
    intervals: Sequence[IntervalRecord],
    style: Style,
    sequence_length: int | None,
    *,
    numbered: bool = False,
) -> None:
    """Draw a line where the batch size changed, in the colour of its direction; above areas, below points."""
    made = [
        (record.decision.action, count(record.signals.examples_seen, sequence_length))
        for record in intervals
        if record.decision.action != "hold"
    ]
    colours = {"grow": style.series[0], "shrink": style.series[1]}
    where = axes.get_xaxis_transform()
    for action, colour in colours.items():
        places = [end for each, end in made if each == action]
        axes.vlines(places, 0, 1, transform=where, color=colour, lw=0.8, alpha=0.7, zorder=0.5, gid=action)
    for number, (action, end) in enumerate(made if numbered else (), 1):
        axes.text(end, 1.02, str(number), transform=where, ha="center", va="bottom", fontsize=9,
                  color=colours[action])  # fmt: skip


def _finite(intervals: Sequence[IntervalRecord], name: str) -> list[tuple[IntervalRecord, float]]:
    """Return the intervals with a finite value of a signal, and the value."""
    pairs = [(record, getattr(record.signals, name)) for record in intervals]
    return [(record, value) for record, value in pairs if value is not None and math.isfinite(value)]
