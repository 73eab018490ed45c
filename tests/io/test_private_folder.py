"""The folder of a process's own among the temporary files."""

import multiprocessing
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest

from adasearch.errors import StoreError
from adasearch.io import private_folder as module
from adasearch.io.private_folder import private_folder


@pytest.fixture
def tmpdir_(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A TMPDIR whose path is short, as Ray's sockets need it."""
    folder = Path(mkdtemp(prefix="t-", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_folder_is_its_users_alone_and_goes_in_the_end_with_what_is_in_it(tmpdir_: Path) -> None:
    with suppress(ValueError), private_folder() as place:
        assert Path(place).parent == tmpdir_
        assert stat.S_IMODE(Path(place).stat().st_mode) == 0o700
        Path(place, "deep").mkdir()
        Path(place, "deep", "file").touch()
        raise ValueError
    assert list(tmpdir_.iterdir()) == []


@pytest.mark.parametrize("given", ["x" * 60, "not/there"])
def test_place_that_is_too_long_for_sockets_or_not_there_is_passed_over(
    given: str, tmpdir_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmpdir_ / given
    if len(given) == 60:
        place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    with private_folder() as folder:
        assert len(folder) <= module.LONGEST
        assert not folder.startswith(str(tmpdir_))


def test_without_any_place_the_error_names_each_with_its_reason(
    tmpdir_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FREE_BYTES", 2**60)
    with pytest.raises(StoreError, match=rf"{tmpdir_}: it has \d+ MiB free .*; /tmp: "), private_folder():
        pass


def _hold_and_die() -> None:
    with private_folder() as folder:
        Path(folder, "left").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def test_folder_of_a_killed_process_goes_with_the_next_one_but_no_living_ones(
    tmpdir_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "YOUNG_SECONDS", 0.0)
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die)
    process.start()
    process.join()
    (dead,) = tmpdir_.iterdir()
    with private_folder() as first, private_folder() as second:
        assert sorted(tmpdir_.iterdir()) == sorted(map(Path, (first, second)))
    assert not dead.exists()
