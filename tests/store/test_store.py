import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar, get_type_hints

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.choices import Task
from adasearch.errors import AdasearchError, InputError
from adasearch.records import (
    Action,
    Cause,
    Decision,
    IntervalRecord,
    Params,
    Precision,
    Signals,
    Status,
    StudyRecord,
    TrialRecord,
)
from adasearch.store import Store
from adasearch.store.locks import StudyLocked
from adasearch.store.rows import ERRORS
from adasearch.store.rows import POSITIVE as POSITIVE_COLUMNS
from adasearch.store.rows import SPENT as SPENT_COLUMNS
from adasearch.store.schemas import SCHEMA_VERSION, SCHEMAS, Table
from adasearch.store.trials import RESERVED
from tests.rows import START, STUDY, interval_at, trial_of
from tests.store.held import INTERVALS, TRIAL

R = TypeVar("R")
TABLES: tuple[Table, ...] = ("studies", "trials", "intervals")


def trial_file(results: Path, table: str = "trials", trial: TrialRecord = TRIAL) -> Path:
    return results / trial.study / table / f"{trial.trial_id}.parquet"


# --- schemas ----------------------------------------------------------------------------------------

NAMED_IN_THE_DESIGN = {
    "studies": "study architecture scale scheduler dataset fingerprint subset seed budget interval "
    "evaluate_every workers objectives clock device_profile sampler stopper train_space scheduler_space "
    "smallest largest versions",
    "trials": "trial_id number study phase role source_trial_id architecture scale scheduler dataset seed "
    "params status error val_error test_error train_seconds modelled_seconds measure_seconds resize_seconds "
    "eval_seconds examples_seen epochs steps mean_batch_size final_batch_size adaptations peak_memory_bytes "
    "workers device versions started_at ended_at",
    "intervals": "trial_id interval epoch step examples_seen batch_size next_batch_size device_batch passes "
    "action reason lr lr_scale train_loss val_loss val_error grad_norm grad_component_variance train_seconds "
    "modelled_seconds measure_seconds resize_seconds eval_seconds",
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_have_the_columns_that_other_tools_rely_on(table: Table) -> None:
    assert set(NAMED_IN_THE_DESIGN[table].split()) <= set(SCHEMAS[table].names)


def names_of(record: type) -> set[str]:
    return {field.name for field in dataclasses.fields(record)}


def test_schemas_hold_every_field_of_the_records_and_nothing_else() -> None:
    assert set(SCHEMAS["studies"].names) == names_of(StudyRecord)
    assert set(SCHEMAS["trials"].names) == names_of(TrialRecord)
    decided = {"batch_size": "next_batch_size", "lr_scale": "next_lr_scale"}
    decision = {decided.get(name, name) for name in names_of(Decision)}
    costs = names_of(IntervalRecord) - {"signals", "decision"}
    assert set(SCHEMAS["intervals"].names) == {"trial_id"} | names_of(Signals) | decision | costs


def test_columns_have_the_types_of_their_fields() -> None:
    arrow: dict[object, pa.DataType] = {
        int: pa.int64(),
        float: pa.float64(),
        str: pa.string(),
        datetime: pa.timestamp("us", tz="UTC"),
    }
    arrow |= {kind | None: arrow[kind] for kind in (int, float, str, datetime)}
    records: dict[Table, list[type]] = {
        "studies": [StudyRecord],
        "trials": [TrialRecord],
        "intervals": [IntervalRecord, Signals],
    }
    for table, classes in records.items():
        hints = {name: kind for record in classes for name, kind in get_type_hints(record).items()}
        columns = {field.name: field.type for field in SCHEMAS[table]}
        typed = {name: arrow[kind] for name, kind in hints.items() if kind in arrow}
        assert len(typed) > 15
        assert {name: columns[name] for name in typed} == typed


def test_older_files_tell_what_was_decided_and_why_a_trial_failed(tmp_path: Path) -> None:
    """Before there were columns for it, a reason and an error said so in words."""
    study = next(each for each in Store("notebooks/data").studies() if each.scheduler == "deba")
    whole = [t for t in Store("notebooks/data").trials(study.study) if t.status == "complete"]
    intervals = Store("notebooks/data").intervals(study.study)
    for trial in whole:
        rows = intervals[trial.trial_id]
        assert [row.decided for row in rows] == [True] * (len(rows) - 1) + [False]
    columns = Store("notebooks/data").columns(study.study, ["decided"])[whole[0].trial_id]
    assert columns["decided"] == [row.decided for row in intervals[whole[0].trial_id]]

    store = Store(str(tmp_path))
    errors = {"DivergedError: train_loss is nan in interval 0 (step 3)": "diverged", "OSError: no": None}
    for number, error in enumerate((*errors, "val_loss is inf in interval 1 (step 9)")):
        store.write_trial(replace(trial_of(STUDY, number, status="failed"), error=error))
    assert [trial.cause for trial in store.trials(STUDY.study)] == ["diverged", None, "diverged"]


# --- round trips ------------------------------------------------------------------------------------

INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
POSITIVE = st.integers(1, 2**63 - 1)
SHARES = st.none() | st.floats(0, 1)
SPENT = st.floats(0, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=("C", "Z")), max_size=8)  # what need not be spelt out
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(timezone.utc))
VALUES: dict[object, st.SearchStrategy[object]] = {
    **{bool: st.booleans(), int: INTS, float: FLOATS, str: TEXT, datetime: TIMES},
    Params: st.dictionaries(TEXT, st.booleans() | st.integers() | FLOATS | TEXT, max_size=3),
    Action: st.sampled_from(["grow", "shrink", "hold"]),
    Precision: st.sampled_from(["float32", "bfloat16"]),
    Status: st.sampled_from(["running", "complete", "pruned", "failed"]),
    Cause: st.sampled_from(["diverged", "raised", "lost"]),
    Task: st.sampled_from(["images", "language", "own"]),
    Mapping[str, float]: st.dictionaries(TEXT, FLOATS, max_size=3),
}
VALUES |= {kind | None: st.none() | VALUES[kind] for kind in (int, float, str, datetime, Cause)}


