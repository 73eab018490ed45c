"""Records to rows of the tables and back."""

import dataclasses
import json
import math
import re
from functools import lru_cache
from sys import intern
from typing import Any, get_args, get_type_hints

import pandas as pd

from adasearch.choices import Clock
from adasearch.io.text import is_name, slug
from adasearch.objective import is_fraction
from adasearch.records import (
    Action,
    Cause,
    Decision,
    IntervalRecord,
    Signals,
    Status,
    StudyRecord,
    TrialRecord,
    Value,
)
from adasearch.store.former_defaults import with_former_fields, with_former_space
from adasearch.store.schemas import RecordTable, Table

__all__ = [
    "ACTIONS",
    "DEFAULTS",
    "POSITIVE",
    "REQUIRED",
    "SPENT",
    "interval_of",
    "interval_row",
    "plain",
    "row_of",
    "study_of",
    "trial_of",
    "with_params",
]

_SIGNALS = [field.name for field in dataclasses.fields(Signals)]
_OWN_FIELDS = [
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


def _required(*records: type) -> frozenset[str]:
    hints = {name: hint for record in records for name, hint in get_type_hints(record).items()}
    return frozenset(name for name, hint in hints.items() if type(None) not in get_args(hint))


REQUIRED: dict[RecordTable, frozenset[str]] = {
    "studies": _required(StudyRecord),
    "trials": _required(TrialRecord),
    "intervals": (_required(IntervalRecord, Signals) - {"signals", "decision"})
    | {"trial_id", "next_batch_size", "next_lr_scale", "action", "reason"},
}
"""The columns without which a row is no record."""

POSITIVE: dict[RecordTable, tuple[str, ...]] = {
    "studies": ("train_examples", "val_examples", "budget", "interval", "evaluate_every", "workers"),
    "trials": ("workers",),
    "intervals": ("examples_seen", "initial_batch_size", "batch_size", "next_batch_size", "passes"),
}
"""The columns of whole numbers that others are divided by, or that count what must be there."""

ACTIONS: tuple[str, ...] = get_args(Action)
STATUSES: tuple[str, ...] = get_args(Status)
CAUSES: tuple[str, ...] = get_args(Cause)
SPENT = ("train_seconds", "modelled_seconds", "measure_seconds", "resize_seconds", "eval_seconds")
ERRORS = ("val_error", "test_error")


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
        **{name: getattr(record, name) for name in _OWN_FIELDS},
        "metrics": json.dumps(dict(record.metrics)) if record.metrics else None,
    }


def study_of(row: dict[str, Any]) -> StudyRecord:
    """Return the study of a row.

    Raises:
        ValueError: it lacks something, or holds what no study has.
    """
    _check(row, "studies")
    _check_names(row, "study")
    if not row["objective"].isprintable():
        raise ValueError(f"objective must be a name but is {row['objective']!r}")
    if row["clock"] not in get_args(Clock):
        raise ValueError(f"clock must be {' or '.join(get_args(Clock))} but is {row['clock']!r}")
    prefix = _prefix_of(row) if row["prefix"] is None else row["prefix"]
    space = with_former_space(row["scheduler"], row["scheduler_space"])
    study = StudyRecord(
        **{**row, "prefix": prefix, "scheduler_space": space, "versions": plain(row["versions"])}
    )
    _ = study.limits  # which refuses limits that contradict each other
    return study


def _prefix_of(row: dict[str, Any]) -> str | None:
    """Return what stands before a study's default name, which is all that older versions wrote of it.

    >>> parts = {"architecture": "resnet18", "scale": "nano", "scheduler": "deba", "dataset": "digits"}
    >>> _prefix_of({"study": "mine-resnet18-nano-deba-digits", **parts})
    'mine'
    >>> _prefix_of({"study": "resnet18-nano-deba-digits", **parts})
    """
    parts = (row[name] for name in ("architecture", "scale", "scheduler", "dataset"))
    prefix, usual, rest = row["study"].rpartition("-" + "-".join(map(slug, parts)))
    return prefix if usual and not rest else None


