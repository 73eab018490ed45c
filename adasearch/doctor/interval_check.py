"""Whether the stored intervals of a trial are one whole course."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adasearch.records import TrialRecord

__all__ = ["IntervalEnd", "disagreement", "end_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalEnd:
    """Where a trial's intervals end, in examples and steps; ``fault`` is what is wrong with them, or None."""

    examples_seen: int
    steps: int
    fault: str | None


def end_of(part: pa.Table, trial_id: str) -> IntervalEnd:
    """Return what a trial's interval rows (in the columns of the table) amount to.

    They must be of this trial alone, numbered from 0 without gaps, and their examples must grow. Their steps
    must not fall; they stay where all updates of an interval were skipped.
    """
    if not part.num_rows:
        return IntervalEnd(examples_seen=0, steps=0, fault="holds no rows")
    strangers = sorted(set(part.column("trial_id").to_pylist()) - {trial_id}, key=str)
    if strangers:
        return IntervalEnd(examples_seen=0, steps=0, fault=f"holds intervals of {strangers[0]}")
    columns = [part.column(name) for name in ("interval", "examples_seen", "step")]
    if any(column.null_count for column in columns):
        return IntervalEnd(examples_seen=0, steps=0, fault="has rows without interval, examples_seen or step")
    interval, examples, steps = (column.to_numpy() for column in columns)
    order = np.argsort(interval, kind="stable")
    interval, examples, steps = interval[order], examples[order], steps[order]
    fault = _numbering(interval)
    if fault is None:
        for name, values, least, what in (
            ("examples_seen", examples, 1, "does not grow"),
            ("step", steps, 0, "falls"),
        ):
            wrong = np.flatnonzero(np.diff(values, prepend=0) < least)
            if fault is None and len(wrong):
                fault = f"{name} {what} in interval {interval[wrong[0]]}"
    return IntervalEnd(examples_seen=int(examples[-1]), steps=int(steps[-1]), fault=fault)


def _numbering(interval: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> str | None:
    """Return what is wrong with sorted numbers of intervals.

    >>> _numbering(np.array([0, 1, 1])), _numbering(np.array([0, 3])), _numbering(np.array([0, 1]))
    ('has interval 1 twice', 'lacks interval 1', None)
    """
    doubled = np.flatnonzero(np.diff(interval) == 0)
    if len(doubled):
        return f"has interval {interval[doubled[0]]} twice"
    wrong = np.flatnonzero(interval != np.arange(len(interval)))
    return f"lacks interval {wrong[0]}" if len(wrong) else None


def disagreement(trial: TrialRecord, end: IntervalEnd | None) -> str | None:
    """Return in what an ended trial and its intervals (None: there are none) disagree, or None."""
    if trial.status == "running":
        return None
    if end is None:
        return (
            f"is missing, but the trial ended after {trial.examples_seen} examples"
            if trial.examples_seen
            else None
        )
    pairs = (
        ("examples_seen", end.examples_seen, trial.examples_seen),
        ("step", end.steps, trial.steps),
    )
    for name, here, there in pairs:
        if here != there:
            return f"ends at {name}={here}, but the trial's row says {there}"
    return None
