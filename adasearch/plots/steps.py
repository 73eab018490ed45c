"""What fresh seeds say of serial steps: the error of schedules beside the line of constant batch sizes."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from adasearch.analysis.estimates import estimate
from adasearch.analysis.selection import comparable
from adasearch.errors import unknown
from adasearch.objective import is_fraction
from adasearch.plots.axes import (
    left_title,
    legend,
    objective_label,
    plain_axes,
    plain_ticks,
    short,
    thousands,
)
from adasearch.plots.style import Drawn, Style, Tips
from adasearch.records import StudyRecord, TrialRecord, Value
from adasearch.schedulers.registry import BASELINE

__all__ = ["draw_steps"]

SEARCHED = ("candidate", "reference", "default")
"""Roles of trials that a search proposed; other controls have settings of their own and are left out."""
HEIGHT = 2.3  # of a row of panels, in inches
Runs = Sequence[TrialRecord]


def draw_steps(
    studies: Sequence[StudyRecord], trials: Sequence[TrialRecord], *, style: Style, by: str | None = None
) -> Drawn | None:
    """Draw test error against the serial steps of a run, a mark for each trial that was confirmed.

    A mark is the mean over fresh seeds, a bar its 95 % bootstrap interval. The line joins the best constant
    trial of each batch size: a schedule below it gains where steps are what costs. A row of panels for each
    group of studies that may be compared, whatever their clocks, and a column for each value of the training
    parameter ``by``, such as "train/lr_schedule". None where nothing was confirmed.

    Raises:
        InputError: no confirmed trial has a parameter ``by``.
    """
    fresh = [
        trial
        for trial in trials
        if (trial.phase, trial.status) == ("confirm", "complete")
        and trial.role in SEARCHED
        and trial.test_error is not None
    ]
    if not fresh:
        return None
    if by is not None and all(by not in trial.params for trial in fresh):
        raise unknown("parameter", by, {name for trial in fresh for name in trial.params})
    values = sorted({trial.params.get(by) for trial in fresh}, key=_order) if by else [None]
    groups = [(group, runs) for group in comparable(studies, timed=False) if (runs := _of(group, fresh))]
    names = sorted({trial.scheduler for trial in fresh} - {BASELINE})
    looks = {BASELINE: style.look(None)} | {name: style.look(place) for place, name in enumerate(names)}
    figure = style.figure(0.5 + HEIGHT * len(groups))
    panels = figure.subplots(len(groups), len(values), squeeze=False, sharey="row")
    several = len({group[0].architecture for group, _ in groups}) < len(groups)
    tips: Tips = []
    for row, (group, runs) in zip(panels, groups, strict=True):
        first = group[0]
        name = first.about if several else first.architecture
        for axes, value in zip(row, values, strict=True):
            own = [trial for trial in runs if not by or trial.params.get(by) == value]
            left_title(plain_axes(axes), f"{short(name)}, {value}" if by else short(name))
            tips += _panel(axes, own, looks, style)
        row[0].set_ylabel(f"test {objective_label(first.objective, first.sequence_length)}")
    for axes in panels[-1]:
        axes.set_xlabel("serial steps")
    for name, (colour, shape) in looks.items():
        panels[0][0].plot([], [], shape, color=colour, ms=5.5, label=short(name))
    legend(figure)
    note = (
        "Means over fresh seeds with 95 % intervals. The line joins the best of each constant size; all runs "
        "of a panel take the same examples."
    )
    return Drawn(figure, tips, note)


def _of(group: Sequence[StudyRecord], trials: Runs) -> Runs:
    names = {study.study for study in group}
    return [trial for trial in trials if trial.study in names]


def _order(value: Value | None) -> tuple[bool, float, str]:
    """Return what sorts numbers by their size, before words."""
    number = isinstance(value, int | float)
    return not number, float(value) if isinstance(value, int | float) else 0.0, str(value)


def _panel(axes: Axes, runs: Runs, looks: Mapping[str, tuple[str, str]], style: Style) -> Tips:
    """Draw the runs of one group and value."""
    tips: Tips = []
    best: dict[Value | None, tuple[float, float]] = {}
    for group in _by_trial(runs):
        first, steps = group[0], fmean(trial.steps for trial in group)
        colour, shape = looks[first.scheduler]
        unit = 100 if is_fraction(first.objective) else 1
        error = estimate([unit * _tested(trial) for trial in group])
        mark = axes.plot([steps], [error.mean], shape, color=colour, ms=5.5, zorder=3, gid=_said(first))[0]
        if error.low is not None and error.high is not None:
            axes.plot([steps, steps], [error.low, error.high], color=colour, lw=1.1, zorder=2,
                      gid=f"{_said(first)} interval")  # fmt: skip
        tips.append(
            (mark, [f"{_said(first)}: {error.mean:.4g} after {steps:,.0f} steps, {len(group)} seeds"])
        )
        if first.scheduler == BASELINE:
            size = first.params.get("train/batch_size")
            best[size] = min(
                best.get(size, (steps, error.mean)), (steps, error.mean), key=lambda each: each[1]
            )
    if best:
        axes.plot(*zip(*sorted(best.values()), strict=True), color=looks[BASELINE][0], lw=1.2, gid="constant")
    for size, place in best.items() if style.labels else ():
        axes.annotate(f"{size}", place, xytext=(3, 4), textcoords="offset points", fontsize=7.5,
                      color=looks[BASELINE][0])  # fmt: skip
    axes.set_xscale("log")
    plain_ticks(axes.xaxis, LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(thousands)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return tips


def _by_trial(trials: Runs) -> list[Runs]:
    """Return the runs of each searched trial, a seed once: a reference runs beside each of its candidates."""
    groups: dict[str, dict[int, TrialRecord]] = {}
    for trial in trials:
        groups.setdefault(trial.source_trial_id or "", {})[trial.seed] = trial
    return [list(each.values()) for each in groups.values()]


def _tested(trial: TrialRecord) -> float:
    assert trial.test_error is not None
    return trial.test_error


def _said(trial: TrialRecord) -> str:
    constant = trial.scheduler == BASELINE
    return f"constant {trial.params.get('train/batch_size')}" if constant else trial.scheduler
