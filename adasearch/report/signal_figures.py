"""The report's figures of one scheduler: what it looked at, and who reached the target when."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from adasearch.analysis.trajectory import deba_of, deba_trace
from adasearch.plots.search import MULTIPLES
from adasearch.records import IntervalRecord
from adasearch.report.axes import WIDTH, short, thinned, thousands
from adasearch.report.runs import Course, Reached
from adasearch.report.svg import GREY, INK, PALE, SERIES, Picture, picture, themed
from adasearch.signal_sets import MEASURED

__all__ = ["reached_picture", "signal_picture"]


@themed
def signal_picture(about: str, course: Course) -> Picture | None:
    """Draw what a scheduler looked at: DEBA's indicators and thresholds, else the signals that were measured.

    None where there are fewer than two intervals.
    """
    if len(course.intervals) < 2:
        return None
    deba = deba_of(course.trial) if course.trial.scheduler == "deba" else None
    needed = deba.needs if deba else ()
    if deba is None or any(getattr(r.signals, name) is None for r in course.intervals for name in needed):
        return _plain_signals(about, course)
    trace = deba_trace(course.trial, course.intervals)
    panels = (
        ("c", "confidence c", deba.confidence_threshold),
        ("dg", "norm change dG", deba.stability_threshold),
        ("dl", "loss change dL", deba.stability_threshold),
    )
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    tips: dict[str, list[str]] = {}
    reasons = {record.signals.interval: _reason(record) for record in course.intervals}
    rows = figure.subplots(len(panels), sharex=True)
    for axes, (name, label, threshold) in zip(rows, panels, strict=True):
        own = trace[trace[name].map(math.isfinite)].iloc[thinned(int(trace[name].map(math.isfinite).sum()))]
        _change_lines(axes, course)
        axes.axhspan(0, threshold, color=PALE, lw=0, zorder=0)
        axes.axhline(threshold, color=INK, lw=1, ls="--")
        axes.plot(own["examples_seen"], own[name], color=GREY, lw=1)
        for decided, shape in ((True, "o"), (False, ".")):
            some = own[own["decided"] == decided]
            if len(some):
                gid = f"{name} {decided}"
                axes.plot(some["examples_seen"], some[name], shape, color=INK if decided else GREY, ms=5,
                          mew=0, gid=gid, clip_on=False)  # fmt: skip
                tips[gid] = [
                    f"{label} = {value:.3g}; {reasons[int(at)]}"
                    for at, value in zip(some["interval"], some[name], strict=True)
                ]
        axes.set_yscale("symlog", linthresh=2 * threshold, linscale=1.5)
        axes.yaxis.set_major_locator(FixedLocator([threshold * times for times in MULTIPLES]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
        axes.set_ylim(0, 1.3 * max(threshold, own[name].max() if len(own) else 0))
        axes.set_ylabel(label)
    _over_examples(figure, rows[-1])
    note = (
        f"Rule {deba.rule}. Dashed: the threshold; grey: below it. Large points were compared with it, at "
        "small ones it waited. Vertical lines: changes of the batch size."
    )
    title = f"Signals against thresholds: {course.label}"
    return picture(figure, title, about=about, tips=tips, note=note)


def _plain_signals(about: str, course: Course) -> Picture:
    measured = {
        name: [(r, getattr(r.signals, name)) for r in course.intervals if _finite(r, name)]
        for name in MEASURED
    }
    shown = {name: pairs for name, pairs in measured.items() if pairs}
    if not shown:
        shown = {
            "train_loss": [(r, r.signals.train_loss) for r in course.intervals if _finite(r, "train_loss")]
        }
    figure = Figure(figsize=(WIDTH, 0.8 + 1.5 * len(shown)), layout="constrained")
    tips: dict[str, list[str]] = {}
    rows = figure.subplots(len(shown), sharex=True, squeeze=False).flatten()
    for axes, (name, pairs) in zip(rows, shown.items(), strict=True):
        few = [pairs[i] for i in thinned(len(pairs))]
        xs, ys = [record.signals.examples_seen for record, _ in few], [value for _, value in few]
        _change_lines(axes, course)
        axes.plot(xs, ys, color=GREY, lw=1)
        axes.plot(xs, ys, "o", color=INK, ms=4, mew=0, gid=name)
        tips[name] = [f"{name} = {value:.4g}; {_reason(record)}" for record, value in few]
        if ys and min(ys) > 0 and max(ys) > 20 * min(ys):
            axes.set_yscale("log")
        axes.set_ylabel(name.replace("_", " ").replace("component", "comp."), fontsize=9)
    _over_examples(figure, rows[-1])
    note = "What was measured for it. Vertical lines: changes of the batch size; points tell the reason."
    return picture(figure, f"Signals: {course.label}", about=about, tips=tips, note=note)


@themed
def reached_picture(about: str, case: Sequence[Reached], clock: str, *, name: str) -> Picture | None:
    """Draw the share of seeds that reached the target over time, the candidate beside each control.

    Bands are 95 % Wilson intervals of a share; ``name`` is what the candidate is called here. None where a
    clock has no time, or there is no control.
    """
    from scipy.stats import binomtest  # takes a while to import

    candidate, *controls = case
    ended = [spent for each in case for spent in each.ended]
    if not controls or not all(map(math.isfinite, ended)):
        return None
    end = max(ended)
    columns = min(2, len(controls))
    lines = math.ceil(len(controls) / columns)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.6 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    tips: dict[str, list[str]] = {}
    for place, (axes, control) in enumerate(zip(grid, controls, strict=False)):
        for reached, colour, line in ((control, GREY, "--"), (candidate, SERIES[0], "-")):
            times = sorted(spent for spent in reached.seconds if math.isfinite(spent))
            n = len(reached.seconds)
            bands = [binomtest(k, n).proportion_ci(0.95, "wilson") for k in range(len(times) + 1)]
            xs, shares = [0, *times, end], [k / n for k in range(len(times) + 1)]
            shares, bands = [*shares, shares[-1]], [*bands, bands[-1]]
            low, high = [100 * band.low for band in bands], [100 * band.high for band in bands]
            axes.fill_between(xs, low, high, step="post", color=colour, alpha=0.16, lw=0)
            axes.plot(xs, [100 * share for share in shares], line, color=colour, drawstyle="steps-post",
                      label=reached.role if not place or reached is control else None, lw=1.5)  # fmt: skip
            if times:
                gid = f"reached {place} {reached.role}"
                seeds = [seed for _, seed in sorted(zip(reached.seconds, reached.seeds, strict=True))]
                axes.plot(times, [100 * (k + 1) / n for k in range(len(times))], "o", color=colour, ms=4.5,
                          mew=0, gid=gid)  # fmt: skip
                tips[gid] = [f"{reached.role}, seed {seed}: {spent:.4g} s" for spent, seed in
                             zip(times, seeds, strict=False)]  # fmt: skip
        axes.set_title(f"against {short(control.role)} (dashed)", loc="left")
        axes.set_ylim(-4, 104)
        axes.set_xlim(0, end * 1.02)
        axes.yaxis.set_major_locator(FixedLocator([0, 50, 100]))
    for axes in grid[len(controls) :]:
        axes.set_visible(False)
    figure.supxlabel(f"training time (s, {clock} clock)", fontsize=10)
    figure.supylabel("seeds at the target (%)", fontsize=10)
    note = (
        f"Target: a validation error of {candidate.target:.1%}, fixed by the reference. Blue: the candidate, "
        f"{sum(map(math.isfinite, candidate.seconds))} of {len(candidate.seconds)} seeds got there. "
        "Bands: 95 % Wilson intervals."
    )
    return picture(figure, f"Time to the target: {name}", about=about, tips=tips, note=note)


def _change_lines(axes: Axes, course: Course) -> None:
    made = [r.signals.examples_seen for r in course.intervals if r.decision.action != "hold"]
    where = axes.get_xaxis_transform()
    axes.vlines(made, 0, 1, transform=where, color=SERIES[0], lw=0.7, alpha=0.6, zorder=0)


def _over_examples(figure: Figure, axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.set_xlabel("training examples seen")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    figure.align_ylabels()


def _reason(record: IntervalRecord) -> str:
    decision, size = record.decision, record.signals.batch_size
    did = (
        f"{decision.action} at {size}"
        if decision.action == "hold"
        else (f"{decision.action} {size} → {decision.batch_size}")
    )
    return f"{did}: {decision.reason}"


def _finite(record: IntervalRecord, name: str) -> bool:
    value = getattr(record.signals, name)
    return value is not None and math.isfinite(value)
