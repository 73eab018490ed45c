"""The report's figures over all networks: what each scheduler is worth, and how the studies fared."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.paired_tests import speedup_of
from adasearch.analysis.search_table import SearchRow
from adasearch.report.axes import WIDTH, legend, short
from adasearch.report.svg import GREY, INK, SERIES, Picture, picture, themed
from adasearch.schedulers.registry import BASELINE

__all__ = ["STATES", "speed_picture", "states_picture"]

STATES = {"complete": SERIES[0], "pruned": GREY, "failed": SERIES[1], "running": SERIES[4]}
STATE_NAMES = {"pruned": "stopped early", "running": "unfinished"}
TICKS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20)

Bars = tuple[float, float | None, float | None]


@themed
def speed_picture(evidence: Sequence[ConfirmedRow], rows: Sequence[SearchRow]) -> Picture | None:
    """Draw how many times as fast each scheduler is: confirmed ones with intervals, others as found.

    None where no speed-up is known.
    """
    lines = _lines(evidence, rows)
    if not any(known for *_, known in lines):
        return None
    figure = Figure(figsize=(WIDTH, 1.1 + 0.42 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    tips: dict[str, list[str]] = {}
    axes.axvline(1, color=GREY, lw=1)
    kinds = {
        "tuned": ("against the tuned reference", SERIES[0], "o", -0.13),
        "default": ("against the untuned default", GREY, "s", 0.13),
    }
    for kind, (label, colour, shape, shift) in kinds.items():
        for place, (name, words, sure, speeds) in enumerate(lines):
            speed = speeds.get(kind)
            if speed is None:
                continue
            mean, low, high = speed
            if low is not None and high is not None:
                axes.plot([low, high], [place + shift] * 2, color=colour, lw=2, solid_capstyle="butt")
            gid = f"{kind} {place}"
            fill = colour if sure else "none"
            axes.plot(mean, place + shift, shape, color=colour, mfc=fill, ms=7, gid=gid)
            band = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
            tips[gid] = [f"{name}: {mean:.2f}x{band} {label}; {words}"]
        axes.plot([], [], shape, color=colour, ms=7, label=label)
    for place, (_, words, _, speeds) in enumerate(lines):
        if not speeds:
            axes.text(1.005, place, words, color=GREY, va="center", fontsize=9.5)
    axes.set_yticks(range(len(lines)), [short(name, 34) for name, *_ in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.85) * 0.98, max(high, 1.2) * 1.04)
    low, high = axes.get_xlim()
    near = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(near[:: 2 if len(near) > 7 else 1])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("times as fast (right of the line: faster)")
    legend(figure)
    note = (
        "Full marks: fresh seeds, with 95 % intervals. Hollow marks: one seed of the search, not confirmed. "
        "Without a mark: no time at equal error to compare."
    )
    return picture(figure, "What is gained", about="all networks", tips=tips, note=note)


def _lines(
    evidence: Sequence[ConfirmedRow], rows: Sequence[SearchRow]
) -> list[tuple[str, str, bool, Mapping[str, Bars]]]:
    """Return name, verdict, whether it was confirmed, and the speed-ups of each scheduler."""
    found: list[tuple[str, str, bool, Mapping[str, Bars]]] = []
    for row in rows:
        name = f"{row.architecture}, {row.scheduler}"
        sure = [each for each in evidence if each.study == row.study and each.table == "confirmed"]
        for each in sure:
            both = {"tuned": speedup_of(each.paired), "default": speedup_of(each.default)}
            known = {kind: (gain.mean, gain.low, gain.high) for kind, gain in both.items() if gain}
            found.append((name, each.verdict, True, known))
        if not sure and row.scheduler != BASELINE:
            once = {"tuned": row.speedup, "default": row.speedup_default}
            known = {kind: (mean, None, None) for kind, mean in once.items() if mean is not None}
            found.append((name, row.verdict, False, known))
    return found


@themed
def states_picture(states: Mapping[str, Mapping[str, int]]) -> Picture | None:
    """Draw how the trials of each study ended, by study and status; None without a trial."""
    if not any(sum(each.values()) for each in states.values()):
        return None
    figure = Figure(figsize=(WIDTH, 1.2 + 0.3 * len(states)), layout="constrained")
    axes = figure.add_subplot()
    tips: dict[str, list[str]] = {}
    for status, colour in STATES.items():
        if not any(each.get(status) for each in states.values()):
            continue
        word = STATE_NAMES.get(status, status)
        axes.fill_between([], [], color=colour, lw=0, label=word)
        for place, (study, each) in enumerate(states.items()):
            before = sum(each.get(other, 0) for other in list(STATES)[: list(STATES).index(status)])
            gid = f"{status} {place}"
            (bar,) = axes.barh(place, each.get(status, 0), left=before, color=colour, height=0.62)
            bar.set_gid(gid)
            tips[gid] = [f"{study}: {each.get(status, 0)} of {sum(each.values())} {word}"]
    axes.set_yticks(range(len(states)), [short(study, 36) for study in states], color=INK)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("trials of the search")
    legend(figure)
    return picture(figure, "How the trials ended", about="all studies", tips=tips)
