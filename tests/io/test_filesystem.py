"""Files that were being written when their process died, or when there was no room for them."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adasearch.errors import StoreError
from adasearch.io.filesystem import ABANDONED_SECONDS, dead_drafts, locate, write_whole
from adasearch.store import Store

HOST = socket.gethostname()


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def draft(folder: Path, host: str, process: int, *, age: float = 0) -> Path:
    path = folder / f".draft.{host}.{process}.0123abcd"
    path.touch()
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_draft_of_a_dead_process_is_removed_with_the_next_lock_and_a_live_one_kept(
    tmp_path: Path, dead: int
) -> None:
    table = tmp_path / "study" / "trials"
    table.mkdir(parents=True)
    left, old = draft(table, HOST, dead), draft(table, "a.b", os.getpid(), age=ABANDONED_SECONDS + 60)
    live, elsewhere, whole = draft(table, HOST, os.getpid()), draft(table, "a.b", dead), table / "a.parquet"
    whole.touch()
    with Store(str(tmp_path)).locks.hold("study"):
        assert not left.exists()
        assert not old.exists()
    for kept in (live, elsewhere, whole):
        assert kept.exists()
    assert list(dead_drafts(tmp_path / "nowhere")) == []


def test_two_writers_of_one_process_number_do_not_share_a_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a shared disk another host, or another container, may have the same number."""
    drafts = []
    replace = os.replace

    def replaced(source: str, target: str) -> None:
        drafts.append(source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    files, root = locate(str(tmp_path))
    for data in (b"one", b"two"):
        write_whole(files, f"{root}/file", memoryview(data))
    assert len(set(drafts)) == 2
    assert (tmp_path / "file").read_bytes() == b"two"


def test_file_is_synced_before_it_gets_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves a name without content, or content without a name."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def place(path: str) -> str:
        name = os.path.relpath(path, tmp_path)
        return ".draft" if ".draft." in name else name

    def synced(handle: int) -> None:
        done.append(f"sync {place(os.readlink(f'/proc/self/fd/{handle}'))}")
        fsync(handle)

    def replaced(source: str, target: str) -> None:
        done.append(f"rename {place(source)} to {place(target)}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    files, root = locate(str(tmp_path))
    for _ in range(2):
        write_whole(files, f"{root}/study/trials/a.parquet", memoryview(b"data"))
    write = ["sync .draft", "rename .draft to study/trials/a.parquet", "sync study/trials"]
    assert done == ["sync .", "sync study", *write, *write]


def test_file_is_written_where_a_folder_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, and on some network file systems."""
    opened = os.open

    def refusing(path: str, *arguments: int) -> int:
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", refusing)
    files, root = locate(str(tmp_path))
    write_whole(files, f"{root}/new/file", memoryview(b"data"))
    assert (tmp_path / "new" / "file").read_bytes() == b"data"


def test_failed_write_leaves_the_former_file_and_no_draft(tmp_path: Path) -> None:
    files, root = locate(str(tmp_path))
    (tmp_path / "file").mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*/file: Is a directory"):
        write_whole(files, f"{root}/file", memoryview(b"data"))
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