def any_record(record: type[R], **given: st.SearchStrategy[object]) -> st.SearchStrategy[R]:
    """Any record of a class; a field whose type has no row in ``VALUES`` must be given."""
    hints = get_type_hints(record)
    return st.builds(
        record, **{name: given[name] if name in given else VALUES[hints[name]] for name in hints}
    )


STUDIES = any_record(
    StudyRecord,
    study=st.just("s"),
    clock=st.sampled_from(["measured", "modelled"]),
    smallest=st.integers(1, 9),
    largest=st.integers(9, 2**62),
    multiple_of=st.just(1),
    **dict.fromkeys(POSITIVE_COLUMNS["studies"], POSITIVE),
)
TRIALS = any_record(
    TrialRecord,
    study=st.just("s"),
    trial_id=st.just("s"),
    phase=st.just("search"),
    workers=POSITIVE,
    objective=st.just("error"),
    **dict.fromkeys(ERRORS, SHARES),
    **dict.fromkeys(SPENT_COLUMNS, st.none() | SPENT),
)
MEASURED = ("train_seconds", "measure_seconds", "resize_seconds", "eval_seconds")
COUNTED = ("examples_seen", "initial_batch_size", "batch_size")
SCALES = st.floats(0, exclude_min=True, allow_infinity=False)
RECORDS = any_record(
    IntervalRecord,
    signals=any_record(
        Signals, step=st.integers(0, 2**63 - 1), lr_scale=SCALES, **dict.fromkeys(COUNTED, POSITIVE)
    ),
    decision=any_record(Decision, batch_size=POSITIVE, lr_scale=SCALES),
    passes=POSITIVE,
    modelled_seconds=st.none() | SPENT,
    **dict.fromkeys(MEASURED, SPENT),
    **dict.fromkeys(ERRORS, SHARES),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(str(tmp_path_factory.mktemp("shared")))


@given(study=STUDIES)
def test_study_comes_back_as_it_was_written(shared: Store, study: StudyRecord) -> None:
    shared.write_study(study)
    assert shared.study("s") == study
    assert shared.studies() == [study]


@given(trial=TRIALS)
def test_trial_comes_back_as_it_was_written(shared: Store, trial: TrialRecord) -> None:
    shared.write_trial(trial)
    assert shared.trials("s") == [trial]


@given(records=st.lists(RECORDS, max_size=3))
def test_intervals_come_back_as_they_were_written(shared: Store, records: list[IntervalRecord]) -> None:
    ordered = [
        replace(record, signals=replace(record.signals, interval=index))
        for index, record in enumerate(records)
    ]
    trial = replace(TRIAL, study="s", trial_id="s")
    shared.write_intervals(trial, ordered)
    assert shared.intervals("s").get("s", []) == ordered


def test_trials_come_back_by_number_and_intervals_by_trial(store: Store) -> None:
    numbers = [10, 9, 0]
    for number in numbers:
        trial = trial_of(STUDY, number)
        store.write_trial(trial)
        store.write_intervals(trial, INTERVALS[: 1 + number % 2])
    assert [trial.number for trial in store.trials(STUDY.study)] == sorted(numbers)
    counts = {trial_id: len(records) for trial_id, records in store.intervals(STUDY.study).items()}
    assert counts == {f"{STUDY.study}-search-{number}": 1 + number % 2 for number in numbers}


@pytest.mark.parametrize("text", ["", "[]", '{"iou": [1]}', '{"iou": "high"}'])
def test_intervals_whose_metrics_are_none_are_left_out_of_their_trial_alone(
    store: Store, results: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (0, 1):
        store.write_intervals(trial_of(STUDY, number), INTERVALS[:2])
    file = results / STUDY.study / "intervals" / f"{STUDY.study}-search-0.parquet"
    rows = pq.read_table(file)
    column = pa.array([None, text], pa.string())
    pq.write_table(rows.set_column(rows.schema.get_field_index("metrics"), "metrics", column), file)
    found = store.intervals(STUDY.study)
    assert {name: len(list(found[name])) for name in found} == {f"{STUDY.study}-search-1": 2}
    assert "metrics holds what no interval has" in capsys.readouterr().err


# --- files ------------------------------------------------------------------------------------------


def test_each_trial_and_table_has_a_file_of_its_own(full: Store, results: Path) -> None:
    full.write_trial(trial_of(STUDY, 4))
    files = {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}
    study = STUDY.study
    assert files == {
        f"{study}/studies/{study}.parquet",
        f"{study}/trials/{study}-search-3.parquet",
        f"{study}/trials/{study}-search-4.parquet",
        f"{study}/intervals/{study}-search-3.parquet",
    }


def test_row_of_an_ended_trial_replaces_its_running_one(store: Store, results: Path) -> None:
    store.write_trial(replace(TRIAL, status="running", val_error=None))
    store.write_trial(TRIAL)
    assert store.trials(STUDY.study) == [TRIAL]
    assert [path.name for path in trial_file(results).parent.iterdir()] == [trial_file(results).name]


def test_single_runs_lie_in_a_folder_that_is_no_study(full: Store, results: Path) -> None:
    run = trial_of(STUDY, 0, phase="train")
    full.write_trial(run)
    full.write_intervals(run, INTERVALS)
    assert (results / "train" / "trials" / f"{run.trial_id}.parquet").exists()
    assert full.trials("train") == [run]
    assert full.trials(STUDY.study) == [TRIAL]
    assert full.studies() == [STUDY]
    assert "train" in RESERVED
    assert set(full.frame("trials")["phase"]) == {"search"}


@pytest.mark.parametrize("prefix", ["mine", "a-constant-b", None])
def test_prefix_of_a_study_that_an_older_version_wrote_is_read_from_its_name(
    store: Store, results: Path, prefix: str | None
) -> None:
    name = STUDY.study if prefix is None else f"{prefix}-{STUDY.study}"
    study = replace(STUDY, study=name, prefix=prefix)
    store.write_study(study)
    path = results / name / "studies" / f"{name}.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["prefix"]), path)
    assert store.study(name) == study


def test_trial_is_found_where_its_id_says(
    full: Store, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(STUDY, study="another-study")
    single = trial_of(STUDY, 0, phase="train")
    full.write_study(other)
    for trial in (single, trial_of(other, 0)):
        full.write_trial(trial)
        full.write_intervals(trial, INTERVALS)
    trial_file(results, trial=trial_of(other, 0)).write_bytes(b"damaged")
    assert full.find_trial(TRIAL.trial_id) == (TRIAL, INTERVALS)
    assert full.find_trial(single.trial_id) == (single, INTERVALS)
    assert capsys.readouterr().err == ""
    assert full.trial_ids("another-study") == ["another-study-search-0"]
    for name in ("another-study-search-0", "nowhere-search-0", "search", "../another-study-search-0"):
        with pytest.raises(InputError, match=f"unknown trial '{name}' in .*; there are: {TRIAL.trial_id}, "):
            full.find_trial(name)


def test_frames_have_every_row_and_column(full: Store) -> None:
    for table in TABLES:
        frame = full.frame(table)
        params = list(TRIAL.params) if table == "trials" else []
        assert list(frame.columns) == [*SCHEMAS[table].names, *params]
        assert [frame[name].item() for name in params] == [TRIAL.params[name] for name in params]
        assert len(frame) == (2 if table == "intervals" else 1)
    assert full.frame("trials", [STUDY.study])["val_error"].item() == 0.125
    assert full.frame("trials", ["another"]).empty


def test_frame_of_some_columns(full: Store, store: Store) -> None:
    wanted = ["val_error", "trial_id"]
    pd.testing.assert_frame_equal(
        full.frame("intervals", columns=wanted), full.frame("intervals")[wanted], check_dtype=False
    )
    assert list(store.frame("trials", columns=wanted).columns) == wanted
    with pytest.raises(InputError, match=r"unknown column 'val_eror'.*val_error"):
        full.frame("intervals", columns=["val_eror"])


@pytest.mark.parametrize("table", TABLES)
def test_frame_of_nothing_has_the_columns(store: Store, table: Table) -> None:
    frame = store.frame(table)
    assert frame.empty
    assert list(frame.columns) == SCHEMAS[table].names


def test_nothing_is_there_before_something_is_written(store: Store, results: Path) -> None:
    store.check_writable()
    assert (store.studies(), store.trials("x"), store.intervals("x"), store.study("x")) == ([], [], {}, None)
    assert not results.exists()


# --- damage -----------------------------------------------------------------------------------------


def test_hidden_and_other_files_are_no_rows(
    full: Store, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trial_file(results).parent
    (folder / f".{TRIAL.trial_id}.123").write_bytes(b"half")
    (folder / ".hidden.parquet").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    (results / ".ray").mkdir()
    (results / "file").write_text("mine")
    assert full.trials(STUDY.study) == [TRIAL]
    assert full.studies() == [STUDY]
    assert not capsys.readouterr().err


def one_line(capsys: pytest.CaptureFixture[str], path: Path) -> bool:
    lines = capsys.readouterr().err.splitlines()
    return len(lines) == 1 and str(path) in lines[0]


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_truncated_file_is_skipped_and_named(
    full: Store, results: Path, kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = trial_of(STUDY, 4)
    full.write_trial(broken)
    path = trial_file(results, trial=broken)
    path.write_bytes(path.read_bytes()[:kept])
    assert full.trials(STUDY.study) == [TRIAL]
    assert one_line(capsys, path)


@pytest.mark.parametrize(("together", "at_a_time"), [(256, 16), (4, 2), (1, 1)])
def test_files_that_are_read_together_say_the_same_as_alone(
    results: Path,
    together: int,
    at_a_time: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Damaged, foreign and older ones, a copy, and a time that no calendar has, among many."""
    monkeypatch.setattr("adasearch.store.compaction.TOGETHER", together)
    monkeypatch.setattr("adasearch.store.compaction.AT_A_TIME", at_a_time)
    store = Store(str(results))
    for number in range(20):
        trial = trial_of(STUDY, number, val_error=number / 20)
        store.write_trial(trial)
        store.write_intervals(trial, [interval_at(index, val_error=0.5) for index in range(number % 3 + 1)])

    def path(number: int, table: str = "trials") -> Path:
        return results / STUDY.study / table / f"{STUDY.study}-search-{number}.parquet"

    path(3).write_bytes(path(3).read_bytes()[:-1])
    path(4, "intervals").write_bytes(b"")
    pq.write_table(pa.table({"a": [1]}), path(7))
    older = pq.read_table(path(10))
    pq.write_table(older.drop_columns(["val_error_se", "cause", "objective"]), path(10))
    pq.write_table(pq.read_table(path(11)), path(30))  # beside the file of its trial
    late = pq.read_table(path(15))
    place = late.schema.get_field_index("ended_at")
    never = pa.array([2**62], pa.int64()).cast(late.schema.field(place).type)
    pq.write_table(late.set_column(place, late.schema.field(place), never), path(15))
    capsys.readouterr()

    read = [trial.number for trial in store.trials(STUDY.study)]
    assert read == [number for number in range(20) if number not in (3, 7, 15)]
    named = capsys.readouterr().err
    assert [str(path(number)) in named for number in (3, 7, 15, 30)] == [True] * 4
    assert len(named.splitlines()) == 4
    counts = {name: len(rows) for name, rows in store.intervals(STUDY.study).items()}
    assert counts == {path(number).stem: number % 3 + 1 for number in range(20) if number != 4}
    assert str(path(4, "intervals")) in capsys.readouterr().err


def test_folder_with_the_name_of_a_file_is_skipped_and_named(
    full: Store, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trial_file(results).with_name("folder.parquet")
    path.mkdir()
    assert full.trials(STUDY.study) == [TRIAL]
    assert one_line(capsys, path)


def test_parquet_of_somebody_else_is_skipped_and_named(
    full: Store, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trial_file(results).with_name("foreign.parquet")
    pq.write_table(pa.table({"trial_id": ["x"], "val_error": ["high"]}), path)
    assert full.trials(STUDY.study) == [TRIAL]
    assert one_line(capsys, path)
    assert list(full.frame("trials")["trial_id"]) == [TRIAL.trial_id]
    assert one_line(capsys, path)


def test_file_of_another_table_is_skipped_and_named(
    full: Store, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trial_file(results).with_name("moved.parquet")
    path.write_bytes(trial_file(results, "intervals").read_bytes())
    assert full.trials(STUDY.study) == [TRIAL]
    assert one_line(capsys, path)


def test_file_of_a_newer_version_is_refused_by_name(full: Store, results: Path) -> None:
    path = trial_file(results)
    table = pq.read_table(path).append_column("later", pa.array([1]))
    newer = {"adasearch.table": "trials", "adasearch.schema_version": str(SCHEMA_VERSION + 1)}
    pq.write_table(table.replace_schema_metadata(newer), path)
    with pytest.raises(InputError, match=f"version {SCHEMA_VERSION + 1}.* up to {SCHEMA_VERSION}") as caught:
        full.trials(STUDY.study)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("dataset", "size"),
    [
        ("folder:/data/pets@64", 64),
        ("folder:/data/pets", None),
        ("digits", None),
        ("digits@99999999999999999999", None),
    ],
)
def test_studies_of_version_1_have_their_image_size_in_the_name_of_their_data(
    full: Store, results: Path, dataset: str, size: int | None
) -> None:
    path = results / STUDY.study / "studies" / f"{STUDY.study}.parquet"
    full.write_study(replace(STUDY, dataset=dataset))
    table = pq.read_table(path).drop_columns("image_size")
    older = {"adasearch.table": "studies", "adasearch.schema_version": "1"}
    pq.write_table(table.replace_schema_metadata(older), path)
    (study,) = full.studies()
    assert (study.dataset, study.image_size) == (dataset, size)
    column = full.frame("studies", columns=["image_size"])
    assert list(column.columns) == ["image_size"]
    assert list(column["image_size"].dropna()) == ([] if size is None else [size])


def test_a_name_that_looks_like_a_size_is_none(full: Store) -> None:
    full.write_study(replace(STUDY, dataset="parquet:/data/imagenet@2012", image_size=None))
    (study,) = full.studies()
    assert (study.image_size, study.source) == (None, "parquet:/data/imagenet@2012")


def test_folder_that_cannot_be_listed_is_named(full: Store, results: Path) -> None:
    (results / "other").mkdir()
    (results / "other" / "trials").write_text("a file where a table would be")
    with pytest.raises(AdasearchError, match="cannot read") as caught:
        full.trials("other")
    assert str(results / "other" / "trials") in str(caught.value)


def test_failed_write_names_the_file_and_leaves_the_former_one(full: Store, results: Path) -> None:
    (results / "other").write_text("a file where a study's folder would be")
    trial = replace(TRIAL, study="other")
    with pytest.raises(AdasearchError, match="cannot write") as caught:
        full.write_trial(trial)
    assert str(results / "other" / "trials") in str(caught.value)
    assert not isinstance(caught.value, InputError)
    assert full.trials(STUDY.study) == [TRIAL]


# --- the results folder -----------------------------------------------------------------------------


def test_results_that_are_a_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text("mine")
    with pytest.raises(InputError, match="must be a folder but is a file"):
        Store(str(path))
    with pytest.raises(InputError, match="must be writable"):
        Store(str(path / "below")).check_writable()


def test_results_that_are_not_there_are_refused_where_they_must_be(results: Path) -> None:
    with pytest.raises(InputError, match="must be an existing folder but is not there") as caught:
        Store(str(results), must_exist=True)
    assert repr(str(results)) in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_results_that_cannot_be_written_are_refused(results: Path) -> None:
    results.mkdir()
    results.chmod(0o555)
    with pytest.raises(InputError, match="must be writable"):
        Store(str(results / "below")).check_writable()


@pytest.mark.parametrize("place", ["nowhere://bucket/x", "fsspec+nowhere://bucket", "~no_such_person_here/x"])
def test_results_at_no_known_place_are_refused(place: str) -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        Store(place)


# --- other file systems -----------------------------------------------------------------------------


def test_file_uri_is_the_local_folder(full: Store, results: Path) -> None:
    same = Store(results.as_uri(), must_exist=True)
    assert same.trials(STUDY.study) == [TRIAL]
    other = trial_of(STUDY, 4)
    same.write_trial(other)
    assert full.trials(STUDY.study) == [TRIAL, other]
    with same.ray_folder(shared=True) as place:
        assert place == f"{results}/.ray"
    with same.locks.hold(STUDY.study), pytest.raises(StudyLocked), full.locks.hold(STUDY.study):
        pass


def test_object_store_keeps_tables_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem
    monkeypatch.setattr(memory, "store", {})
    monkeypatch.setattr(memory, "pseudo_dirs", [""])
    monkeypatch.setattr("adasearch.store.lease_backends.SETTLE_SECONDS", 0.01)
    uri = "fsspec+memory://bucket/results"
    store = Store(uri)
    store.check_writable()
    with store.locks.hold(STUDY.study):
        store.write_study(STUDY)
        store.write_trial(replace(TRIAL, status="running"))
        store.write_intervals(TRIAL, INTERVALS)
        store.write_trial(TRIAL)
    again = Store(uri, must_exist=True)
    assert again.studies() == [STUDY]
    assert again.trials(STUDY.study) == [TRIAL]
    assert again.intervals(STUDY.study) == {TRIAL.trial_id: INTERVALS}
    with again.ray_folder(shared=True) as place:
        assert place == f"{uri}/.ray"
    with again.ray_folder(shared=False) as place:
        assert Path(place).is_dir()
    assert not Path(place).exists()
    study = f"/bucket/results/{STUDY.study}"
    assert sorted(memory.store) == [
        f"/bucket/results/.leases/{STUDY.study}.json",
        f"{study}/intervals/{TRIAL.trial_id}.parquet",
        f"{study}/studies/{STUDY.study}.parquet",
        f"{study}/trials/{TRIAL.trial_id}.parquet",
    ]


# --- other engines ----------------------------------------------------------------------------------

ENGINES = """
import sys
import duckdb, polars
study = sys.argv[1]
for table, rows in (("studies", 1), ("trials", 1), ("intervals", 2)):
    glob = f"{study}/{table}/*.parquet"
    assert duckdb.sql(f"select count(*) from '{glob}'").fetchall() == [(rows,)], table
    assert polars.read_parquet(glob).height == rows, table
found = duckdb.sql(f"select val_error, params->>'$.\\"scheduler/rule\\"' from '{study}/trials/*.parquet'")
assert found.fetchall() == [(0.125, "settle")]
assert "adasearch" not in sys.modules
"""


def test_duckdb_and_polars_read_the_tables_without_adasearch(full: Store, results: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENGINES, str(results / STUDY.study)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_times_and_missing_values_mean_the_same_elsewhere(full: Store, results: Path) -> None:
    glob = str(results / "*" / "trials" / "*.parquet")
    row = pl.read_parquet(glob).row(0, named=True)
    assert row["started_at"] == START
    assert row["test_error"] is None
    found = duckdb.sql(f"select epoch_us(started_at), ended_at is null, test_error from '{glob}'")
    assert found is not None
    assert found.fetchall() == [(START.timestamp() * 1e6, True, None)]
