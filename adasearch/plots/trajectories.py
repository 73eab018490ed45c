"""Runs as figures: when the batch size changed and why, and how learning rate and error went with it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adasearch.analysis.trajectory import changes
from adasearch.objective import is_fraction, named
from adasearch.plots.axes import (
    left_title,
    legend,
    note_below,
    over_examples,
    percents,
    plain_axes,
    short,
    sizes,
    thinned,
)
from adasearch.plots.style import NOTEBOOK, Drawn, Style, Tips
from adasearch.records import IntervalRecord, TrialRecord

__all__ = ["DrawnRun", "batch_sizes", "decision_text", "draw_trajectories"]

MAX_LISTED = 12  # changes whose reasons have room below a figure


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRun:
    """One run of a group of comparable studies that stands for something.

    ``role`` is "default", "reference" or "scheduler", and ``series`` counts the group's adaptive studies, for
    a colour of their own; it is None for a constant run. ``intervals`` holds at least one. ``seconds`` are
    those since the start at each interval's end by the group's clock, infinite from where that clock has
    none.
    """

    label: str
    role: str
    series: int | None
    trial: TrialRecord
    intervals: Sequence[IntervalRecord]
    seconds: Sequence[float]

    @property
    def timed(self) -> bool:
        """Whether every interval has a time by the group's clock."""
        return math.isfinite(self.seconds[-1])


def batch_sizes(trial: TrialRecord, intervals: Sequence[IntervalRecord]) -> Figure:
    """Draw a trial's batch size over examples, each change numbered and its reason listed below.

    ``intervals`` must not be empty.
    """
    made = changes(intervals).to_dict("records")
    reasons = [
        f"{number:\u2007>2}   {row['from']} → {row['to']}:  {row['reason']}"
        for number, row in enumerate(made, 1)
    ]
    if len(made) > MAX_LISTED:
        reasons = [*reasons[:MAX_LISTED], f"and {len(made) - MAX_LISTED} more"]
    figure, axes = NOTEBOOK.axes(2.9 + 0.19 * len(reasons))
    ends = [record.signals.examples_seen for record in intervals]
    _draw_sizes(axes, trial.trial_id, intervals, ends, colour=NOTEBOOK.ink, style=NOTEBOOK)
    sizes(axes)
    axes.set_ylabel("batch size\n(examples per step)")
    over_examples(axes)
    left_title(axes, trial.trial_id)
    note_below(figure, "\n".join(reasons) or "The batch size never changed.")
    return figure


def draw_trajectories(runs: Sequence[DrawnRun], *, clock: str | None, style: Style) -> Drawn:
    """Draw batch size, learning rate and error of some runs over time, or over examples without a clock.

    There is at least one run. Over examples the changes of the batch size are listed, too.
    """
    figure = style.figure(5.2)
    batches, rates, errors = map(plain_axes, figure.subplots(3, sharex=True, height_ratios=(1.3, 0.9, 1.1)))
    tips: Tips = []
    objective = runs[0].trial.objective
    unit = 100 if is_fraction(objective) else 1
    for run in runs:
        (colour, _), line = style.look(run.series), "--" if run.role == "default" else "-"
        ends = run.seconds if clock else [record.signals.examples_seen for record in run.intervals]
        tips += _draw_sizes(batches, run.label, run.intervals, ends, line, colour=colour, style=style)
        lr = [(end, record.signals.lr) for end, record in zip(ends, run.intervals, strict=True)]
        drawn = [
            (end, unit * record.val_error)
            for end, record in zip(ends, run.intervals, strict=True)
            if record.val_error is not None
        ]
        for axes, pairs in ((rates, lr), (errors, drawn)):
            some = [pairs[i] for i in thinned(len(pairs))]
            axes.plot([end for end, _ in some], [each for _, each in some], line, color=colour, lw=1.4)
    sizes(batches)
    batches.set_ylabel("batch size")
    rates.set_ylabel("learning rate")
    rates.set_ylim(bottom=0)
    errors.set_ylabel(f"val {named(objective)}{' (%)' if is_fraction(objective) else ''}")
    if is_fraction(objective):
        percents(errors)
    over_examples(errors, f"training time (s, {clock} clock)" if clock else "training examples seen")
    figure.align_ylabels()
    legend(figure)
    if clock:
        return Drawn(figure, tips)
    listed = [text for run in runs for text in _change_texts(run.label, run.intervals)]
    note = "Triangles are changes of the batch size; point at one or tap it for its reason."
    return Drawn(figure, tips, note if listed else "No run here changed its batch size.", listed)


def _draw_sizes(
    axes: Axes,
    name: str,
    intervals: Sequence[IntervalRecord],
    ends: Sequence[float],
    line: str = "-",
    *,
    colour: str,
    style: Style,
) -> Tips:
    """Draw a run's batch size up to the end of each interval, and mark its changes."""
    own = [record.signals.batch_size for record in intervals]
    axes.plot([0, *ends], [*own, own[-1]], line, color=colour, drawstyle="steps-post", lw=1.4,
              label=short(name), gid="batch size")  # fmt: skip
    made = [
        (end, record) for end, record in zip(ends, intervals, strict=True) if record.decision.action != "hold"
    ]
    tips: Tips = []
    for action, shape, strong in (("grow", "^", style.series[0]), ("shrink", "v", style.series[1])):
        some = [(end, record) for end, record in made if record.decision.action == action]
        places = [end for end, _ in some], [record.decision.batch_size for _, record in some]
        # A numbered mark has a colour for its direction; among several runs the colour is the run's.
        look = ("o", strong, 13) if style.labels else (shape, colour, 7)
        marks = axes.plot(*places, look[0], color=look[1], ms=look[2], mew=0, gid=action)
        tips.append((marks[0], _change_texts(name, [record for _, record in some])))
    if style.labels:
        for number, (end, record) in enumerate(made, 1):
            axes.annotate(str(number), (end, record.decision.batch_size), ha="center",
                          va="center_baseline", color="white", fontsize=8)  # fmt: skip
    return tips


def _change_texts(name: str, intervals: Sequence[IntervalRecord]) -> list[str]:
    """Return what happened at each change of a run's batch size."""
    return [
        f"{name}, after {record.signals.examples_seen:,} examples: {decision_text(record)}"
        for record in intervals
        if record.decision.action != "hold"
    ]


def decision_text(record: IntervalRecord) -> str:
    """Return what was decided after an interval, and why."""
    decision, size = record.decision, record.signals.batch_size
    moved = f"at {size}" if decision.action == "hold" else f"{size} → {decision.batch_size}"
    return f"{decision.action} {moved}: {decision.reason}"
