"""What a search found, as a figure: the error of its trials against their seconds."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from adasearch.analysis.search_table import complete_trials, pareto_front, search_rows
from adasearch.analysis.selection import pick_trials
from adasearch.analysis.verdicts import SearchVerdict
from adasearch.objective import brief, is_fraction, named, shown
from adasearch.plots.axes import beside, left_title, legend, objective_label, percents, short, thinned
from adasearch.plots.style import NOTEBOOK, Drawn, Style, Tips
from adasearch.records import StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE

__all__ = ["draw_front", "pareto"]

ROLE: Mapping[SearchVerdict, str] = {
    "reference": "reference",
    "not confirmed": "candidate",
    "no gain in search": "no gain",
}


def pareto(studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]) -> Figure:
    """Draw the complete trials of comparable studies: validation error against seconds.

    The step lines are the Pareto fronts, the ringed trials are those of the search table, and the dotted
    line is E, the error up to which a trial counts as equally good. ``studies`` must not be empty.
    """
    rows = search_rows(studies, trials)
    standing = {
        row.trial_id: f"{row.scheduler}: {ROLE.get(row.verdict, row.verdict)}" for row in rows if row.trial_id
    }
    figure = draw_front(studies, trials, standing, style=NOTEBOOK).figure
    left_title(figure.axes[0], studies[0].about)
    return figure


def draw_front(
    studies: Sequence[StudyRecord],
    trials: Sequence[TrialRecord],
    standing: Mapping[str, str],
    *,
    style: Style,
) -> Drawn:
    """Draw error against seconds: complete trials, each scheduler's Pareto front, and rings around some.

    Args:
        studies: comparable ones, at least one.
        trials: theirs; those without seconds are left out.
        standing: what the ringed trials stand for, by trial_id.
        style: where the figure will stand; a page has room for some of very many trials.
    """
    figure, axes = style.axes(3.8)
    points = complete_trials(studies, trials).astype({"val_error": float, "seconds": float})
    objective = studies[0].objective
    unit = 100 if is_fraction(objective) else 1
    points = points[np.isfinite(points["seconds"])].assign(drawn=unit * points["val_error"])
    # A trial may name another than its study: rows come from wherever.
    schedulers = sorted({*(study.scheduler for study in studies), *points["scheduler"]} - {BASELINE})
    looks = {BASELINE: style.look(None)} | {name: style.look(schedulers.index(name)) for name in schedulers}
    tips: Tips = []
    for name, (colour, shape) in looks.items():
        own = points[points["scheduler"] == name]
        if own.empty:
            continue
        front = pareto_front(own, "seconds").sort_values("seconds")
        axes.plot(front["seconds"], front["drawn"], drawstyle="steps-post", color=colour, lw=1.4,
                  gid=f"{name} front")  # fmt: skip
        if not style.labels:
            some = own.iloc[thinned(len(own))]
            own = pd.concat([some, front[~front.index.isin(some.index)]])
        marks = axes.plot(own["seconds"], own["drawn"], shape, color=colour, alpha=0.65, mew=0, ms=5.5,
                          label=short(name), gid=f"{name} trials")  # fmt: skip
        tips.append(
            (marks[0], [f"{row['trial_id']}: {_outcome(row, objective)}" for row in own.to_dict("records")])
        )
    drawn = sum(len(texts) for _, texts in tips)
    tips += _ring(
        axes, points[points["trial_id"].isin(list(standing))], standing, looks, style.labels, objective
    )
    note = "Lines: Pareto fronts. Rings: what stands for each study."
    bounds = [
        pick.error_bound for pick in pick_trials(studies, trials).values() if pick.error_bound is not None
    ]
    if bounds:
        axes.axhline(unit * bounds[0], color=style.grey, lw=0.9, ls=":", zorder=1, gid="E")
        limit = f"{_article(objective)} of {brief(bounds[0], objective)}"
        note += f" Dotted: up to {limit} a trial counts as equally good."
    if drawn < len(points):
        note += f" {drawn} of {len(points)} trials are drawn, all of the fronts among them."
    if is_fraction(objective):
        percents(axes)
    axes.set_xlabel(f"training time of one trial (s, {studies[0].clock} clock)")
    axes.set_ylabel(f"validation {objective_label(objective, studies[0].sequence_length)}")
    if style.labels:
        axes.margins(x=0)
        low, high = axes.get_xlim()  # and room for the names left and right of the outermost trials
        axes.set_xlim(low - 0.35 * (high - low), high + 0.25 * (high - low))
        for bound in bounds[:1]:
            beside(axes, f"E = {shown(bound, objective)}", unit * bound)
    elif tips:
        legend(figure)
    return Drawn(figure, tips, note)


def _ring(
    axes: Axes,
    points: pd.DataFrame,
    standing: Mapping[str, str],
    looks: Mapping[str, tuple[str, str]],
    labels: bool,
    objective: str,
) -> Tips:
    """Draw rings around some trials, with their names where there is room for labels."""
    tips: Tips = []
    ringed = points.sort_values(["seconds", "val_error"])
    for place, row in enumerate(ringed.to_dict("records")):
        (colour, _), label = looks[row["scheduler"]], standing[row["trial_id"]]
        marks = axes.plot([row["seconds"]], [row["drawn"]], "o", mfc="none", mec=colour, mew=1.6, ms=12,
                          gid=f"{row['scheduler']} row")  # fmt: skip
        tips.append((marks[0], [f"{label}: {row['trial_id']}, {_outcome(row, objective)}"]))
        if labels:  # the fastest has its name on its left, and the others on their right
            axes.annotate(
                label,
                (row["seconds"], row["drawn"]),
                xytext=(6 if place else -6, -7),
                textcoords="offset points",
                ha="left" if place else "right",
                va="top",
                color=colour,
                fontsize=9,
                fontweight="bold",
                parse_math=False,
                path_effects=[withStroke(linewidth=3, foreground="white")],
            )
    return tips


def _outcome(row: Mapping[Hashable, Any], objective: str) -> str:
    value = row["val_error"]
    told = f"{value:.2%}" if is_fraction(objective) else shown(value, objective)
    return f"{named(objective)} {told}, {row['seconds']:.4g} s"


def _article(objective: str) -> str:
    return f"an {named(objective)}" if named(objective)[0] in "aeiou" else f"a {named(objective)}"
