"""Damage of every kind is found, named and explained, and what can be repaired is, without loss."""

import os
import pickle
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adasearch.cli.main import main
from adasearch.doctor.examine import examine
from adasearch.doctor.findings import Finding, Report
from adasearch.doctor.interval_check import end_of
from adasearch.doctor.repair import repair
from adasearch.profiles.profile_store import ProfileStore
from adasearch.store import Store
from adasearch.store.parquet_file import in_columns
from adasearch.store.schemas import SCHEMA_VERSION, SCHEMAS
from tests.profile_rows import speed_of
from tests.rows import STUDY, interval_at, trial_of
from tests.small_study import write_small_study

NAME = STUDY.study
ENDED = replace(trial_of(STUDY, 0, val_error=0.1, seconds=2.0), examples_seen=800, steps=26)
OTHER = replace(ENDED, trial_id=f"{NAME}-search-1", number=1)
RUNNING = trial_of(STUDY, 2, status="running")
COURSE = [interval_at(0), interval_at(1, val_error=0.1)]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A sound study of two ended trials and a running one, a single run and a profile."""
    store = Store(str(tmp_path / "results"))
    store.write_study(STUDY)
    single = replace(ENDED, phase="train", trial_id=f"{NAME}-train-0")
    store.write_train_study(single, STUDY)
    for trial in (ENDED, OTHER, RUNNING, single):
        store.write_trial(trial)
        store.write_intervals(trial, COURSE[: 1 if trial is RUNNING else 2])
    ProfileStore(store.name).write(speed_of(STUDY))
    return tmp_path / "results"


def found(results: Path) -> list[Finding]:
    return list(examine(Store(str(results))).findings)


def repaired(results: Path) -> Report:
    store = Store(str(results))
    assert all("\n" not in line for line in repair(store, examine(store).findings))
    return examine(store)


def file_of(results: Path, table: str, name: str = ENDED.trial_id) -> Path:
    return results / NAME / table / f"{name}.parquet"


def contents(results: Path) -> list[bytes]:
    """The bytes of every file, wherever it lies."""
    return sorted(path.read_bytes() for path in results.rglob("*") if path.is_file() and path.name[0] != ".")


def rewritten(path: Path, table: pa.Table, **metadata: str) -> None:
    told = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    pq.write_table(table.replace_schema_metadata(told | metadata), path)


def test_sound_folder_has_no_findings(results: Path) -> None:
    report = examine(Store(str(results)))
    assert report.findings == []
    assert report.summary() == "no damage found in 11 files"


def test_real_search_has_no_findings(small_results: Path) -> None:
    assert found(small_results) == []


# --- files that cannot be read --------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"trial_id": ["x"]}), path)


def text(path: Path) -> None:
    path.write_text("no Parquet at all")


def other_type(path: Path) -> None:
    table = pq.read_table(path)
    rewritten(path, table.set_column(0, table.column_names[0], pa.array([[1]] * table.num_rows)))


@pytest.mark.parametrize("table", ["studies", "trials", "intervals", "profiles"])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncate, "unreadable"),
        (empty, "is empty"),
        (foreign, "foreign (not our"),
        (text, "unreadable"),
        (other_type, "foreign (column"),
    ],
)
def test_file_that_cannot_be_read_is_named_and_set_aside(
    results: Path, table: str, damage: Callable[[Path], None], says: str
) -> None:
    place = results / NAME / table if table != "profiles" else results / "profiles"
    path = sorted(place.glob("*.parquet"))[0]
    damage(path)
    damaged = path.read_bytes()
    named = str(path.relative_to(results))
    (line,) = [finding.line() for finding in found(results) if finding.path == named]
    assert line.startswith(f"{named}: {says}")
    assert line.count("; ") >= 2
    before = contents(results)
    report = repaired(results)
    assert (results / ".damaged" / named).read_bytes() == damaged
    assert contents(results) == before
    lost = {"studies": 1, "intervals": 1}  # that there was a study, or a course, is still to be seen
    assert report.damaged == lost.get(table, 0)


@pytest.mark.parametrize("tables", [["trials"], ["intervals"], ["trials", "intervals"]])
def test_what_was_compacted_is_brought_back(results: Path, tables: list[str]) -> None:
    store = Store(str(results))
    for path in results.rglob("*.parquet"):
        os.utime(path, (1, 1))  # not of the last moment
    store.compact(NAME)
    before = store.trials(NAME), dict(store.intervals(NAME))
    for table in tables:
        truncate(file_of(results, table))
    assert [finding.action for finding in found(results)] == ["restore"] * len(tables)
    assert repaired(results).findings == []
    assert (store.trials(NAME), dict(store.intervals(NAME))) == before
    for table in tables:
        assert (results / ".damaged" / file_of(results, table).relative_to(results)).exists()


def test_row_that_is_no_record_is_named(results: Path) -> None:
    path = file_of(results, "trials")
    table = pq.read_table(path)
    index = table.column_names.index("params")
    rewritten(path, table.set_column(index, "params", pa.array(["{not JSON"])))
    assert "its row is no record" in found(results)[0].what


@pytest.mark.parametrize("table", ["studies", "trials", "intervals", "profiles"])
def test_file_of_a_newer_version_is_explained_and_left(results: Path, table: str) -> None:
    place = results / NAME / table if table != "profiles" else results / "profiles"
    path = sorted(place.glob("*.parquet"))[0]
    version = str(SCHEMA_VERSION + 1)
    rewritten(path, pq.read_table(path), **{"adasearch.schema_version": version})
    named = str(path.relative_to(results))
    (finding,) = [finding for finding in found(results) if finding.path == named]
    assert f"written by a newer adasearch: it has schema version {version}" in finding.line()
    assert "upgrade" in finding.remedy
    assert repaired(results).damaged
    assert path.exists()


def test_folder_of_a_files_name_is_set_aside(results: Path) -> None:
    file_of(results, "trials", "folder").mkdir()
    assert [finding.what for finding in found(results)] == ["is a folder"]
    assert not repaired(results).findings


# --- rows that do not go together -----------------------------------------------------------------------


def test_trials_without_their_study_are_named_once(results: Path) -> None:
    file_of(results, "studies", NAME).unlink()
    (finding,) = found(results)
    assert finding.path == f"{NAME}/studies/{NAME}.parquet"
    assert finding.what == "is missing, but not its trials (3)"
    (results / "train" / "studies" / f"{NAME}-train-0.parquet").unlink()
    assert {finding.folder for finding in found(results)} == {NAME, "train"}


def test_intervals_without_a_trial_are_set_aside(results: Path) -> None:
    file_of(results, "trials").unlink()
    (finding,) = found(results)
    assert finding.path == f"{NAME}/intervals/{ENDED.trial_id}.parquet"
    assert "whose row is not there" in finding.what
    assert not repaired(results).findings
    assert ENDED.trial_id not in Store(str(results)).intervals(NAME)


@pytest.mark.parametrize(
    ("intervals", "says"),
    [
        ([interval_at(0), interval_at(2)], "lacks interval 1"),
        ([interval_at(1)], "lacks interval 0"),
        ([interval_at(0), interval_at(1), interval_at(1)], "has interval 1 twice"),
        ([interval_at(0), interval_at(1, seen=400)], "examples_seen does not grow in interval 1"),
        ([interval_at(0)], "ends at examples_seen=400, but the trial's row says 800"),
        ([], "holds no rows"),
    ],
)
def test_course_that_is_not_whole_is_named(results: Path, intervals: list[object], says: str) -> None:
    Store(str(results)).write_intervals(ENDED, intervals)  # type: ignore[arg-type]
    (finding,) = found(results)
    assert (finding.path, finding.what) == (f"{NAME}/intervals/{ENDED.trial_id}.parquet", says)
    before = contents(results)
    assert repaired(results).damaged == 1
    assert contents(results) == before


def test_steps_that_disagree_with_the_trial_are_named(results: Path) -> None:
    Store(str(results)).write_trial(replace(ENDED, steps=25))
    assert [finding.what for finding in found(results)] == ["ends at step=26, but the trial's row says 25"]


def test_ended_trial_without_intervals_is_named_and_one_that_never_began_is_not(results: Path) -> None:
    file_of(results, "intervals").unlink()
    Store(str(results)).write_trial(trial_of(STUDY, 5, status="failed"))
    (finding,) = found(results)
    assert finding.what == "is missing, but the trial ended after 800 examples"


def test_intervals_of_another_trial_are_named(results: Path) -> None:
    shutil.copy(file_of(results, "intervals", OTHER.trial_id), file_of(results, "intervals"))
    assert [finding.what for finding in found(results)] == [f"holds intervals of {OTHER.trial_id}"]


def test_order_of_rows_in_a_file_is_no_fault() -> None:
    rows = {"trial_id": ["a", "a"], "interval": [1, 0], "examples_seen": [800, 400], "step": [2, 1]}
    course = end_of(in_columns(pa.table(rows), "intervals"), "a")
    assert (course.examples_seen, course.steps, course.fault) == (800, 2, None)
    assert end_of(SCHEMAS["intervals"].empty_table(), "a").fault == "holds no rows"
    holes = in_columns(pa.table({"trial_id": ["a"], "interval": np.array([0])}), "intervals")
    assert end_of(holes, "a").fault == "has rows without interval, examples_seen or step"


@pytest.mark.parametrize(
    ("steps", "fault"),
    [([0, 0, 13], None), ([13, 13, 26], None), ([13, 12, 26], "step falls in interval 1")],
)
def test_updates_may_be_skipped_for_whole_intervals(steps: list[int], fault: str | None) -> None:
    rows = {"trial_id": ["a"] * 3, "interval": [0, 1, 2], "examples_seen": [400, 800, 1200], "step": steps}
    assert end_of(in_columns(pa.table(rows), "intervals"), "a").fault == fault


# --- files in the wrong place ---------------------------------------------------------------------------


def test_copy_of_a_trial_is_set_aside_and_a_differing_one_is_left(results: Path) -> None:
    copy = file_of(results, "trials", "copy")
    shutil.copy(file_of(results, "trials"), copy)
    (finding,) = found(results)
    assert finding.path == f"{NAME}/trials/copy.parquet"
    assert f"second file of trial {ENDED.trial_id}" in finding.what
    assert not repaired(results).findings
    Store(str(results)).write_trial(replace(ENDED, trial_id="copy"))
    table = pq.read_table(copy)
    rewritten(copy, table.set_column(0, "trial_id", pa.array([ENDED.trial_id])).drop_columns(["val_error"]))
    (finding,) = found(results)
    assert "they differ" in finding.remedy
    assert repaired(results).damaged == 1
    assert copy.exists()


def test_misnamed_trial_goes_back_to_its_name(results: Path) -> None:
    trials = Store(str(results)).trials(NAME)
    file_of(results, "trials").rename(file_of(results, "trials", "renamed"))
    assert "which belongs in" in found(results)[0].what
    assert repaired(results).damaged == 0
    assert Store(str(results)).trials(NAME) == trials
    assert set(Store(str(results)).intervals(NAME)) == {trial.trial_id for trial in trials}


@pytest.mark.parametrize("folder", ["another", "zoo"])
def test_trial_in_anothers_folder_goes_home(results: Path, folder: str) -> None:
    Store(str(results)).write_study(replace(STUDY, study=folder))
    stray = results / folder / "trials" / f"{ENDED.trial_id}.parquet"
    stray.parent.mkdir()
    file_of(results, "trials").rename(stray)
    assert repaired(results).damaged == 0
    assert not stray.exists()
    assert file_of(results, "trials").exists()


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", ".hidden", ""])
def test_no_name_out_of_a_file_leads_out_of_the_folder(results: Path, name: str) -> None:
    path = file_of(results, "trials")
    table = pq.read_table(path)
    rewritten(path, table.set_column(0, "trial_id", pa.array([name])))
    before = sorted(results.parent.rglob("*"))
    assert any("no name of a file" in finding.what for finding in found(results))
    repaired(results)
    assert (results / ".damaged" / path.relative_to(results)).exists()
    new = set(results.parent.rglob("*")) - set(before)
    assert all(".damaged" in str(each) or each.name[0] == "." for each in new)


def test_study_under_a_wrong_name_is_set_aside_beside_the_right_one(results: Path) -> None:
    shutil.copy(file_of(results, "studies", NAME), file_of(results, "studies", "copy"))
    assert [finding.path for finding in found(results)] == [f"{NAME}/studies/copy.parquet"]
    assert not repaired(results).findings


def test_misnamed_profile_is_named(results: Path) -> None:
    (path,) = (results / "profiles").glob("*.parquet")
    shutil.copy(path, path.with_name("copy.parquet"))
    (finding,) = found(results)
    assert path.stem in finding.what


# --- leftovers ------------------------------------------------------------------------------------------


@pytest.fixture
def dead() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def live_draft(results: Path) -> Path:
    return file_of(results, "trials").with_name(f".draft.{socket.gethostname()}.{os.getpid()}.0123abcd")


def leave(results: Path, dead: int) -> list[Path]:
    """Leave what a killed search leaves, and what a live process is writing; return the former."""
    draft = file_of(results, "trials").with_name(f".draft.{socket.gethostname()}.{dead}.0123abcd")
    owner = results / NAME / ".owner"
    checkpoints = results / NAME / "checkpoints" / ENDED.trial_id
    ray = results / ".ray" / "0123456789ab"
    draft.write_bytes(b"half")
    owner.write_text(f"host {socket.gethostname()}, process {dead}")
    checkpoints.mkdir(parents=True)
    (checkpoints / "00000001.pt").write_bytes(b"")
    ray.mkdir(parents=True)
    (ray / "tuner.pkl").write_bytes(b"")
    live_draft(results).write_bytes(b"half")
    return [draft, owner, checkpoints, ray]


def test_leftovers_are_named_and_removed_but_are_no_damage(results: Path, dead: int) -> None:
    left = leave(results, dead)
    report = examine(Store(str(results)))
    assert {finding.path for finding in report.findings} == {str(path.relative_to(results)) for path in left}
    assert report.damaged == 0
    assert report.summary() == "no damage found in 11 files; 4 leftovers of killed processes"
    assert repaired(results).findings == []
    assert not any(path.exists() for path in left)
    assert (results / ".damaged" / NAME / "checkpoints" / ENDED.trial_id / "00000001.pt").exists()
    assert live_draft(results).exists()


def test_what_a_live_search_holds_is_left_alone(results: Path, dead: int) -> None:
    left = leave(results, dead)
    truncate(file_of(results, "trials", OTHER.trial_id))
    store = Store(str(results))
    with Store(str(results)).locks.hold(NAME):
        report = examine(store)
        lines = list(repair(store, report.findings))
    assert [finding.path for finding in report.findings if finding.leftover] == []
    assert report.damaged == 2  # the trial's row, and its intervals without it
    assert [line for line in lines if "not repaired" in line and "held by another live search" in line]
    assert left[2].exists()
    assert left[3].exists()
    assert file_of(results, "trials", OTHER.trial_id).exists()


def test_search_that_ends_well_leaves_no_owner_and_a_foreign_host_is_no_finding(results: Path) -> None:
    with Store(str(results)).locks.hold(NAME):
        assert (results / NAME / ".owner").exists()
    assert not (results / NAME / ".owner").exists()
    (results / NAME / ".owner").write_text("host elsewhere.example, process 1")
    assert found(results) == []


def test_checkpoints_are_never_unpickled(results: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    place = results / NAME / "checkpoints" / RUNNING.trial_id
    place.mkdir(parents=True)
    (place / "00000001.pt").write_bytes(pickle.dumps(Trap()))
    (finding,) = found(results)
    assert finding.what == "is truncated or no checkpoint"
    assert not finding.leftover
    assert repaired(results).findings == []
    assert not (tmp_path / "sprung").exists()


# --- the command ----------------------------------------------------------------------------------------


def code_of(*arguments: str) -> object:
    try:
        main(["doctor", *arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_command_exits_with_0_1_and_2(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(str(results)) == 0
    assert capsys.readouterr().out == "no damage found in 11 files\n"
    before = sorted(results.rglob("*"))
    truncate(file_of(results, "trials"))
    assert code_of(str(results)) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err == "adasearch: 2 findings in 11 files\n"
    assert [path for path in sorted(results.rglob("*")) if path.name[0] != "."] == [
        path for path in before if path.name[0] != "."
    ]
    assert code_of(str(results), "--repair") == 0
    assert "moved to .damaged/" in capsys.readouterr().out
    assert code_of(str(results / "nowhere")) == 2
    assert "must be an existing folder" in capsys.readouterr().err


def test_names_of_files_cannot_break_the_line() -> None:
    finding = Finding(path="a\nb\x1b[31m", what="x", means="y", remedy="z")
    assert finding.line() == "a b [31m: x; y; z"


def test_repaired_study_goes_on_as_before(tmp_path: Path) -> None:
    """What readers see after a repair is what they saw of the damaged folder: nothing more is lost."""
    results = tmp_path / "results"
    write_small_study(results, ["resnet18"])
    store = Store(str(results))
    study = store.studies()[0].study
    truncate(results / study / "trials" / f"{study}-search-1.parquet")
    seen = store.trials(study)
    assert repaired(results).findings == []
    assert store.trials(study) == seen
