"""One live search per study: a lock of the operating system on a disk, a lease on an object store.

``<results>/<study>/.lock`` ends with its process, however that ends; ``.owner`` beside it says who holds it.
What holds on an object store is in :mod:`adasearch.store.lease`.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pyarrow.fs as pafs
from filelock import FileLock, Timeout

from adasearch.errors import AdasearchError, StoreError
from adasearch.io.filesystem import dead_drafts, is_local, write_whole
from adasearch.io.text import printable
from adasearch.store.lease import Holder, Lease, holder_on, take
from adasearch.store.lease_backends import backend_for

__all__ = ["Locks", "StudyLocked"]


class StudyLocked(AdasearchError):  # noqa: N818 - a state, not a mistake
    """Another live search holds the study."""


class Locks:
    """The locks of a results folder, which lies at ``root`` of a file system and is called ``name``."""

    def __init__(self, files: pafs.FileSystem, root: str, name: str) -> None:
        self._files, self._root, self._name = files, root, name
        self._local = is_local(files)
        self._leases: dict[str, Lease] = {}
        self._held: dict[Path, os.stat_result] = {}  # the locks on a disk, as they were taken

    def check_free(self, study: str) -> None:
        """Check that no other live search holds a study.

        Raises:
            StudyLocked: one does.
            StoreError: that cannot be told here, for want of access.
        """
        if not self._local:
            backend = backend_for(self._files, self._name, self._lease_file(study), to_read=True)
            if (holder := holder_on(backend)) is not None:
                raise _held(study, str(holder))
            return
        lock = Path(self._root, study, ".lock")
        if lock.exists():
            try:
                with FileLock(lock, timeout=0):
                    return
            except Timeout as error:
                raise _held(study, self._owner(study)) from error
            except OSError as error:
                raise StoreError(f"cannot lock {lock}: {error.strerror or error}") from error

    def held(self, study: str) -> bool | None:
        """Tell by what its holder left word of whether a study is held; no lock is taken, which one may want.

        None where that cannot be told here: the holder is of another host, or access is wanting.
        """
        if not self._local:
            try:
                backend = backend_for(self._files, self._name, self._lease_file(study), to_read=True)
                return holder_on(backend) is not None
            except StoreError:
                return None
        if not (owner := self._named_owner(study)):
            return False
        host, _, process = owner.removeprefix("host ").rpartition(", process ")
        known = host == socket.gethostname() and process.isdecimal()
        return psutil.pid_exists(int(process)) if known else None

    def check(self) -> None:
        """Check that whatever this process holds is its own still, on an object store while a write lasts.

        Raises:
            StoreError: a lease is lost, or the file of a lock is gone or another: with it, as a rule, the
                folder that it lay in.
        """
        for lease in list(self._leases.values()):
            lease.check()
        for lock, taken in list(self._held.items()):
            try:
                there = os.path.samestat(taken, lock.stat())
            except OSError:
                there = False
            if not there:
                raise StoreError(
                    f"the lock on {lock.parent.name} is lost: {_what_is_gone(lock)} since it was taken"
                )

    def remove(self, study: str) -> None:
        """Hear that this process removes what it holds, the lock with it."""
        self._held.pop(Path(self._root, study, ".lock"), None)

    @contextmanager
    def hold(self, study: str, wait_seconds: float = 0) -> Iterator[None]:
        """Hold a study for one live search: on a disk until the process ends, elsewhere by a lease.

        Raises:
            StudyLocked: another live search holds it; the message names its host and process.
            StoreError: the folder cannot be written.
        """
        with self._file_lock(study, wait_seconds) if self._local else self._lease(study, wait_seconds):
            yield

    @contextmanager
    def _file_lock(self, study: str, wait_seconds: float) -> Iterator[None]:
        folder = Path(self._root, study)
        with ExitStack() as held:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock = folder / ".lock"
                held.enter_context(FileLock(lock, timeout=wait_seconds))
                # Held open, so that no later file is given this one's number.
                opened = held.enter_context(lock.open("rb"))
                self._held[lock] = os.fstat(opened.fileno())
                held.callback(self._held.pop, lock, None)
                for draft, _ in dead_drafts(folder):
                    draft.unlink(missing_ok=True)
                owner = f"host {socket.gethostname()}, process {os.getpid()}"
                write_whole(self._files, str(folder / ".owner"), memoryview(owner.encode()))
            except Timeout as error:
                raise _held(study, self._owner(study)) from error
            except OSError as error:
                raise StoreError(f"cannot lock {folder}: {error.strerror or error}") from error
            # What is left after this names a search that was killed; see "adasearch doctor".
            held.callback((folder / ".owner").unlink, missing_ok=True)
            yield

    @contextmanager
    def _lease(self, study: str, wait_seconds: float) -> Iterator[None]:
        taken = take(backend_for(self._files, self._name, self._lease_file(study)), study, wait_seconds)
        if isinstance(taken, Holder):
            raise _held(study, str(taken))
        self._leases[study] = taken
        try:
            yield
        finally:
            del self._leases[study]
            taken.give_back()

    def _lease_file(self, study: str) -> str:
        return f"{self._root}/.leases/{study}.json"

    def _owner(self, study: str) -> str:
        return self._named_owner(study) or "it has just begun or ended"

    def _named_owner(self, study: str) -> str:
        try:
            owner = Path(self._root, study, ".owner")
            return printable(owner.read_text(errors="replace")[:200]) if owner.is_file() else ""
        except OSError:
            return ""


def _what_is_gone(lock: Path) -> str:
    if lock.exists():
        return f"{lock} is another file"
    gone = next(place for place in (lock, *lock.parents) if place.parent.exists())
    return f"{gone} was removed or renamed"


def _held(study: str, who: str) -> StudyLocked:
    return StudyLocked(f"study {study} is held by another live search ({who})")
