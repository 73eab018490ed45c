"""The figure of a replay: the sizes that a run had beside those that another scheduler would have chosen."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from adasearch.counts import count
from adasearch.plots.axes import left_title, over_examples, per_step, seen, sizes
from adasearch.plots.style import NOTEBOOK
from adasearch.records import Decision, IntervalRecord, TrialRecord

__all__ = ["replay_sizes"]


def replay_sizes(
    trial: TrialRecord,
    intervals: Sequence[IntervalRecord],
    scheduler: str,
    decisions: Sequence[Decision],
    *,
    sequence_length: int | None = None,
) -> Figure:
    """Draw what was decided in a run, and what ``scheduler`` would have decided on its signals.

    ``decisions`` are the scheduler's own, one per interval; neither may be empty. Of a language task
    ``sequence_length`` is given, and tokens are drawn.
    """
    figure, axes = NOTEBOOK.axes(3.2)
    begins = [0, *(count(record.signals.examples_seen, sequence_length) for record in intervals)]
    first = intervals[0].signals.initial_batch_size
    for name, decided, colour, line in (
        (f"run: {trial.scheduler}", [record.decision for record in intervals], NOTEBOOK.grey, "-"),
        (f"replay: {scheduler}", decisions, NOTEBOOK.series[0], "--"),
    ):
        chosen = [count(each, sequence_length) for each in (first, *(made.batch_size for made in decided))]
        axes.plot(begins, chosen, line, color=colour, drawstyle="steps-post", label=name, gid=name)
    sizes(axes)
    over_examples(axes, seen(sequence_length))
    axes.set_ylabel(per_step(sequence_length))
    axes.legend(frameon=False, fontsize=9)
    left_title(axes, f"{trial.trial_id}: decisions, not outcomes")
    return figure
