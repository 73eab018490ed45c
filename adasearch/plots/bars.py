"""Figures of bars: where the time of runs went, and how trials ended."""

from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from adasearch.plots.axes import legend, name_rows
from adasearch.plots.style import Drawn, Style, Tips
from adasearch.records import IntervalRecord

__all__ = ["draw_states", "draw_time_spent"]

STATES = {"complete": "complete", "pruned": "stopped early", "failed": "failed", "running": "unfinished"}


def draw_time_spent(runs: Mapping[str, Sequence[IntervalRecord]], *, style: Style) -> Drawn:
    """Draw where the measured seconds of each named run went; there is at least one."""
    blue, red, _, pink, gold = style.series
    rows = {name: _spent(intervals) for name, intervals in runs.items()}
    tip = "{row}, {part}: {value:.3g} s ({share:.1%})"
    drawn = _stacked(rows, (blue, red, pink, gold, style.grey), tip, "measured seconds", style)
    note = "Evaluation, compiling and checkpoints are outside the training time of the tables."
    return Drawn(drawn.figure, drawn.tips, note)


def _spent(intervals: Sequence[IntervalRecord]) -> dict[str, float]:
    """Return measured seconds by what they were spent on."""
    measure = sum(record.measure_seconds for record in intervals)
    resize = sum(record.resize_seconds for record in intervals)
    train = sum(record.train_seconds for record in intervals)
    return {
        "compute": max(0.0, train - measure - resize),
        "measuring signals": measure,
        "deciding, resizing": resize,
        "evaluation": sum(record.eval_seconds for record in intervals),
        "compiling, checkpoints": sum(r.compile_seconds + (r.checkpoint_seconds or 0) for r in intervals),
    }


def draw_states(states: Mapping[str, Mapping[str, int]], *, style: Style) -> Drawn:
    """Draw how many trials of each study have which status, by study and status; there is a trial."""
    blue, red, _, _, gold = style.series
    rows = {
        study: {word: counts.get(status, 0) for status, word in STATES.items()}
        for study, counts in states.items()
    }
    tip = "{row}: {value} of {whole} {part}"
    drawn = _stacked(rows, (blue, style.grey, red, gold), tip, "trials of the search", style)
    drawn.figure.axes[0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return drawn


def _stacked(
    rows: Mapping[str, Mapping[str, float]], colours: Sequence[str], tip: str, label: str, style: Style
) -> Drawn:
    """Draw one bar per row out of its parts, which are alike in all rows."""
    figure, axes = style.axes(1.2 + 0.33 * len(rows))
    tips: Tips = []
    ends = [0.0] * len(rows)
    for part, colour in zip(next(iter(rows.values())), colours, strict=True):
        values = [parts[part] for parts in rows.values()]
        if not any(values):
            continue
        bars = axes.barh(range(len(rows)), values, left=ends, color=colour, height=0.62, label=part)
        ends = [end + value for end, value in zip(ends, values, strict=True)]
        for bar, (row, parts) in zip(bars, rows.items(), strict=True):
            value, whole = parts[part], sum(parts.values())
            text = tip.format(row=row, part=part, value=value, whole=whole, share=value / (whole or 1.0))
            tips.append((bar, [text]))
    name_rows(axes, list(rows), most=36)
    axes.set_xlabel(label)
    legend(figure)
    return Drawn(figure, tips)
