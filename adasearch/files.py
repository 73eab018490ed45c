"""Files on a local disk or an object store, written so that a reader sees all of one or nothing."""

import os
from pathlib import Path

import psutil
import pyarrow.fs as pafs

from adasearch.errors import AdasearchError

__all__ = ["is_local", "listed", "locate", "remove_dead_drafts", "write_whole"]


def locate(place: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a path or URI and the path within it.

    Raises:
        OSError, ValueError, ImportError, RuntimeError: whatever a URI can lead to.
    """
    if "://" in place:
        files, path = pafs.FileSystem.from_uri(place)
        return files, str(path)
    return pafs.LocalFileSystem(), str(Path(place).expanduser().absolute())


def is_local(files: pafs.FileSystem) -> bool:
    """Tell whether files lie on a disk of this machine (or one that looks so)."""
    return isinstance(files, pafs.LocalFileSystem)


def listed(files: pafs.FileSystem, path: str) -> list[pafs.FileInfo]:
    """Return what a folder holds, by name; nothing if it is not there.

    Raises:
        AdasearchError: it cannot be listed.
    """
    try:
        found = files.get_file_info(pafs.FileSelector(path, allow_not_found=True))
    except OSError as error:
        raise AdasearchError(f"cannot read {path}: {error}") from error
    return sorted(found, key=lambda item: str(item.path))


def write_whole(files: pafs.FileSystem, path: str, data: memoryview) -> None:
    """Write a file over its former self: on a disk under a hidden name, synced, renamed; elsewhere one put.

    Raises:
        OSError: it cannot be written.
    """
    if not is_local(files):
        with files.open_output_stream(path) as stream:
            stream.write(data)
        return
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    draft = f"{folder}/.{name}.{os.getpid()}"  # see remove_dead_drafts
    with open(draft, "wb", opener=_of_its_own) as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(draft, path)


def _of_its_own(path: str, flags: int) -> int:
    """Open a draft, but not what a link of its name points to: somebody else may have put that there."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def remove_dead_drafts(folder: Path) -> None:
    """Remove the files below a local folder that a process was writing when it died."""
    for draft in folder.glob("*/.*.parquet.*"):
        process = draft.name.rpartition(".")[2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            draft.unlink(missing_ok=True)
