"""A folder among the temporary files that only its user can read, and that goes when its process does."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from adasearch.errors import StoreError

__all__ = ["private_folder", "remove_private_folders"]

PREFIX = "adasearch-"
LONGEST = 40  # characters: Ray's sockets lie 65 deeper, and the path of a socket has at most 107
FREE_BYTES = 64 * 2**20  # what Ray writes in a long search, several times over
YOUNG_SECONDS = 60.0  # in which a folder may be there and not be locked yet
BUSY_SECONDS = 3.0  # for which processes that are ending may write below a folder that is removed
LOCK = ".lock"
_live: set[Path] = set()


@contextmanager
def private_folder() -> Iterator[str]:
    """Give an empty folder, mode 700, and remove it in the end; those that killed processes left go first.

    It lies in TMPDIR, or elsewhere on this machine where that is too long for sockets, full, or read-only.

    Raises:
        StoreError: there is no such place.
    """
    folder = _made()
    _remove_abandoned(folder.parent)
    _live.add(folder)
    try:
        with FileLock(folder / LOCK):
            yield str(folder)
    finally:
        _live.discard(folder)
        _remove(folder)


def remove_private_folders() -> None:
    """Remove those of this process before their time; it ends."""
    for folder in list(_live):
        _remove(folder)


def _made() -> Path:
    why = []
    given = os.environ.get("TMPDIR")
    for place in dict.fromkeys(Path(each) for each in (given, "/tmp", "/var/tmp", "/dev/shm") if each):
        try:
            if len(str(place)) + len(f"/{PREFIX}12345678") > LONGEST:
                raise OSError(f"its path is too long for sockets ({len(str(place))} characters)")
            if (free := shutil.disk_usage(place).free) < FREE_BYTES:
                raise OSError(f"it has {free >> 20} MiB free and must have {FREE_BYTES >> 20}")
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError as error:
            why.append(f"{place}: {error.strerror or error}")
    raise StoreError(f"there is no folder for temporary files; {'; '.join(why)}")


def _remove_abandoned(place: Path) -> None:
    """Remove the folders whose processes are gone; their locks ended with them."""
    for folder in place.glob(f"{PREFIX}????????"):
        with suppress(OSError, Timeout):
            young = time.time() - folder.lstat().st_mtime < YOUNG_SECONDS
            if young or folder.is_symlink() or not (folder / LOCK).is_file():
                continue
            with FileLock(folder / LOCK, timeout=0):
                _remove(folder)


def _remove(folder: Path) -> None:
    end = time.monotonic() + BUSY_SECONDS
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > end:
            return
        time.sleep(0.05)
