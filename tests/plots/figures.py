"""What a figure holds, and a run of DEBA to draw."""

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from adasearch.plots.style import NOTEBOOK, Drawn
from adasearch.records import Decision, IntervalRecord, Limits, Signals, TrialRecord
from adasearch.schedulers.deba import Deba
from adasearch.store.trials import close_trial
from tests.rows import START, interval_at, study_of, trial_of

__all__ = ["DEBA", "PAGE", "across", "deba_run", "lines", "points", "size_of_png", "texts", "told", "up"]

DEBA = Deba(confidence_threshold=1.0, stability_threshold=0.1, window=5, cooldown=2)
PAGE = replace(NOTEBOOK, width=5.2, labels=False)
LIMITS = Limits(smallest=16, largest=128)
# Grows after intervals 2 and 4; then loss and gradient jump, and it shrinks after interval 7.
LOSSES = (2.0, 1.98, 1.96, 1.94, 1.92, 1.5, 1.4, 2.4, 2.4, 2.4)
NORMS = (1.0, 0.99, 0.98, 0.97, 0.96, 1.0, 1.1, 1.3, 1.3, 1.3)


def deba_run() -> tuple[TrialRecord, list[IntervalRecord]]:
    """Return a trial as DEBA would have steered it on these signals, 1000 examples per interval."""
    history: list[Signals] = []
    intervals: list[IntervalRecord] = []
    size = 32
    for index, (loss, norm) in enumerate(zip(LOSSES, NORMS, strict=True)):
        record = interval_at(index, seen=1000 * (index + 1), val_error=0.5, batch_size=size)
        last = replace(record.signals, train_loss=loss, grad_norm=norm, grad_component_variance=norm**2)
        history.append(last)
        decision = DEBA.decide(history, LIMITS)
        ended = index == len(LOSSES) - 1
        if ended:
            decision = Decision(batch_size=size, lr_scale=1.0, action="hold", reason="end of the budget")
        intervals.append(replace(record, signals=last, decision=decision, decided=not ended))
        size = decision.batch_size
    names = ("confidence_threshold", "stability_threshold", "window", "cooldown")
    params = {f"scheduler/{name}": getattr(DEBA, name) for name in names}
    begun = trial_of(study_of("deba"), 0, status="running", params=params)
    return close_trial(begun, intervals, status="complete", ended_at=START), intervals


def lines(figure: Figure, gid: str) -> list[Line2D]:
    """Return the lines of that name."""
    return [line for axes in figure.axes for line in axes.lines if line.get_gid() == gid]


def across(line: Line2D) -> list[float]:
    """Return a line's horizontal places."""
    return [float(value) for value in np.asarray(line.get_xdata(), dtype=float)]


def up(line: Line2D) -> list[float]:
    """Return a line's heights."""
    return [float(value) for value in np.asarray(line.get_ydata(), dtype=float)]


def points(figure: Figure, gid: str) -> list[tuple[float, float]]:
    """Return the data of all lines of that name."""
    return [point for line in lines(figure, gid) for point in zip(across(line), up(line), strict=True)]


def texts(figure: Figure) -> list[str]:
    """Return what is written into the axes."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def told(drawn: Drawn) -> Sequence[str]:
    """Return the texts of all marks."""
    return [text for _, each in drawn.tips for text in each]


def size_of_png(figure: Figure) -> int:
    """Draw the figure for real; a warning would be an error."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return len(stream.getvalue())
