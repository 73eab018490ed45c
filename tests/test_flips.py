"""A single bit that changed in a stored file is seen by readers and by ``doctor``, or changes nothing.

``pytest -m soak -s tests/test_flips.py`` prints, of 300 flips of each kind of file, how many were seen.
"""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adasearch.commands import doctor, export
from adasearch.data.splits import Dataset
from adasearch.errors import InputError
from adasearch.io.seal import MARK, SIZE, Damaged, opened, sealed
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import Limits
from adasearch.schedule_file import load_schedule
from adasearch.schedulers.deba import Deba
from adasearch.store import Store
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from tests.profile_rows import speed_of

Read = Callable[[Path], object]
"""Reads all that the flipped file of a results folder tells; None where it is passed over or refused."""


def _trials(results: Path) -> object:
    found = Store(str(results)).trials(_study(results))
    return found if len(found) == 3 else None


def _intervals(results: Path) -> object:
    found = dict(Store(str(results)).intervals(_study(results)))
    return found if len(found) == 3 else None


def _studies(results: Path) -> object:
    return Store(str(results)).study(_study(results))


def _profiles(results: Path) -> object:
    return ProfileStore(str(results)).speed() or None


def _checkpoint(results: Path) -> object:
    (path,) = results.glob("*/checkpoints/*/*.pt")
    state = Checkpoints(str(path.parent))._read(str(path))
    return repr(state) if state else None


def _schedule(results: Path) -> object:
    try:
        return load_schedule(results / "schedule.yaml")
    except InputError:
        return None


def _study(results: Path) -> str:
    return next(path.name for path in sorted(results.glob("*deba*")))


KINDS: dict[str, tuple[str, Read]] = {
    "trial": ("{study}/trials/{study}-search-1.parquet", _trials),
    "intervals": ("{study}/intervals/{study}-search-1.parquet", _intervals),
    "study": ("{study}/studies/{study}.parquet", _studies),
    "compacted intervals": ("{study}/compacted/intervals.parquet", _intervals),
    "profile": ("profiles/*.parquet", _profiles),
    "checkpoint": ("{study}/checkpoints/*/*.pt", _checkpoint),
    "schedule": ("schedule.yaml", _schedule),
}


