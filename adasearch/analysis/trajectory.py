"""One trial's course as a frame: its changes of batch size, and what its scheduler saw."""

from collections.abc import Sequence

import pandas as pd

from adasearch.records import IntervalRecord, Signals, TrialRecord
from adasearch.schedulers.base import waiting
from adasearch.schedulers.deba import FIRST_DECISION, Deba

__all__ = ["changes", "deba_of", "deba_trace"]


def changes(intervals: Sequence[IntervalRecord]) -> pd.DataFrame:
    """Return a trial's adaptations: after which interval, from which size to which, and why."""
    rows = [
        (
            record.signals.interval,
            record.signals.examples_seen,
            record.signals.batch_size,
            record.decision.batch_size,
            record.decision.action,
            record.decision.reason,
        )
        for record in intervals
        if record.decision.action != "hold"
    ]
    return pd.DataFrame(rows, columns=["interval", "examples_seen", "from", "to", "action", "reason"])


def deba_of(trial: TrialRecord) -> Deba:
    """Return the rule that a trial of "deba" ran, without its wrappers."""
    fields = trial.fields_of("scheduler")
    own = {name: value for name, value in fields.items() if not name.startswith("wrappers.")}
    return Deba(**own)  # type: ignore[arg-type]


def deba_trace(trial: TrialRecord, intervals: Sequence[IntervalRecord]) -> pd.DataFrame:
    """Return what :class:`Deba` saw: c, dg and dl after each interval but the first, from stored signals.

    ``decided`` is False where it waited (too few intervals, cooldown) or was not asked (at the run's end).
    """
    deba = deba_of(trial)
    history: list[Signals] = []
    rows = []
    for record in intervals:
        history.append(record.signals)
        if len(history) > 1:
            decided = record.decided and waiting(history, FIRST_DECISION, deba.cooldown) is None
            where = record.signals.interval, record.signals.examples_seen
            rows.append((*where, *deba.indicators(history), decided))
    return pd.DataFrame(rows, columns=["interval", "examples_seen", "c", "dg", "dl", "decided"])
