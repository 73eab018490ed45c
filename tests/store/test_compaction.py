"""A study reads the same with and without its compacted tables, whatever changed since."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from adasearch.cli.main import main
from adasearch.commands._compact import compact_many
from adasearch.doctor.examine import examine
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.store import Store
from adasearch.store.parquet_file import read_part
from adasearch.store.schemas import SCHEMA_VERSION, Table
from tests.rows import STUDY, interval_at, trial_of

NAME = STUDY.study
Seen = tuple[list[TrialRecord], list[tuple[str, list[IntervalRecord]]], dict[Table, str]]


def put(store: Store, number: int, value: int, seconds_ago: int = 60) -> None:
    """Write a trial and ``value`` intervals, as if a while ago: a file that is young is not compacted."""
    trial = trial_of(STUDY, number, val_error=value / 10, seconds=float(value))
    store.write_trial(trial)
    store.write_intervals(trial, [interval_at(index, val_error=value / 10) for index in range(value)])
    for table in ("trials", "intervals"):
        path = path_of(store, table, number)
        at = path.stat().st_mtime_ns - seconds_ago * 10**9
        os.utime(path, ns=(at, at))


def path_of(store: Store, table: str, number: int) -> Path:
    return Path(store.name) / NAME / table / f"{NAME}-search-{number}.parquet"


def seen(store: Store) -> Seen:
    """Everything that readers say of the study, the order included."""
    tables: tuple[Table, ...] = ("trials", "intervals")
    frames = {table: store.frame(table).to_csv() for table in tables}
    return store.trials(NAME), list(store.intervals(NAME).items()), frames


def without_compacted(store: Store) -> Seen:
    place = Path(store.name) / NAME / "compacted"
    aside = place.with_name(".aside")
    if not place.exists():
        return seen(store)
    place.rename(aside)
    try:
        return seen(store)
    finally:
        aside.rename(place)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "truncate", "compact"]), st.integers(0, 5), st.integers(0, 3)
    ),
    max_size=12,
)


@given(changes=CHANGES)
def test_readers_see_the_same_with_and_without(changes: list[tuple[str, int, int]]) -> None:
    with TemporaryDirectory() as folder:
        store = Store(folder)
        store.write_study(STUDY)
        for ago, (what, number, value) in enumerate(reversed(changes), start=10):
            files = [path_of(store, table, number) for table in ("trials", "intervals")]
            if what == "write":
                put(store, number, value, seconds_ago=ago)
            elif what == "compact":
                store.compact(NAME)
            else:
                for path in filter(Path.exists, files[value % 2 :]):
                    if what == "remove":
                        path.unlink()
                    else:
                        path.write_bytes(path.read_bytes()[:-value])
            assert seen(store) == without_compacted(store)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(str(tmp_path))
    found.write_study(STUDY)
    for number in range(4):
        put(found, number, 2)
    return found


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What single files are read from here on."""
    found: list[str] = []

    def read(files: pafs.FileSystem, path: str, table: Table, columns: Sequence[str] | None) -> pa.Table:
        found.append(path.rpartition("/")[2])
        return read_part(files, path, table, columns)

    monkeypatch.setattr("adasearch.store.compaction.read_part", read)
    return found


def test_only_what_is_newer_is_read_from_its_own_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.compact(NAME) == {"trials": 4, "intervals": 8}
    put(store, 2, 3, seconds_ago=30)
    put(store, 7, 1, seconds_ago=30)
    found = opened(monkeypatch)
    assert [trial.val_error for trial in store.trials(NAME)] == [0.2, 0.2, 0.3, 0.2, 0.1]
    assert found == [f"{NAME}-search-2.parquet", f"{NAME}-search-7.parquet"]
    found.clear()
    assert [len(rows) for rows in store.intervals(NAME).values()] == [2, 2, 3, 2, 1]
    assert len(found) == 2


def test_compacting_again_takes_in_what_is_newer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.compact(NAME)
    put(store, 1, 3, seconds_ago=30)
    assert store.compact(NAME) == {"trials": 4, "intervals": 9}
    found = opened(monkeypatch)
    assert len(store.intervals(NAME)[f"{NAME}-search-1"]) == 3
    assert found == []


