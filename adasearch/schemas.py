"""The columns of the Parquet tables; other tools rely on these names."""

from typing import Literal

import pyarrow as pa

__all__ = ["SCHEMAS", "SCHEMA_VERSION", "Table"]

SCHEMA_VERSION = 1
Table = Literal["studies", "trials", "intervals"]

_time = pa.timestamp("us", tz="UTC")
_ints, _floats, _texts = pa.int64(), pa.float64(), pa.string()


def _schema(table: Table, **columns: pa.DataType) -> pa.Schema:
    metadata = {"adasearch.table": table, "adasearch.schema_version": str(SCHEMA_VERSION)}
    return pa.schema(list(columns.items()), metadata=metadata)


SCHEMAS: dict[Table, pa.Schema] = {
    "studies": _schema(
        "studies",
        study=_texts,
        architecture=_texts,
        scale=_texts,
        scheduler=_texts,
        dataset=_texts,
        fingerprint=_texts,
        subset=_ints,
        seed=_ints,
        train_examples=_ints,
        val_examples=_ints,
        budget=_ints,
        interval=_ints,
        evaluate_every=_ints,
        workers=_ints,
        objectives=_texts,
        clock=_texts,
        device=_texts,
        device_profile=_texts,
        precision=_texts,
        sampler=_texts,
        stopper=_texts,
        smallest=_ints,
        largest=_ints,
        multiple_of=_ints,
        train_space=_texts,
        scheduler_space=_texts,
        versions=_texts,
        created_at=_time,
    ),
    "trials": _schema(
        "trials",
        trial_id=_texts,
        number=_ints,
        study=_texts,
        phase=_texts,
        role=_texts,
        source_trial_id=_texts,
        architecture=_texts,
        scale=_texts,
        scheduler=_texts,
        dataset=_texts,
        seed=_ints,
        params=_texts,
        status=_texts,
        error=_texts,
        val_error=_floats,
        test_error=_floats,
        train_seconds=_floats,
        modelled_seconds=_floats,
        measure_seconds=_floats,
        resize_seconds=_floats,
        eval_seconds=_floats,
        examples_seen=_ints,
        epochs=_floats,
        steps=_ints,
        mean_batch_size=_floats,
        final_batch_size=_ints,
        adaptations=_ints,
        peak_memory_bytes=_ints,
        workers=_ints,
        device=_texts,
        versions=_texts,
        started_at=_time,
        ended_at=_time,
    ),
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
        grad_norm=_floats,
        grad_component_variance=_floats,
        mean_grad_norm=_floats,
        mean_grad_component_variance=_floats,
        grad_noise=_floats,
        grad_sq_norm=_floats,
        noise_count=_ints,
        batch_grad_sq_norm=_floats,
        half_cosine=_floats,
        inner_product_variance=_floats,
        noise_form=_texts,
        train_seconds=_floats,
        modelled_seconds=_floats,
        measure_seconds=_floats,
        resize_seconds=_floats,
        eval_seconds=_floats,
    ),
}
