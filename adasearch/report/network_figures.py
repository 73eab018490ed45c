"""The report's figures of one network: narrow ones, which a phone shows whole and a desktop side by side."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from adasearch.analysis.search_table import pareto_front
from adasearch.analysis.trajectory import changes
from adasearch.records import IntervalRecord
from adasearch.report.axes import WIDTH, legend, percents, short, sizes, thinned, thousands
from adasearch.report.runs import Course
from adasearch.report.svg import GREY, INK, SERIES, Picture, picture, themed
from adasearch.schedulers.registry import BASELINE

__all__ = ["course_pictures", "front_picture", "ledger_picture"]

SHAPES = "^sDvP"
PARTS = {"train": SERIES[0], "measure": SERIES[1], "resize": SERIES[3], "eval": SERIES[4], "other": GREY}
PART_NAMES = {
    "train": "compute",
    "measure": "measuring signals",
    "resize": "deciding, resizing",
    "eval": "evaluation",
    "other": "compiling, checkpoints",
}


@themed
def front_picture(
    about: str,
    points: pd.DataFrame,
    standing: Sequence[Course],
    *,
    schedulers: Sequence[str],
    bound: float | None,
    clock: str,
) -> Picture | None:
    """Draw validation error against seconds: all complete trials, each scheduler's front, and what stands.

    Args:
        about: the network.
        points: as :func:`~adasearch.analysis.search_table.complete_trials` returns them.
        standing: the runs that are ringed.
        schedulers: the adaptive ones in the order of their colours.
        bound: E, the error up to which a trial counts as equally good; None without a baseline.
        clock: whose seconds they are.

    Returns:
        None where no trial has both.
    """
    points = points[points["seconds"].map(math.isfinite)]
    if not len(points):
        return None
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.add_subplot()
    tips: dict[str, list[str]] = {}
    left_out = 0
    names = sorted(points["scheduler"].unique(), key=lambda name: (name != BASELINE, name))
    for name in names:
        own = points[points["scheduler"] == name]
        front = pareto_front(own, second="seconds").sort_values("seconds")
        drawn = own.iloc[thinned(len(own))]
        drawn = pd.concat([drawn, front[~front.index.isin(drawn.index)]])
        left_out += len(own) - len(drawn)
        place = schedulers.index(name) % len(SERIES) if name != BASELINE else 0
        colour, shape = (GREY, "o") if name == BASELINE else (SERIES[place], SHAPES[place])
        gid = f"trials {name}"
        axes.plot(front["seconds"], 100 * front["val_error"], drawstyle="steps-post", color=colour, lw=1.4)
        axes.plot(
            drawn["seconds"], 100 * drawn["val_error"], shape, color=colour, alpha=0.65, mew=0, ms=5.5,
            gid=gid, label=short(name),
        )  # fmt: skip
        tips[gid] = [
            f"{row.trial_id}: error {row.val_error:.2%}, {row.seconds:.4g} s" for row in drawn.itertuples()
        ]
    for place, course in enumerate(standing):
        row = points[points["trial_id"] == course.trial.trial_id]
        if len(row):
            gid = f"standing {place}"
            spent, error = float(row["seconds"].iloc[0]), float(row["val_error"].iloc[0])
            axes.plot(spent, 100 * error, "o", mfc="none", mec=INK, mew=1.3, ms=11, gid=gid)
            tips[gid] = [f"{course.label}: {course.trial.trial_id}, error {error:.2%}, {spent:.4g} s"]
    if bound is not None:
        axes.axhline(100 * bound, color=GREY, lw=0.9, ls=":", zorder=1)
    percents(axes)
    axes.margins(x=0.06)
    axes.set_xlabel(f"training time of one trial (s, {clock} clock)")
    axes.set_ylabel("validation error (%)")
    legend(figure)
    note = "Lines: Pareto fronts. Rings: what stands for each study."
    if bound is not None:
        note += f" Dotted: up to an error of {bound:.1%} a trial counts as equally good."
    if left_out:
        note += f" {len(points) - left_out} of {len(points)} trials are drawn, all of the fronts among them."
    return picture(figure, "Error against time", about=about, tips=tips, note=note)


def course_pictures(about: str, standing: Sequence[Course], clock: str) -> list[Picture]:
    """Draw batch size, learning rate and error over examples, and again over time."""
    if not standing:
        return []
    timed = [course for course in standing if course.timed]
    found = [_courses(about, standing, "examples", clock)]
    return [*found, _courses(about, timed, "time", clock)] if timed else found


@themed
def _courses(about: str, standing: Sequence[Course], over: str, clock: str) -> Picture:
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    batches, rates, errors = figure.subplots(3, sharex=True, height_ratios=(1.3, 0.9, 1.1))
    tips: dict[str, list[str]] = {}
    listed: list[str] = []
    for place, course in enumerate(standing):
        colour = SERIES[course.series % len(SERIES)] if course.role == "scheduler" else GREY
        line = "--" if course.role == "default" else "-"
        seen = [record.signals.examples_seen for record in course.intervals]
        ends: Sequence[float] = seen if over == "examples" else course.seconds
        batch = [record.signals.batch_size for record in course.intervals]
        batches.plot([0, *ends], [*batch, batch[-1]], line, color=colour, drawstyle="steps-post", lw=1.4,
                   label=short(course.label))  # fmt: skip
        few = thinned(len(ends))
        lr = [course.intervals[i].signals.lr for i in few]
        rates.plot([ends[i] for i in few], lr, line, color=colour, lw=1.4)
        known = [i for i, record in enumerate(course.intervals) if record.val_error is not None]
        known = [known[i] for i in thinned(len(known))]
        found = [100 * (course.intervals[i].val_error or 0) for i in known]
        errors.plot([ends[i] for i in known], found, line, color=colour, lw=1.4)
        texts = _change_texts(course)
        for action, shape in (("grow", "^"), ("shrink", "v")):
            made = [i for i, record in enumerate(course.intervals) if record.decision.action == action]
            if made:
                gid = f"{action} {place}"
                after = [course.intervals[i].decision.batch_size for i in made]
                batches.plot([ends[i] for i in made], after, shape, color=colour, ms=7, mew=0, gid=gid)
                tips[gid] = [texts[i] for i in made]
        listed += texts.values()
    sizes(batches)
    batches.set_ylabel("batch size")
    rates.set_ylabel("learning rate")
    rates.set_ylim(bottom=0)
    percents(errors)
    errors.set_ylabel("val error (%)")
    errors.set_xlim(left=0)
    errors.set_xlabel("training examples seen" if over == "examples" else f"training time (s, {clock} clock)")
    errors.xaxis.set_major_locator(MaxNLocator(6))
    errors.xaxis.set_major_formatter(FuncFormatter(thousands))
    figure.align_ylabels()
    legend(figure)
    if over == "examples":
        note = "Triangles are changes of the batch size; point at one or tap it for its reason."
        return picture(
            figure,
            "Course over examples",
            about=about,
            tips=tips,
            note=note if listed else "No run here changed its batch size.",
            listed=listed,
            listed_title=f"Changes and their reasons ({len(listed)})",
        )
    return picture(figure, "Course over time", about=about, tips=tips)


def _change_texts(course: Course) -> dict[int, str]:
    made = changes(course.intervals)
    places = [i for i, record in enumerate(course.intervals) if record.decision.action != "hold"]
    return {
        place: f"{course.label}, after {row['examples_seen']:,} examples: {row['action']} "
        f"{row['from']} → {row['to']}: {row['reason']}"
        for place, row in zip(places, made.to_dict("records"), strict=True)
    }


@themed
def ledger_picture(about: str, standing: Sequence[Course]) -> Picture | None:
    """Draw where the measured seconds of each run went; None without a run."""
    if not standing:
        return None
    figure = Figure(figsize=(WIDTH, 1.3 + 0.36 * len(standing)), layout="constrained")
    axes = figure.add_subplot()
    spent = [_ledger(course.intervals) for course in standing]
    tips: dict[str, list[str]] = {}
    for part, colour in PARTS.items():
        if not any(each[part] > 0 for each in spent):
            continue
        for place, (course, each) in enumerate(zip(standing, spent, strict=True)):
            before = sum(list(each.values())[: list(PARTS).index(part)])
            gid = f"{part} {place}"
            axes.barh(place, each[part], left=before, color=colour, height=0.62,
                      label=None if place else PART_NAMES[part])[0].set_gid(gid)  # fmt: skip
            share = each[part] / (sum(each.values()) or 1.0)
            tips[gid] = [f"{course.label}, {PART_NAMES[part]}: {each[part]:.3g} s ({share:.1%})"]
    axes.set_yticks(range(len(standing)), [short(course.label, 22) for course in standing])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("measured seconds")
    legend(figure)
    return picture(
        figure,
        "Where the time went",
        about=about,
        tips=tips,
        note="Evaluation, compiling and checkpoints are outside the training time of the tables.",
    )


def _ledger(intervals: Sequence[IntervalRecord]) -> dict[str, float]:
    """Return measured seconds by part, in the order of ``PARTS``."""
    measure = sum(record.measure_seconds for record in intervals)
    resize = sum(record.resize_seconds for record in intervals)
    train = sum(record.train_seconds for record in intervals)
    other = sum(record.compile_seconds + (record.checkpoint_seconds or 0) for record in intervals)
    return {
        "train": max(0.0, train - measure - resize),
        "measure": measure,
        "resize": resize,
        "eval": sum(record.eval_seconds for record in intervals),
        "other": other,
    }
