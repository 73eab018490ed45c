"""Records to rows of the tables and back."""

import dataclasses
import json
from typing import Any

from adasearch.records import Decision, IntervalRecord, Signals, StudyRecord, TrialRecord
from adasearch.schemas import Table

__all__ = ["DEFAULTS", "interval_of", "interval_row", "row_of", "study_of", "trial_of"]

_SIGNALS = [field.name for field in dataclasses.fields(Signals)]
_COSTS = [
    field.name for field in dataclasses.fields(IntervalRecord) if field.name not in ("signals", "decision")
]


def _defaults(*records: type) -> dict[str, Any]:
    fields = [field for record in records for field in dataclasses.fields(record)]
    told = {field.name: field.default for field in fields if field.default not in (dataclasses.MISSING, None)}
    return told | {field.name: "{}" for field in fields if field.default_factory is dict}


DEFAULTS: dict[Table, dict[str, Any]] = {
    "studies": _defaults(StudyRecord),
    "trials": _defaults(TrialRecord),
    "intervals": _defaults(IntervalRecord, Signals),
    "profiles": {},
}
"""What a null stands for in the columns whose fields cannot be None: an older version did not write them."""


def row_of(record: StudyRecord | TrialRecord) -> dict[str, Any]:
    """Return a study or a trial as a row."""
    row = dataclasses.asdict(record)
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}


def interval_row(record: IntervalRecord) -> dict[str, Any]:
    """Return an interval as a row, but for its trial's id."""
    return {
        # Not asdict, which copies each number deeply: that took most of the time of writing a trial.
        **{name: getattr(record.signals, name) for name in _SIGNALS},
        "action": record.decision.action,
        "reason": record.decision.reason,
        "next_batch_size": record.decision.batch_size,
        "next_lr_scale": record.decision.lr_scale,
        **{name: getattr(record, name) for name in _COSTS},
    }


def study_of(row: dict[str, Any]) -> StudyRecord:
    """Return the study of a row."""
    return StudyRecord(**{**row, "versions": json.loads(row["versions"])})


def trial_of(row: dict[str, Any]) -> TrialRecord:
    """Return the trial of a row."""
    parsed = {name: json.loads(row[name]) for name in ("params", "versions")}
    return TrialRecord(**{**row, **parsed})


def interval_of(row: dict[str, Any]) -> IntervalRecord:
    """Return the interval of a row."""
    return IntervalRecord(
        signals=Signals(**{name: row[name] for name in _SIGNALS}),
        decision=Decision(
            batch_size=row["next_batch_size"],
            lr_scale=row["next_lr_scale"],
            action=row["action"],
            reason=row["reason"],
        ),
        **{name: row[name] for name in _COSTS},
    )
