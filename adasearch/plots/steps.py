"""What fresh seeds say of serial steps: the error of schedules beside the line of constant batch sizes."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from adasearch.analysis.estimates import estimate
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

CONSTANTS = ("candidate", "reference", "default")
"""Roles of constant trials that were searched; other controls have their own settings and are on no line."""
HEIGHT = 2.3  # of a row of panels, in inches
Runs = Sequence[TrialRecord]


def draw_steps(
    studies: Sequence[StudyRecord], trials: Sequence[TrialRecord], *, style: Style, by: str | None = None
) -> Drawn | None:
    """Draw test error against the serial steps of a run, a mark for each trial that was confirmed.

    A mark is the mean over fresh seeds, a bar its 95 % bootstrap interval. The line joins constant batch
    sizes in their order: at the same examples, a schedule below it gains where steps are what costs, one
    below its lowest point gains on any device. A row of panels for each network, and a column for each value
    of the training parameter ``by``, such as "train/lr_schedule". None where nothing was confirmed.
    """
    lengths = {study.study: study.sequence_length for study in studies}
    fresh = [
        trial
        for trial in trials
        if (trial.phase, trial.status) == ("confirm", "complete") and trial.test_error is not None
    ]
    if not fresh:
        return None
    networks = _in_order(trial.architecture for trial in fresh)
    values = sorted({_value(trial, by) for trial in fresh}) if by else [""]
    names = sorted({trial.scheduler for trial in fresh} - {BASELINE})
    looks = {BASELINE: style.look(None)} | {name: style.look(place) for place, name in enumerate(names)}
    figure = style.figure(0.5 + HEIGHT * len(networks))
    panels = figure.subplots(len(networks), len(values), squeeze=False, sharey="row")
    tips: Tips = []
    for row, network in zip(panels, networks, strict=True):
        runs = [trial for trial in fresh if trial.architecture == network]
        for axes, value in zip(row, values, strict=True):
            own = [trial for trial in runs if not by or _value(trial, by) == value]
            left_title(plain_axes(axes), f"{short(network)}, {value}" if by else short(network))
            tips += _panel(axes, own, looks, style)
        row[0].set_ylabel(f"test {objective_label(runs[0].objective, lengths.get(runs[0].study))}")
    for axes in panels[-1]:
        axes.set_xlabel("serial steps")
    for name, (colour, shape) in looks.items():
        panels[0][0].plot([], [], shape, color=colour, ms=5.5, label=short(name))
    legend(figure)
    note = (
        "Means over fresh seeds with 95 % intervals. The line joins constant batch sizes; all runs of a "
        "panel take the same examples."
    )
    return Drawn(figure, tips, note)


def _panel(axes: Axes, runs: Runs, looks: Mapping[str, tuple[str, str]], style: Style) -> Tips:
    """Draw the runs of one network and value."""
    tips: Tips = []
    constants: list[tuple[float, float, Value | None]] = []
    for group in _groups(runs).values():
        first, steps = group[0], fmean(trial.steps for trial in group)
        colour, shape = looks[first.scheduler]
        unit = 100 if is_fraction(first.objective) else 1
        error = estimate([unit * _tested(trial) for trial in group])
        mark = axes.plot([steps], [error.mean], shape, color=colour, ms=5.5, zorder=3, gid=_said(first))[0]
        if error.low is not None and error.high is not None:
            axes.plot([steps, steps], [error.low, error.high], color=colour, lw=1.1, zorder=2)
        tips.append(
            (mark, [f"{_said(first)}: {error.mean:.4g} after {steps:,.0f} steps, {len(group)} seeds"])
        )
        if first.scheduler == BASELINE and first.role in CONSTANTS:
            constants.append((steps, error.mean, first.params.get("train/batch_size")))
    constants.sort(key=lambda each: each[:2])
    line = [each[:2] for each in constants]
    if line:
        axes.plot(*zip(*line, strict=True), color=looks[BASELINE][0], lw=1.2, gid="constant")
    for across, height, size in constants if style.labels else ():
        axes.annotate(f"{size}", (across, height), xytext=(3, 4), textcoords="offset points", fontsize=7.5,
                      color=looks[BASELINE][0])  # fmt: skip
    axes.set_xscale("log")
    plain_ticks(axes.xaxis, LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(thousands)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return tips


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _value(trial: TrialRecord, by: str | None) -> str:
    return str(trial.params.get(by or "", "unset"))


def _groups(trials: Runs) -> Mapping[Hashable, Runs]:
    """Return the runs of the same trial in the same role."""
    groups: dict[Hashable, list[TrialRecord]] = {}
    for trial in trials:
        groups.setdefault((trial.role, trial.scheduler, trial.source_trial_id), []).append(trial)
    return groups


def _tested(trial: TrialRecord) -> float:
    assert trial.test_error is not None
    return trial.test_error


def _said(trial: TrialRecord) -> str:
    constant = trial.scheduler == BASELINE
    name = f"constant {trial.params.get('train/batch_size')}" if constant else trial.scheduler
    return name if trial.role == "candidate" else f"{trial.role.replace('_', ' ')} ({name})"