def test_nothing_is_deleted_or_changed_but_the_compacted_files(store: Store) -> None:
    def stored() -> Mapping[Path, tuple[bytes, int]]:
        files = [path for path in Path(store.name).rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = stored()
    store.compact(NAME)
    after = stored()
    assert {path: after[path] for path in before} == before
    assert {path.relative_to(store.name).as_posix() for path in after.keys() - before.keys()} == {
        f"{NAME}/compacted/trials.parquet",
        f"{NAME}/compacted/intervals.parquet",
    }


def test_file_of_this_moment_is_left_for_the_next_time(store: Store) -> None:
    """It could change once more within a tick of the clock, and keep its size."""
    put(store, 4, 2, seconds_ago=0)
    assert store.compact(NAME)["trials"] == 4
    assert len(store.trials(NAME)) == 5


def test_change_that_keeps_the_size_is_seen(store: Store) -> None:
    store.compact(NAME)
    size = path_of(store, "trials", 0).stat().st_size
    put(store, 0, 3, seconds_ago=30)
    assert path_of(store, "trials", 0).stat().st_size == size
    assert store.trials(NAME)[0].val_error == 0.3


def test_column_that_an_older_version_lacked_has_its_default_either_way(store: Store) -> None:
    path = path_of(store, "intervals", 0)
    table = pq.read_table(path)
    at = path.stat().st_mtime_ns
    pq.write_table(table.drop_columns(["out_of_memory", "noise_count", "test_error"]), path)
    os.utime(path, ns=(at, at))
    before = seen(store)
    record = store.intervals(NAME)[f"{NAME}-search-0"][0]
    assert (record.out_of_memory, record.signals.noise_count, record.test_error) == (0, 0, None)
    store.compact(NAME)
    assert seen(store) == before


@pytest.mark.parametrize("kept", [0, 200, -1])
def test_damaged_compacted_file_is_named_and_costs_nothing(
    store: Store, kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = seen(store)
    store.compact(NAME)
    path = Path(store.name) / NAME / "compacted" / "trials.parquet"
    path.write_bytes(path.read_bytes()[:kept])
    capsys.readouterr()
    assert store.trials(NAME) == before[0]
    assert str(path) in capsys.readouterr().err
    (finding,) = [each for each in examine(store).findings if "compacted" in each.path]
    assert "nothing is lost" in finding.means
    store.compact(NAME)
    assert seen(store) == before
    assert not [each for each in examine(store).findings if "compacted" in each.path]


@pytest.mark.parametrize("sources", [b"", b"[]", b'[["a", 1, 2]]', b'[["a", 1, 2, -1], ["b", 1, 2, 5]]'])
def test_compacted_file_that_contradicts_itself_is_not_believed(store: Store, sources: bytes) -> None:
    before = seen(store)
    store.compact(NAME)
    path = Path(store.name) / NAME / "compacted" / "trials.parquet"
    table = pq.read_table(path)
    pq.write_table(
        table.replace_schema_metadata({**table.schema.metadata, b"adasearch.sources": sources}), path
    )
    assert seen(store) == before


def test_compacted_file_of_a_newer_version_is_named(store: Store) -> None:
    store.compact(NAME)
    path = Path(store.name) / NAME / "compacted" / "trials.parquet"
    table = pq.read_table(path)
    told = {**table.schema.metadata, b"adasearch.schema_version": str(SCHEMA_VERSION + 1)}
    pq.write_table(table.replace_schema_metadata(told), path)
    (finding,) = [each for each in examine(store).findings if "compacted" in each.path]
    assert "written by a newer adasearch" in finding.what


def test_single_runs_are_compacted_alike(store: Store) -> None:
    run = replace(trial_of(STUDY, 0, phase="train"), status="complete")
    store.write_train_study(run, STUDY)
    store.write_trial(run)
    for path in (Path(store.name) / "train").rglob("*.parquet"):
        os.utime(path, (1, 1))
    assert store.compact("train") == {"trials": 1, "intervals": 0}
    assert store.trials("train") == [run]


def test_command_says_what_it_did(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def code_of(*arguments: str) -> object:
        try:
            main(["compact", store.name, *arguments])
        except SystemExit as stop:
            return stop.code
        return 0

    assert code_of() == 0
    assert capsys.readouterr().out == f"{NAME}: 4 trials and 8 intervals compacted\n"
    assert code_of("--study", NAME.replace("deba", "debba")) == 2
    assert f"did you mean '{NAME}'" in capsys.readouterr().err
    (Path(store.name) / "empty").mkdir()
    assert code_of("--study", "empty") == 0
    assert capsys.readouterr().out == "there is nothing to compact\n"


def test_a_search_compacts_what_lies_in_many_files_and_what_came_since_once_there_are_many_again(
    tmp_path: Path,
) -> None:
    store, console = Store(str(tmp_path)), Console(stderr=True)
    store.write_study(STUDY)
    for number in range(4):
        put(store, number, 2)
    place = tmp_path / NAME / "compacted" / "trials.parquet"
    compact_many(store, [NAME], console, many=5)
    assert not place.exists()
    compact_many(store, [NAME], console, many=4)
    assert store.loose(NAME) == 0
    former = place.read_bytes()
    put(store, 1, 3)
    for number in range(4, 6):
        put(store, number, 2)
    compact_many(store, [NAME], console, many=4)
    assert (place.read_bytes(), store.loose(NAME)) == (former, 3)
    assert seen(store) == without_compacted(store)
    (tmp_path / NAME / "trials" / "._hidden.parquet").touch()  # as some systems leave beside a copy
    assert store.loose(NAME) == 3
    compact_many(store, [NAME], console, many=3)
    assert (len(pq.read_table(place)), store.loose(NAME)) == (6, 0)
    assert seen(store) == without_compacted(store)


def test_a_search_that_cannot_compact_says_so_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(tmp_path))
    store.write_study(STUDY)
    put(store, 0, 2)
    (tmp_path / NAME / "compacted").write_text("no folder")
    compact_many(store, [NAME], Console(stderr=True, width=200), many=1)
    assert f"{NAME} was not compacted: " in capsys.readouterr().err
