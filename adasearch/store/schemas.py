"""The columns of the Parquet tables; other tools rely on these names."""

from datetime import datetime
from typing import Literal, get_args, get_type_hints

import pyarrow as pa

from adasearch.records import StudyRecord, TrialRecord
from adasearch.signal_sets import PRECONDITIONED, SIGNAL_SETS

__all__ = ["SCHEMAS", "SCHEMA_VERSION", "RecordTable", "Table"]

SCHEMA_VERSION = 2
"""2: studies have ``image_size``, which version 1 told by their ``dataset`` alone."""

RecordTable = Literal["studies", "trials", "intervals"]
Table = Literal[RecordTable, "profiles"]

_time = pa.timestamp("us", tz="UTC")
_ints, _floats, _texts, _flags = pa.int64(), pa.float64(), pa.string(), pa.bool_()
_TYPES = {bool: _flags, int: _ints, float: _floats, datetime: _time}


def _schema(table: Table, **columns: pa.DataType) -> pa.Schema:
    metadata = {"adasearch.table": table, "adasearch.schema_version": str(SCHEMA_VERSION)}
    return pa.schema(list(columns.items()), metadata=metadata)


def _columns_of(record: type) -> dict[str, pa.DataType]:
    """Return a column for each field of a record; one of several words is text, and a mapping is JSON."""
    return {
        name: next((_TYPES[each] for each in (hint, *get_args(hint)) if each in _TYPES), _texts)
        for name, hint in get_type_hints(record).items()
    }


SCHEMAS: dict[Table, pa.Schema] = {
    "studies": _schema("studies", **_columns_of(StudyRecord)),
    "trials": _schema("trials", **_columns_of(TrialRecord)),
    "intervals": _schema(
        "intervals",
        trial_id=_texts,
        interval=_ints,
        epoch=_floats,
        step=_ints,
        examples_seen=_ints,
        initial_batch_size=_ints,
        batch_size=_ints,
        next_batch_size=_ints,
        device_batch=_ints,
        passes=_ints,
        action=_texts,
        reason=_texts,
        lr=_floats,
        lr_scale=_floats,
        next_lr_scale=_floats,
        train_loss=_floats,
        val_loss=_floats,
        val_error=_floats,
        **dict.fromkeys(
            (*SIGNAL_SETS["per_step"], *SIGNAL_SETS["mean_gradient"], *SIGNAL_SETS["noise"]), _floats
        ),
        noise_count=_ints,
        **dict.fromkeys(SIGNAL_SETS["products"], _floats),
        noise_form=_texts,
        train_seconds=_floats,
        modelled_seconds=_floats,
        measure_seconds=_floats,
        resize_seconds=_floats,
        eval_seconds=_floats,
        compile_seconds=_floats,
        checkpoint_seconds=_floats,
        out_of_memory=_ints,
        test_error=_floats,
        decided=_flags,
        val_error_se=_floats,
        metrics=_texts,
        **dict.fromkeys(sorted(PRECONDITIONED), _floats),
    ),
    "profiles": _schema(
        "profiles",
        profile=_texts,
        kind=_texts,
        architecture=_texts,
        scale=_texts,
        dataset=_texts,
        fingerprint=_texts,
        subset=_ints,
        seed=_ints,
        train_examples=_ints,
        interval=_ints,
        intervals=_ints,
        params=_texts,
        precision=_texts,
        compile=_flags,
        per_example=_flags,
        workers=_ints,
        threads=_ints,
        device=_texts,
        device_name=_texts,
        driver=_texts,
        versions=_texts,
        sequence_length=_ints,
        created_at=_time,
        batch_size=_ints,
        # one row per batch size of a speed profile
        device_batch=_ints,
        step_seconds=_floats,
        step_seconds_low=_floats,
        step_seconds_high=_floats,
        repeats=_ints,
        **{f"measure_{name}_seconds": _floats for name in SIGNAL_SETS},
        peak_memory_bytes=_ints,
        saturation_batch_size=_ints,
        # one row per figure of a stability profile
        figure=_texts,
        epoch=_floats,
        mean=_floats,
        low=_floats,
        high=_floats,
        seeds=_ints,
        diverged=_ints,
        # one row per mark and size of a critical profile: how far its loss lies above a smaller one's
        budget=_ints,
        base_batch_size=_ints,
        coupling=_texts,
        mark=_ints,
    ),
}
