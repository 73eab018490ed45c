"""Profiles to Parquet and back, to one file and into another store."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adasearch.errors import InputError
from adasearch.profiles.clock import curve_of
from adasearch.profiles.profile_store import ProfileStore
from adasearch.signal_sets import SIGNAL_SETS
from adasearch.store import Store
from tests.profile_rows import speed_of, stability_of
from tests.rows import STUDY, study_of

SPEED = speed_of(STUDY)
STEADY = stability_of(STUDY)


@pytest.fixture
def store(tmp_path: Path) -> ProfileStore:
    return ProfileStore(str(tmp_path / "here"))


def test_profiles_come_back_as_they_were(store: ProfileStore) -> None:
    store.write(SPEED)
    text = replace(STEADY, profile="text-f00d", setting=replace(STEADY.setting, sequence_length=128))
    store.write(STEADY)
    store.write(text)
    assert store.speed() == [SPEED]
    assert store.stability() == [STEADY, text]


def test_profiles_that_older_versions_stored_are_read_whole(capsys: pytest.CaptureFixture[str]) -> None:
    older = ProfileStore("notebooks/data")
    speed, steady = older.speed(), older.stability()
    assert len(speed) == len(steady) == 6
    assert capsys.readouterr().err == ""
    fast = next(each for each in speed if each.setting.architecture == "alexnet")
    assert (fast.profile, fast.setting.threads, fast.setting.driver) == ("amd-epyc-1-thread", 1, None)
    assert fast.setting.versions["adasearch"] == "0.1.0"
    assert [point.batch_size for point in fast.points] == [16, 32, 64, 128, 256, 500]
    assert fast.curve.step(32) == fast.points[1].step_seconds == 0.008424629416670845
    assert set(fast.points[0].measure_seconds) == set(SIGNAL_SETS)
    first = next(each for each in steady if each.setting.architecture == "alexnet")
    assert (first.seeds, first.diverged, first.intervals, first.batch_size) == (3, 0, 30, 32)
    assert first.params["train/lr"] == 0.01
    assert (first.figures[0].name, first.figures[0].mean) == ("stability_score", 0.8618446630868734)
    assert (first.figures[-1].epoch, first.figures[-1].mean) == (7.504, None)


def test_nothing_stored_is_no_profile(store: ProfileStore) -> None:
    assert store.speed() == []
    assert store.stability() == []


def test_profile_that_diverged_has_no_figures_and_is_there(store: ProfileStore) -> None:
    diverged = replace(STEADY, figures=(), diverged=1)
    store.write(diverged)
    assert store.stability() == [diverged]


def test_profiles_of_a_name_and_network_are_read_alone(
    store: ProfileStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = speed_of(STUDY, "h100")
    for profile in (SPEED, other, STEADY, speed_of(study_of("deba", "resnet18_wide"))):
        store.write(profile)
    for file in (tmp_path / "here" / "profiles").glob("*"):
        if not file.name.startswith("speed-abacus-resnet18-nano-"):
            file.write_bytes(b"damaged")
    assert store.speed_of("abacus", ("resnet18", "nano")) == [SPEED]
    assert capsys.readouterr().err == ""


def test_curve_of_a_study_is_found_in_a_file_of_any_name(store: ProfileStore, tmp_path: Path) -> None:
    results = Store(str(tmp_path / "here"))
    study = replace(STUDY, device_profile="abacus")
    assert curve_of(results, STUDY) is curve_of(results, study) is None
    store.write(SPEED)
    assert curve_of(results, study) == SPEED.curve
    (file,) = (tmp_path / "here" / "profiles").glob("*.parquet")
    file.rename(file.with_name("from-elsewhere.parquet"))
    assert curve_of(results, study) == SPEED.curve


def test_file_holds_one_row_per_size_that_any_engine_reads(store: ProfileStore, tmp_path: Path) -> None:
    store.write(SPEED)
    (file,) = (tmp_path / "here" / "profiles").glob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert [row["batch_size"] for row in rows] == [16, 64]
    assert {row["kind"] for row in rows} == {"speed"}
    assert rows[0]["measure_noise_seconds"] == 0.25
    assert rows[0]["saturation_batch_size"] == 16


def test_profiles_travel_in_one_file(store: ProfileStore, tmp_path: Path) -> None:
    other = speed_of(study_of("deba", "vit_b_16"))
    for profile in (SPEED, other, STEADY):
        store.write(profile)
    file = str(tmp_path / "out.parquet")
    there = ProfileStore(str(tmp_path / "there"))
    assert store.export(file, "abacus") == 2
    assert there.take_in(file) == 2
    assert there.speed() == [SPEED, other]
    assert there.take_in(file) == 0  # they are there
    assert store.export(file, None) == 3
    assert there.take_in(file) == 1
    assert there.stability() == [STEADY]


def test_import_replaces_nothing(store: ProfileStore, tmp_path: Path) -> None:
    store.write(SPEED)
    file = str(tmp_path / "out.parquet")
    store.export(file, None)
    store.write(speed_of(STUDY, factor=2.0))
    with pytest.raises(InputError, match="another profile 'abacus' of resnet18 is there already"):
        store.take_in(file)
    assert store.speed() == [speed_of(STUDY, factor=2.0)]


def test_export_of_nothing_and_import_of_anything_else_are_refused(
    store: ProfileStore, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="--export: there is no profile in"):
        store.export(str(tmp_path / "out.parquet"), None)
    store.write(SPEED)
    with pytest.raises(InputError, match="there is no profile 'h100' in"):
        store.export(str(tmp_path / "out.parquet"), "h100")
    bad = tmp_path / "bad.parquet"
    with pytest.raises(InputError, match=r"--import .*bad.parquet: "):
        store.take_in(str(bad))
    bad.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match=r"--import .*bad.parquet: "):
        store.take_in(str(bad))


def test_damaged_file_is_skipped_and_named(
    store: ProfileStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write(SPEED)
    (tmp_path / "here" / "profiles" / "zz.parquet").write_bytes(b"no")
    assert store.speed() == [SPEED]
    assert "skipping unreadable" in capsys.readouterr().err


@pytest.mark.parametrize("column", ["measure_noise_seconds", "measure_products_seconds", "step_seconds"])
def test_profile_that_lacks_a_time_is_refused_by_file_and_column(
    store: ProfileStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str
) -> None:
    """It was taken, and failed where a search first asked for modelled seconds of what was measured."""
    store.write(SPEED)
    (file,) = (tmp_path / "here" / "profiles").glob("*.parquet")
    rows = pq.read_table(file)
    place = rows.schema.get_field_index(column)
    values = pa.array([0.25, None], rows.schema.field(place).type)
    pq.write_table(rows.set_column(place, rows.schema.field(place), values), file)
    assert store.speed() == []
    assert capsys.readouterr().err == f"adasearch: skipping damaged {file}: {column} is missing\n"
    with pytest.raises(InputError, match=f"--import .*: {column} is missing"):
        ProfileStore(str(tmp_path / "there")).take_in(str(file))
