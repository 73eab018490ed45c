"""The figure of a replay: the sizes that a run had beside those that another scheduler would have chosen."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from adasearch.records import Decision, IntervalRecord, TrialRecord

__all__ = ["replay_sizes"]

RUN, REPLAYED = "#6b6b6b", "#0072B2"  # grey, and the blue of Okabe and Ito


def replay_sizes(
    trial: TrialRecord,
    intervals: Sequence[IntervalRecord],
    scheduler: str,
    decisions: Sequence[Decision],
) -> Figure:
    """Draw what was decided in a run, and what ``scheduler`` would have decided on its signals.

    ``decisions`` are the scheduler's own, one per interval; neither may be empty.
    """
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    begins = [0, *(record.signals.examples_seen for record in intervals)]
    first = intervals[0].signals.initial_batch_size
    for name, sizes, colour, line in (
        (f"run: {trial.scheduler}", [record.decision.batch_size for record in intervals], RUN, "-"),
        (f"replay: {scheduler}", [decision.batch_size for decision in decisions], REPLAYED, "--"),
    ):
        axes.plot(begins, [first, *sizes], line, color=colour, drawstyle="steps-post", label=name, gid=name)
    # Logarithmic: a change by one factor is equally high everywhere.
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.margins(y=0.15)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("training examples seen")
    axes.set_ylabel("batch size\n(examples per step)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(f"{trial.trial_id}: decisions, not outcomes", loc="left", fontsize=10, fontweight="bold")
    return figure
