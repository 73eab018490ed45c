"""What was gained and confirmed, as figures: speed-ups, controls, and the time to a target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.estimates import Estimate
from adasearch.analysis.paired_tests import error_of, speedup_of
from adasearch.analysis.search_table import SearchRow
from adasearch.objective import ERROR, brief, headed, is_fraction, named
from adasearch.plots.axes import left_title, legend, name_rows, plain_axes, plain_ticks, short
from adasearch.plots.style import NOTEBOOK, Drawn, Style, Tips
from adasearch.schedulers.registry import BASELINE

__all__ = ["Reached", "against_controls", "draw_gains", "draw_reached"]

TICKS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20)

GainRow = tuple[str, str, bool, Estimate | None, Estimate | None]
"""Name, verdict, whether it was confirmed, and the speed-up against the tuned and the untuned constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """When the confirming runs of one role reached the target.

    ``seconds`` holds one entry per complete run, infinite if it never did, and ``ended`` the whole time of
    each. ``target`` is the validation error that was fixed in advance, of the ``objective``.
    """

    role: str
    target: float
    seconds: Sequence[float]
    ended: Sequence[float]
    seeds: Sequence[int]
    objective: str = ERROR


def _unit(objective: str) -> float:
    return 100 if is_fraction(objective) else 1


def against_controls(rows: Sequence[ConfirmedRow]) -> Figure:
    """Draw each candidate against each of its controls: speed-up and difference of test error.

    A mark is the mean over paired seeds, a bar its 95 % bootstrap interval, the dotted line no difference and
    the grey band the margin of equal errors; where errors are not equal, words stand in place of a speed-up.
    ``rows`` are those of :func:`adasearch.analysis.confirmed_runs.confirmed_rows`; rows without pairs are
    left out.
    """
    controls = [row for row in rows if row.table == "controls" and row.pairs]
    schedulers = list(dict.fromkeys(row.scheduler for row in controls))
    figure = NOTEBOOK.figure(1.2 + 0.22 * max(4, len(controls)))
    left, right = map(plain_axes, figure.subplots(1, 2, sharey=True))
    for place, row in enumerate(controls):
        look = NOTEBOOK.look(schedulers.index(row.scheduler))
        for axes, found, unit in (
            (left, speedup_of(row.paired), 1),
            (right, error_of(row.paired), _unit(row.objective)),
        ):
            if found is not None:
                _mark(axes, place, found, *look, unit=unit).set_gid(f"{row.study} {row.role}")
        if speedup_of(row.paired) is None:
            left.text(1.01, place, "not at equal error", color=NOTEBOOK.grey, va="center", fontsize=8)
    labels = [f"{row.architecture}, {row.scheduler} against {row.role.replace('_', ' ')}" for row in controls]
    left.set_yticks(range(len(controls)), labels, fontsize=8)
    left.set_ylim(max(1, len(controls)) - 0.5, -0.5)
    left.axvline(1, color=NOTEBOOK.grey, lw=0.8, ls=":")
    left.set_xlabel("times as fast")
    left_title(left, "Speed-up")
    right.axvline(0, color=NOTEBOOK.grey, lw=0.8, ls=":")
    if controls:
        margin = _unit(controls[0].objective) * controls[0].error_margin
        right.axvspan(-margin, margin, color=NOTEBOOK.grey, alpha=0.15, lw=0)
    word = headed(row.objective for row in controls)
    points = "points " if all(is_fraction(row.objective) for row in controls) else ""
    right.set_xlabel(f"test {word}, {points}above the control's")
    left_title(right, f"Difference of {word}")
    return figure


def draw_gains(evidence: Sequence[ConfirmedRow], rows: Sequence[SearchRow], *, style: Style) -> Drawn | None:
    """Draw how many times as fast each scheduler is: confirmed ones with intervals, others as found.

    None where no speed-up is known.
    """
    gains = _gains(evidence, rows)
    figure, axes = style.axes(1.1 + 0.42 * len(gains))
    tips: Tips = []
    axes.axvline(1, color=style.grey, lw=1)
    for against, label, colour, shape, shift in (
        (0, "against the tuned reference", style.series[0], "o", -0.13),
        (1, "against the untuned default", style.grey, "s", 0.13),
    ):
        for place, (name, verdict, sure, *both) in enumerate(gains):
            gain = both[against]
            if gain is not None:
                mark = _mark(axes, place + shift, gain, colour, shape, full=sure)
                known = gain.low is not None and gain.high is not None
                band = f" [{gain.low:.2f}, {gain.high:.2f}]" if known else ""
                tips.append((mark, [f"{name}: {gain.mean:.2f}x{band} {label}; {verdict}"]))
        axes.plot([], [], shape, color=colour, ms=5.5, label=label)
    if not tips:
        return None
    for place, (_, verdict, _, tuned, default) in enumerate(gains):
        if tuned is None and default is None:
            axes.text(1.005, place, verdict, color=style.grey, va="center", fontsize=9.5)
    name_rows(axes, [name for name, *_ in gains], most=34)
    axes.set_xscale("log")
    left, right = axes.get_xlim()
    left, right = min(left, 0.85) * 0.98, max(right, 1.2) * 1.04
    near = [tick for tick in TICKS if left <= tick <= right]
    plain_ticks(axes.xaxis, FixedLocator(near[:: 2 if len(near) > 7 else 1]))
    axes.set_xlim(left, right)
    axes.set_xlabel("times as fast (right of the line: faster)")
    legend(figure)
    note = (
        "Full marks: fresh seeds, with 95 % intervals. Hollow marks: one seed of the search, not confirmed. "
        "Without a mark: no time at equal error to compare."
    )
    return Drawn(figure, tips, note)