def trial_of(row: dict[str, Any]) -> TrialRecord:
    """Return the trial of a row.

    Raises:
        ValueError: it lacks something, or holds what no trial has.
    """
    _check(row, "trials")
    _check_names(row, "study", "trial_id")
    if not row["objective"].isprintable():
        raise ValueError(f"objective must be a name but is {row['objective']!r}")
    if row["status"] not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)} but is {row['status']!r}")
    if row["cause"] not in (None, *CAUSES):
        raise ValueError(f"cause must be one of {', '.join(CAUSES)} but is {row['cause']!r}")
    for name in ERRORS if is_fraction(row["objective"]) else ():
        if row[name] is not None and not 0 <= row[name] <= 1:
            raise ValueError(f"{name} must lie in 0 to 1 but is {row[name]}")
    for name in SPENT:
        if row[name] is not None and not 0 <= row[name] < math.inf:
            raise ValueError(f"{name} must be at least 0 but is {row[name]}")
    cause = row["cause"] or _cause_of(row["error"] or "")
    params = with_former_fields(row["scheduler"], plain(row["params"]))
    return TrialRecord(**{**row, "cause": cause, "params": params, "versions": _versions(row["versions"])})


def _cause_of(error: str) -> Cause | None:
    """Return what versions before the column ``cause`` told by the error's text alone."""
    return "diverged" if re.match(r"(DivergedError: )?(train|val)_loss is", error) else None


def _check(row: dict[str, Any], table: RecordTable) -> None:
    for name in REQUIRED[table]:
        if row[name] is None:
            raise ValueError(f"{name} is missing")
    for name in POSITIVE[table]:
        least = 0 if name == "val_examples" and row.get("task") == "own" else 1  # 0: it does not tell
        if row[name] < least:
            raise ValueError(f"{name} must be at least {least} but is {row[name]}")


def _check_names(row: dict[str, Any], *names: str) -> None:
    """Refuse what would be looked up or written elsewhere."""
    for name in names:
        if not is_name(row[name]):
            raise ValueError(f"{name} {row[name]!r} is no name of a file")


def plain(text: str) -> dict[str, Value]:
    """Return the values of a JSON object by name.

    Raises:
        ValueError: it is none, or holds more than plain values.

    >>> plain('{"train/lr": 0.1, "scheduler/rule": "noise"}')
    {'train/lr': 0.1, 'scheduler/rule': 'noise'}
    >>> plain('{"train/lr": [0.1, 0.2]}')
    Traceback (most recent call last):
    ...
    ValueError: 'train/lr' must be a number, a name, true or false
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"{text[:80]!r} is no JSON object")
    for name, value in found.items():
        shown = value if isinstance(value, str) else name
        if not (isinstance(value, bool | int | float | str) and name.isprintable() and shown.isprintable()):
            raise ValueError(f"{name!r} must be a number, a name, true or false")
    return {intern(name): value for name, value in found.items()}  # of thousands of trials each name once


_versions = lru_cache(plain)  # thousands of trials have the same, and one copy of it


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
        **{name: row[name] for name in _OWN_FIELDS if name != "metrics"},
        metrics={name: float(value) for name, value in plain(row["metrics"]).items()},
    )


def with_params(trials: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of trials with each parameter as a column of its own beside ``params``, which is JSON.

    >>> with_params(pd.DataFrame({"params": ['{"train/lr": 0.1}', "no JSON"]}))["train/lr"].tolist()
    [0.1, nan]
    """
    return trials.join(pd.DataFrame([_params(text) for text in trials["params"]], index=trials.index))


def _params(text: str) -> dict[str, Value]:
    try:
        return plain(text)
    except (TypeError, ValueError):  # a row that is no trial of ours
        return {}