@pytest.fixture(scope="module")
def whole(small_results: Path, digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one file of each kind; one trial of it runs still."""
    results = tmp_path_factory.mktemp("whole") / "results"
    shutil.copytree(small_results, results)
    store, study = Store(str(results)), _study(results)
    record = store.study(study)
    assert record is not None
    ProfileStore(str(results)).write(speed_of(record))
    first, second = store.trials(study)
    for file in results.rglob("*.parquet"):
        os.utime(file, (1e9, 1e9))  # what changed just now is not compacted yet
    store.compact(study)
    running = replace(first, status="running", trial_id=f"{study}-search-2", number=2)
    folder = Path(store.checkpoint_folder(running))
    folder.mkdir(parents=True)
    config = TrainConfig(
        architecture="resnet18",
        scale="nano",
        seed=3,
        hyperparameters=Hyperparameters(batch_size=20),
        budget=160,
        interval=80,
        evaluate_every=80,
    )
    checkpoints = Checkpoints(str(folder), every=1)
    run = train(config, Deba(), Limits(smallest=16, largest=32), digits, checkpoints=checkpoints)
    next(run)
    store.write_intervals(running, list(store.intervals(study)[first.trial_id])[:1])
    store.write_trial(running)
    export(store, study, output=str(results / "schedule.yaml"), trial_id=second.trial_id)
    return results


@contextmanager
def flipped(file: Path, place: int) -> Iterator[None]:
    """Change one bit of a file for a while."""
    data = file.read_bytes()
    changed = bytearray(data)
    changed[place // 8] ^= 1 << place % 8
    file.write_bytes(changed)
    yield
    file.write_bytes(data)


def outcome(results: Path, kind: str, place: int, before: object) -> str:
    """Return what came of one flip: seen, harmless, or one of two that must not be."""
    pattern, read = KINDS[kind]
    (file,) = results.glob(pattern.format(study=_study(results)))
    name = str(file.relative_to(results))
    with flipped(file, place):
        now = read(results)
        named = any(finding.path == name for finding in doctor(Store(str(results))).findings)
    if now is not None and now != before:
        return "shows other contents"
    if now is None and not named and kind != "schedule":  # which is no part of a results folder
        return "is passed over, and doctor is silent"
    return "seen" if now is None or named else "harmless"


def check_flips(whole: Path, kind: str, count: int) -> None:
    pattern, read = KINDS[kind]
    (file,) = whole.glob(pattern.format(study=_study(whole)))
    before = read(whole)
    assert before is not None
    rng, bits = random.Random(kind), 8 * file.stat().st_size
    found = Counter(outcome(whole, kind, rng.randrange(bits), before) for _ in range(count))
    print(f"{kind} ({bits // 8} bytes): {dict(found)}")  # noqa: T201
    assert found.keys() <= {"seen", "harmless"}
    assert found["seen"] > 0.9 * count


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bit_is_seen(kind: str, whole: Path) -> None:
    check_flips(whole, kind, 12)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
def test_of_three_hundred_flipped_bits_all_are_seen_or_harmless(kind: str, whole: Path) -> None:
    check_flips(whole, kind, 300)


def test_every_bit_of_a_sealed_file_is_covered() -> None:
    data = sealed(b"what is in it")
    for place in range(8 * len(data)):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        in_the_mark = len(data) - SIZE <= place // 8 < len(data) - SIZE + len(MARK)
        if in_the_mark:  # then it is as a file without a digest: what follows its contents has no meaning
            assert opened(bytes(changed)) == bytes(changed)
        else:
            with pytest.raises(Damaged):
                opened(bytes(changed))


def test_other_tools_read_a_table_with_a_digest_and_verify_its_pages(whole: Path) -> None:
    study = _study(whole)
    (file,) = whole.glob(f"{study}/intervals/{study}-search-1.parquet")
    plain = pq.read_table(file, page_checksum_verification=True)
    found = duckdb.sql(f"select count(*), max(step) from '{file}'")
    assert found is not None
    assert found.fetchall() == [(plain.num_rows, max(plain.column("step").to_pylist()))]
    assert len(pd.read_parquet(file)) == plain.num_rows


def test_file_without_a_digest_is_read(whole: Path) -> None:
    (file,) = whole.glob("*deba*/trials/*-search-1.parquet")
    before, data = _trials(whole), file.read_bytes()
    pq.write_table(pq.read_table(file), file)
    assert MARK not in file.read_bytes()
    assert _trials(whole) == before
    file.write_bytes(data)


def test_schedule_that_a_person_changed_says_which_line_to_remove(whole: Path, tmp_path: Path) -> None:
    text = (whole / "schedule.yaml").read_text()
    changed = tmp_path / "changed.yaml"
    changed.write_text(text.replace("largest: 64", "largest: 48"))
    with pytest.raises(InputError, match=r"was changed since it was exported; .* remove its last line"):
        load_schedule(changed)
    changed.write_text("\n".join(changed.read_text().splitlines()[:-1]))
    assert load_schedule(changed).largest == 48


# --- copies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["trials", "intervals"])
@pytest.mark.parametrize("compacted", [True, False])
def test_conflict_copy_counts_beside_no_trial_and_is_named(
    table: str, compacted: bool, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    store, study = Store(str(results)), _study(results)
    if not compacted:
        shutil.rmtree(results / study / "compacted")
    before = (
        store.trials(study),
        dict(store.intervals(study)),
        len(store.frame("intervals", columns=["epoch"])),
    )
    (file,) = results.glob(f"{study}/{table}/{study}-search-1.parquet")
    copy = file.with_name(f"{file.stem} (conflicted copy 2026-11-29).parquet")
    shutil.copy(file, copy)
    after = (
        store.trials(study),
        dict(store.intervals(study)),
        len(store.frame("intervals", columns=["epoch"])),
    )
    assert after == before
    assert (
        f"skipping second {copy}: {file.name} beside it is the file of this trial" in capsys.readouterr().err
    )
    store.compact(study)
    assert (store.trials(study), dict(store.intervals(study))) == before[:2]
    found = [finding.path for finding in doctor(store).findings]
    assert found == [str(copy.relative_to(results))]


def test_trial_file_with_two_rows_counts_once_and_is_named(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    shutil.copytree(whole, results)
    store, study = Store(str(results)), _study(results)
    before = store.trials(study)
    (file,) = results.glob(f"{study}/trials/{study}-search-1.parquet")
    rows = pq.read_table(file)
    pq.write_table(pa.concat_tables([rows, rows]), file)
    assert store.trials(study) == before
    assert "it has a second row" in capsys.readouterr().err
    (finding,) = doctor(store).findings
    assert (finding.path, finding.what) == (str(file.relative_to(results)), "holds 2 rows instead of one")
