"""The columns of studies and trials, written down: they follow the records, and other tools rely on them."""

from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adasearch.store.parquet_file import parquet_bytes, small_parquet_bytes
from adasearch.store.schemas import SCHEMAS, Table

TEXT, INT, FLOAT, BOOL, TIME = "string", "int64", "double", "bool", "timestamp[us, tz=UTC]"

STUDIES = [
    (TEXT, "study architecture scale scheduler dataset"),
    (INT, "image_size"),
    (TEXT, "fingerprint"),
    (INT, "subset seed train_examples val_examples budget interval evaluate_every workers"),
    (TEXT, "objectives clock device device_profile stability_profile precision"),
    (BOOL, "compile per_example"),
    (TEXT, "sampler stopper"),
    (INT, "smallest largest multiple_of"),
    (TEXT, "train_space scheduler_space prefix label_column image_column config split weights"),
    (TEXT, "task objective"),
    (INT, "sequence_length"),
    (TEXT, "tokenizer code versions"),
    (TIME, "created_at"),
]
TRIALS = [
    (TEXT, "trial_id"),
    (INT, "number"),
    (TEXT, "study phase role source_trial_id architecture scale scheduler dataset"),
    (INT, "seed"),
    (TEXT, "params status error cause objective"),
    (
        FLOAT,
        "val_error val_error_se test_error train_seconds modelled_seconds measure_seconds resize_seconds",
    ),
    (FLOAT, "eval_seconds"),
    (INT, "examples_seen"),
    (FLOAT, "epochs"),
    (INT, "steps"),
    (FLOAT, "mean_batch_size"),
    (INT, "final_batch_size adaptations peak_memory_bytes workers"),
    (TEXT, "device versions"),
    (TIME, "started_at ended_at"),
]


@pytest.mark.parametrize(("table", "columns"), [("studies", STUDIES), ("trials", TRIALS)])
def test_columns_their_order_and_their_types_are_those_that_other_tools_know(
    table: Table, columns: list[tuple[str, str]]
) -> None:
    expected = [(name, kind) for kind, names in columns for name in names.split()]
    assert [(field.name, str(field.type)) for field in SCHEMAS[table]] == expected


@pytest.mark.parametrize("table", ["studies", "trials", "intervals"])
def test_small_files_take_less_than_half_and_every_type_comes_back(table: Table) -> None:
    schema = SCHEMAS[table]
    values = {"string": "text", "int64": 7, "double": 0.5, "bool": True}
    moment = datetime(2026, 11, 30, 12, 0, 0, 123456, timezone.utc)
    full = {field.name: values.get(str(field.type), moment) for field in schema}
    rows = pa.Table.from_pylist([full, dict.fromkeys(schema.names)], schema=schema)
    small = small_parquet_bytes(rows)
    found = pq.read_table(pa.BufferReader(small), page_checksum_verification=True)
    assert found.schema.equals(schema)
    assert found.schema.metadata == schema.metadata  # by which a file is known to be ours
    assert found.to_pylist() == rows.to_pylist()
    assert len(small) < 0.5 * len(parquet_bytes(rows))