def _gains(evidence: Sequence[ConfirmedRow], rows: Sequence[SearchRow]) -> list[GainRow]:
    """Return what each scheduler gains: as confirmed where there is such evidence, else as found."""
    found: list[GainRow] = []
    for row in rows:
        if row.scheduler == BASELINE:
            continue
        name = f"{row.architecture}, {row.scheduler}"
        sure = [each for each in evidence if each.study == row.study and each.table == "confirmed"]
        for each in sure:
            found.append((name, each.verdict, True, speedup_of(each.paired), speedup_of(each.default)))
        if not sure:
            tuned, default = (
                None if gain is None else Estimate(gain) for gain in (row.speedup, row.speedup_default)
            )
            found.append((name, row.verdict, False, tuned, default))
    return found


def draw_reached(case: Sequence[Reached], *, clock: str, style: Style) -> Drawn | None:
    """Draw the share of seeds that reached the target over time, a candidate beside each of its controls.

    The candidate comes first in ``case``. Bands are 95 % Wilson intervals of a share. None where the clock
    has no time, or there is no control.
    """
    candidate, *controls = case
    end = max(spent for each in case for spent in each.ended)
    if not controls or not math.isfinite(end):
        return None
    columns = min(2, len(controls))
    lines = math.ceil(len(controls) / columns)
    figure = style.figure(0.7 + 1.6 * lines)
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    tips: Tips = []
    for axes, control in zip(grid, controls, strict=False):
        tips += _draw_shares(plain_axes(axes), control, end, style.grey, "--")
        tips += _draw_shares(axes, candidate, end, style.series[0], "-")
        axes.set_title(f"against {short(control.role)} (dashed)", loc="left", fontsize=10)
        axes.set_ylim(-4, 104)
        axes.set_xlim(0, end * 1.02)
        axes.set_yticks([0, 50, 100])
    for axes in grid[len(controls) :]:
        axes.set_visible(False)
    figure.supxlabel(f"training time (s, {clock} clock)", fontsize=10)
    figure.supylabel("seeds at the target (%)", fontsize=10)
    note = (
        f"Target: a validation {named(candidate.objective)} of "
        f"{brief(candidate.target, candidate.objective)}, fixed by the reference. Blue: the candidate, "
        f"{sum(map(math.isfinite, candidate.seconds))} of {len(candidate.seconds)} seeds got there. "
        "Bands: 95 % Wilson intervals."
    )
    return Drawn(figure, tips, note)


def _draw_shares(axes: Axes, reached: Reached, end: float, colour: str, line: str) -> Tips:
    from scipy.stats import binomtest  # takes a while to import

    n = len(reached.seconds)
    arrived = sorted(
        (spent, seed)
        for spent, seed in zip(reached.seconds, reached.seeds, strict=True)
        if math.isfinite(spent)
    )
    times = [spent for spent, _ in arrived]
    counts = [*range(len(times) + 1), len(times)]
    bands = [binomtest(count, n).proportion_ci(0.95, "wilson") for count in counts]
    xs, shares = [0, *times, end], [100 * count / n for count in counts]
    axes.fill_between(xs, [100 * band.low for band in bands], [100 * band.high for band in bands],
                      step="post", color=colour, alpha=0.16, lw=0)  # fmt: skip
    axes.plot(xs, shares, line, color=colour, drawstyle="steps-post", lw=1.5)
    marks = axes.plot(times, shares[1:-1], "o", color=colour, ms=4.5, mew=0)
    return [(marks[0], [f"{reached.role}, seed {seed}: {spent:.4g} s" for spent, seed in arrived])]


def _mark(
    axes: Axes, place: float, found: Estimate, colour: str, shape: str, *, full: bool = True, unit: float = 1
) -> Line2D:
    """Draw a mean and, where there is one, its interval; return the mean's mark."""
    if found.low is not None and found.high is not None:
        ends = [unit * found.low, unit * found.high]
        axes.plot(ends, [place, place], color=colour, lw=1.5, solid_capstyle="butt")
    return axes.plot(
        [unit * found.mean], [place], shape, color=colour, mfc=colour if full else "none", ms=5.5
    )[0]
