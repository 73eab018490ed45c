"""The cache of decoded images: two processes at once, interruptions, damage, former versions."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adasearch.data.sources.cache import VERSION, keep_numbers, kept_numbers
from adasearch.data.sources.registry import decode
from adasearch.errors import InputError
from tests.pictures import Calls, assert_equal, pictures, write_folder, write_pictures

# Decodes a source, but waits before each image while a file exists, and tells what it does.
DECODER = """
import sys, time
from pathlib import Path
from adasearch.data.sources import base
from adasearch.data.sources.registry import decode

real = base.pixels

def held_up(*arguments, **options):
    while Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return real(*arguments, **options)

base.pixels = held_up
print("ready", flush=True)
found = decode(sys.argv[1], lambda what, done, total: print(what, flush=True))
print(found.fingerprint, flush=True)
"""


def start(source: str, barrier: Path) -> "subprocess.Popen[str]":
    """Let another process decode, and wait until it begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", DECODER, source, str(barrier)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def entry(cache: Path) -> Path:
    """Return the one folder with decoded images."""
    (found,) = [path.parent for path in cache.rglob("meta.json")]
    return found


def drafts(cache: Path) -> list[Path]:
    return list(cache.rglob("*.draft"))


def until(condition: object, seconds: float = 30) -> None:
    """Wait until a function returns something true."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_two_processes_at_once_decode_once_and_read_the_same(tmp_path: Path, cache_dir: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(6))
    barrier = tmp_path / "barrier"
    barrier.touch()
    first = start(f"parquet:{path}", barrier)
    until(lambda: drafts(cache_dir))
    second = start(f"parquet:{path}", barrier)
    assert second.stdout is not None
    while "waiting for another process" not in second.stdout.readline():
        assert second.poll() is None
    barrier.unlink()
    told = [process.communicate(timeout=60)[0].splitlines() for process in (first, second)]
    found = decode(f"parquet:{path}")
    np.testing.assert_array_equal(found.images, pictures(6))
    assert [lines[-1] for lines in told] == [found.fingerprint] * 2
    assert ["decoding images" in lines for lines in told] == [True, False]
    assert not drafts(cache_dir)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_decoding_leaves_nothing_that_is_read(
    tmp_path: Path, cache_dir: Path, ending: signal.Signals
) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(50))
    barrier = tmp_path / "barrier"
    barrier.touch()
    process = start(f"parquet:{path}", barrier)
    until(lambda: drafts(cache_dir))
    process.send_signal(ending)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert bool(drafts(cache_dir)) == (ending == signal.SIGKILL)
    found = decode(f"parquet:{path}")
    np.testing.assert_array_equal(found.images, pictures(50))
    assert not drafts(cache_dir)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "meta.json"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_damaged_entry_is_decoded_again(tmp_path: Path, cache_dir: Path, name: str, share: float) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    before = decode(f"parquet:{path}")
    before = replace(before, images=np.array(before.images))  # not mapped from the file
    damaged = entry(cache_dir) / name
    damaged.write_bytes(damaged.read_bytes()[: int(damaged.stat().st_size * share)])
    calls = Calls()
    assert_equal(decode(f"parquet:{path}", calls), before)
    assert ("decoding images", 5, 5) in calls.told
    again = Calls()
    assert_equal(decode(f"parquet:{path}", again), before)
    assert ("decoding images", 5, 5) not in again.told


def test_entry_with_a_missing_or_strange_field_is_decoded_again(tmp_path: Path, cache_dir: Path) -> None:
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    before = decode(f"parquet:{path}")
    meta = json.loads((entry(cache_dir) / "meta.json").read_text())
    contents: list[object] = [{"classes": 3}, [], {**meta, "x": 1}]
    for content in contents:
        (entry(cache_dir) / "meta.json").write_text(json.dumps(content))
        assert_equal(decode(f"parquet:{path}"), before)


def test_entries_of_former_versions_are_removed_and_newer_ones_kept(tmp_path: Path, cache_dir: Path) -> None:
    decoded = cache_dir / "adasearch" / "decoded"
    former = [decoded / ("0123456789abcdef" + "0" * 8), decoded / f"v{VERSION - 1}" / "key"]
    newer = decoded / f"v{VERSION + 1}" / "key"
    for folder in (*former, newer):
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text("{}")
    decode(f"parquet:{write_pictures(tmp_path / 'train.parquet', pictures(5))}")
    assert not any(folder.exists() for folder in former)
    assert newer.exists()


def test_folders_are_cached_per_image_size_and_state(tmp_path: Path, cache_dir: Path) -> None:
    write_folder(tmp_path / "data", pictures(5))
    source = f"folder:{tmp_path / 'data'}"

    def decoded_now(image_size: int | None = None) -> bool:
        calls = Calls()
        decode(source, calls, image_size=image_size)
        return ("decoding images", 5, 5) in calls.told

    assert [decoded_now(), decoded_now(), decoded_now(4), decoded_now(4)] == [True, False, True, False]
    os.utime(tmp_path / "data" / "class 0" / "0000.png", ns=(0, 10**9))
    assert decoded_now()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, cache_dir: Path) -> None:
    cache_dir.mkdir()
    cache_dir.chmod(0o500)
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    np.testing.assert_array_equal(decode(f"parquet:{path}").images, pictures(5))


def test_a_file_where_the_cache_should_be_costs_time_only(tmp_path: Path, cache_dir: Path) -> None:
    cache_dir.write_text("no folder")
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    np.testing.assert_array_equal(decode(f"parquet:{path}").images, pictures(5))
    keep_numbers("key", [[1.0]])
    assert kept_numbers("key") is None


def test_a_disk_that_fills_up_costs_time_only(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    path = write_pictures(tmp_path / "train.parquet", pictures(5))
    with_cache = decode(f"parquet:{path}")
    np.testing.assert_array_equal(with_cache.images, pictures(5))
    assert not drafts(cache_dir)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_dir))
    assert_equal(decode(f"parquet:{path}"), with_cache)


def test_refused_images_leave_no_draft(tmp_path: Path, cache_dir: Path) -> None:
    write_folder(tmp_path / "data", pictures(5))
    (tmp_path / "data" / "class 1" / "0004.png").write_bytes(b"no image")
    with pytest.raises(InputError):
        decode(f"folder:{tmp_path / 'data'}")
    assert not drafts(cache_dir)


def test_numbers_come_back_exactly(cache_dir: Path) -> None:
    numbers = [[0.1, 1 / 3], [2.0**-60]]
    assert kept_numbers("key") is None
    keep_numbers("key", numbers)
    assert kept_numbers("key") == numbers
    (file,) = (cache_dir / "adasearch" / "statistics").iterdir()
    file.write_text("[[0.1")
    assert kept_numbers("key") is None
