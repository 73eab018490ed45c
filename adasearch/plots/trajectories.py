"""Runs as figures: when the batch size changed and why, and how learning rate and error went with it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adasearch.analysis.trajectory import changes
from adasearch.counts import count, headed, moved, told, unit_of
from adasearch.objective import is_fraction
from adasearch.plots.axes import (
    left_title,
    legend,
    note_below,
    objective_label,
    over_examples,
    per_step,
    percents,
    plain_axes,
    seen,
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
    none. ``sequence_length`` is that of the examples, None where they are no sequences.
    """

    label: str
    role: str
    series: int | None
    trial: TrialRecord
    intervals: Sequence[IntervalRecord]
    seconds: Sequence[float]
    sequence_length: int | None = None

    @property
    def timed(self) -> bool:
        """Whether every interval has a time by the group's clock."""
        return math.isfinite(self.seconds[-1])


def batch_sizes(
    trial: TrialRecord, intervals: Sequence[IntervalRecord], *, sequence_length: int | None = None
) -> Figure:
    """Draw a trial's batch size over examples, each change numbered and its reason listed below.

    ``intervals`` must not be empty. Of a language task ``sequence_length`` is given, and tokens are drawn.
    """
    made = changes(intervals).to_dict("records")
    reasons = [
        f"{number:\u2007>2}   {moved(row['from'], row['to'], sequence_length)}:  {row['reason']}"
        for number, row in enumerate(made, 1)
    ]
    if len(made) > MAX_LISTED:
        reasons = [*reasons[:MAX_LISTED], f"and {len(made) - MAX_LISTED} more"]
    figure, axes = NOTEBOOK.axes(2.9 + 0.19 * len(reasons))
    ends = [count(record.signals.examples_seen, sequence_length) for record in intervals]
    run = DrawnRun(
        label=trial.trial_id,
        role="scheduler",
        series=None,
        trial=trial,
        intervals=intervals,
        seconds=(),
        sequence_length=sequence_length,
    )
    _draw_sizes(axes, run, ends, colour=NOTEBOOK.ink, style=NOTEBOOK)
    sizes(axes)
    axes.set_ylabel(per_step(sequence_length))
    over_examples(axes, seen(sequence_length))
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
    objective, length = runs[0].trial.objective, runs[0].sequence_length
    unit = 100 if is_fraction(objective) else 1
    for run in runs:
        (colour, _), line = style.look(run.series), "--" if run.role == "default" else "-"
        ends = run.seconds if clock else [count(r.signals.examples_seen, length) for r in run.intervals]
        tips += _draw_sizes(batches, run, ends, line, colour=colour, style=style)
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
    batches.set_ylabel(headed("batch size", [length]))
    rates.set_ylabel("learning rate")
    rates.set_ylim(bottom=0)
    errors.set_ylabel(f"val {objective_label(objective, length)}")
    if is_fraction(objective):
        percents(errors)
    over_examples(errors, f"training time (s, {clock} clock)" if clock else seen(length))
    figure.align_ylabels()
    legend(figure)
    if clock:
        return Drawn(figure, tips)
    listed = [text for run in runs for text in _change_texts(run, run.intervals)]
    note = "Triangles are changes of the batch size; point at one or tap it for its reason."
    return Drawn(figure, tips, note if listed else "No run here changed its batch size.", listed)


def _draw_sizes(
    axes: Axes,
    run: DrawnRun,
    ends: Sequence[float],
    line: str = "-",
    *,
    colour: str,
    style: Style,
) -> Tips:
    """Draw a run's batch size up to the end of each interval, and mark its changes."""
    intervals, length = run.intervals, run.sequence_length
    own = [count(record.signals.batch_size, length) for record in intervals]
    axes.plot([0, *ends], [*own, own[-1]], line, color=colour, drawstyle="steps-post", lw=1.4,
              label=short(run.label), gid="batch size")  # fmt: skip
    made = [
        (end, record) for end, record in zip(ends, intervals, strict=True) if record.decision.action != "hold"
    ]
    tips: Tips = []
    for action, shape, strong in (("grow", "^", style.series[0]), ("shrink", "v", style.series[1])):
        some = [(end, record) for end, record in made if record.decision.action == action]
        places = [end for end, _ in some], [count(r.decision.batch_size, length) for _, r in some]
        # A numbered mark has a colour for its direction; among several runs the colour is the run's.
        look = ("o", strong, 13) if style.labels else (shape, colour, 7)
        marks = axes.plot(*places, look[0], color=look[1], ms=look[2], mew=0, gid=action)
        tips.append((marks[0], _change_texts(run, [record for _, record in some])))
    if style.labels:
        for number, (end, record) in enumerate(made, 1):
            axes.annotate(str(number), (end, count(record.decision.batch_size, length)), ha="center",
                          va="center_baseline", color="white", fontsize=8)  # fmt: skip
    return tips


def _change_texts(run: DrawnRun, intervals: Sequence[IntervalRecord]) -> list[str]:
    """Return what happened at each change of a run's batch size in some of its intervals."""
    length = run.sequence_length
    unit = unit_of([length])
    return [
        f"{run.label}, after {count(record.signals.examples_seen, length):,} {unit}: "
        f"{decision_text(record, length)}"
        for record in intervals
        if record.decision.action != "hold"
    ]


def decision_text(record: IntervalRecord, sequence_length: int | None) -> str:
    """Return what was decided after an interval, and why."""
    decision, old = record.decision, record.signals.batch_size
    if decision.action == "hold":
        return f"hold at {told(old, sequence_length)}: {decision.reason}"
    return f"{decision.action} {moved(old, decision.batch_size, sequence_length)}: {decision.reason}"
