"""The figure of a replay: the sizes that a run had beside those that another scheduler would have chosen."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from adasearch.plots.axes import left_title, over_examples, sizes
from adasearch.plots.style import NOTEBOOK
from adasearch.records import Decision, IntervalRecord, TrialRecord

__all__ = ["replay_sizes"]


def replay_sizes(
    trial: TrialRecord,
    intervals: Sequence[IntervalRecord],
    scheduler: str,
    decisions: Sequence[Decision],
) -> Figure:
    """Draw what was decided in a run, and what ``scheduler`` would have decided on its signals.

    ``decisions`` are the scheduler's own, one per interval; neither may be empty.
    """
    figure, axes = NOTEBOOK.axes(3.2)
    begins = [0, *(record.signals.examples_seen for record in intervals)]
    first = intervals[0].signals.initial_batch_size
    for name, decided, colour, line in (
        (f"run: {trial.scheduler}", [record.decision for record in intervals], NOTEBOOK.grey, "-"),
        (f"replay: {scheduler}", decisions, NOTEBOOK.series[0], "--"),
    ):
        chosen = [first, *(decision.batch_size for decision in decided)]
        axes.plot(begins, chosen, line, color=colour, drawstyle="steps-post", label=name, gid=name)
    sizes(axes)
    over_examples(axes)
    axes.set_ylabel("batch size\n(examples per step)")
    axes.legend(frameon=False, fontsize=9)
    left_title(axes, f"{trial.trial_id}: decisions, not outcomes")
    return figure
