"""Files on a local disk or an object store, written so that a reader sees all of one or nothing.

What an object store fails to answer is asked again (:mod:`adasearch.io.patience`).
"""

import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

import psutil
import pyarrow as pa
import pyarrow.fs as pafs

from adasearch.errors import InputError, StoreError
from adasearch.io.patience import RETRY_SECONDS, again, said
from adasearch.io.text import redacted

__all__ = [
    "below",
    "dead_drafts",
    "is_local",
    "kind_at",
    "listed",
    "locate",
    "open_regular",
    "read_whole",
    "remove_folder",
    "replace_file",
    "write_whole",
]

T = TypeVar("T")

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 10.0  # without a byte
WRITE_SECONDS = RETRY_SECONDS + CONNECT_SECONDS + REQUEST_SECONDS  # from its first try to its last answer
S3_OPTIONS = ("endpoint_override", "region", "scheme")
ABANDONED_SECONDS = 3600.0  # nobody writes one file for so long
DRAFT = re.compile(r"\.draft\.(.+)\.(\d+)\.[0-9a-f]{8}")  # of a host and a process


def locate(place: str, what: str = "results") -> tuple[pafs.FileSystem, str]:
    """Return the file system of a path or URI and the path within it; ``what`` it is for is told in errors.

    Raises:
        InputError: it leads nowhere, or holds credentials.
    """
    if redacted(place) != place:
        raise InputError(
            f"{what} {redacted(place)!r} must not hold credentials, which are shown and stored; put them "
            "into the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) or into a profile"
        )
    try:
        if "://" in place:
            files, path = _s3(place) if place.startswith("s3://") else pafs.FileSystem.from_uri(place)
            return files, str(path)
        return pafs.LocalFileSystem(), str(Path(place).expanduser().absolute())
    except (OSError, ValueError, ImportError, RuntimeError) as error:  # whatever a URI can lead to
        raise InputError(f"{what} {place!r} cannot be reached: {error}") from error


def _s3(place: str) -> tuple[pafs.FileSystem, str]:
    """Return S3 as a URI names it, with what a URI cannot say: timeouts, and one put for a small file.

    pyarrow itself waits without end for a server that does not answer.
    """
    parts = urlsplit(place)
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(options.keys() - S3_OPTIONS):
        raise ValueError(f"unknown option {unknown[0]!r}; known: {', '.join(S3_OPTIONS)}")
    if not options.keys() & {"region", "endpoint_override"}:
        options["region"] = again(lambda: pafs.resolve_s3_region(parts.netloc))
    files = pafs.S3FileSystem(
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=1),  # see _patiently
        allow_delayed_open=True,
        **options,
    )
    return files, f"{parts.netloc}{unquote(parts.path)}".rstrip("/")


def is_local(files: pafs.FileSystem) -> bool:
    """Tell whether files lie on a disk of this machine (or one that looks so)."""
    return isinstance(files, pafs.LocalFileSystem)


def below(place: str, path: str) -> str:
    """Return a path within a folder, itself a path or a URI.

    >>> below("s3://bucket/results/?region=eu", ".ray")
    's3://bucket/results/.ray?region=eu'
    """
    if "://" not in place:
        return f"{place}/{path}"
    folder, mark, query = place.partition("?")
    return f"{folder.rstrip('/')}/{path}{mark}{query}"


def kind_at(files: pafs.FileSystem, path: str) -> pafs.FileType:
    """Return whether there is a file, a folder or nothing.

    Raises:
        StoreError: that cannot be told.
    """
    try:
        return _patiently(files, lambda: files.get_file_info(path).type)
    except OSError as error:
        raise _failed(files, "read", path, error) from error


def listed(files: pafs.FileSystem, path: str, *, recursive: bool = False) -> list[pafs.FileInfo]:
    """Return what a folder holds, by name; nothing if it is not there.

    Raises:
        StoreError: it cannot be listed.
    """
    selector = pafs.FileSelector(path, allow_not_found=True, recursive=recursive)
    try:
        found = _patiently(files, lambda: files.get_file_info(selector))
    except OSError as error:
        raise _failed(files, "read", path, error) from error
    return sorted(found, key=lambda item: str(item.path))


def open_regular(files: pafs.FileSystem, path: str) -> pa.NativeFile:
    """Open a file to read; nothing else, such as a named pipe, for which one would wait without end.

    Raises:
        OSError: it is not there, is no file, or cannot be read.
    """
    if is_local(files) and not stat.S_ISREG(mode := os.stat(path).st_mode):
        raise IsADirectoryError("is a folder") if stat.S_ISDIR(mode) else OSError("it is no regular file")
    return files.open_input_file(path)


def read_whole(files: pafs.FileSystem, path: str) -> pa.Buffer:
    """Return what is in a file.

    Raises:
        OSError: it is not there, or is on a local disk and cannot be read.
        StoreError: the object store does not answer, which says nothing about the file.
    """

    def read() -> pa.Buffer:
        with open_regular(files, path) as file:
            return file.read_buffer()

    try:
        return _patiently(files, read)
    except OSError as error:
        if is_local(files) or isinstance(error, FileNotFoundError | IsADirectoryError):
            raise
        raise _failed(files, "read", path, error) from error


def write_whole(files: pafs.FileSystem, path: str, data: memoryview) -> None:
    """Write a file over its former self: on a disk under a hidden name, synced, renamed; elsewhere one put.

    A folder that is not there is made.

    Raises:
        StoreError: it cannot be written; the former file is as it was, and no draft is left.
    """
    try:
        if is_local(files):
            _make_folder(os.path.dirname(path))
            replace_file(path, data)
        else:
            _patiently(files, lambda: _put(files, path, data))
    except OSError as error:
        raise _failed(files, "write", path, error) from error
    except ValueError as error:  # no disk has a path with a NUL in it
        raise StoreError(f"cannot write {path!r}: {error}") from error


def replace_file(path: str, data: memoryview | bytes) -> None:
    """Write a file of this machine over its former self; once this returns it lasts through a power cut.

    Raises:
        OSError: it cannot be written; the former file is as it was, and no draft is left.
    """
    folder = os.path.dirname(path)
    # Two hosts, or two containers, that share a disk may share a process number; see dead_drafts.
    draft = f"{folder}/.draft.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        with open(draft, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    finally:
        with suppress(OSError):
            os.unlink(draft)
    _sync_folder(folder)


def _make_folder(folder: str) -> None:
    """Make a folder and those above it, the topmost first, so that each lasts."""
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    if not os.path.exists(parent):
        _make_folder(parent)
    os.makedirs(folder, exist_ok=True)
    _sync_folder(parent)


def _sync_folder(folder: str) -> None:
    """Let the names in a folder last; Windows, and some network file systems, know no such thing."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _put(files: pafs.FileSystem, path: str, data: memoryview) -> None:
    with files.open_output_stream(path) as stream:
        stream.write(data)


def remove_folder(place: str) -> None:
    """Remove a folder, a path or a URI, as far as that is possible."""
    with suppress(OSError, InputError):
        files, path = locate(place)
        files.delete_dir(path)


def dead_drafts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files below a local folder whose writers are gone, with who wrote them.

    Whether a process lives is known of this host alone; a draft of another is dead after an hour.
    """
    for draft in sorted(folder.rglob(".draft.*")):
        named = DRAFT.fullmatch(draft.name)
        try:
            age = time.time() - draft.stat().st_mtime
        except OSError:  # it is in its place now
            continue
        if named is None:
            continue
        gone = named[1] == socket.gethostname() and not psutil.pid_exists(int(named[2]))
        if gone or age > ABANDONED_SECONDS:
            yield draft, f"process {named[2]} of {named[1]}"


def _patiently(files: pafs.FileSystem, work: Callable[[], T]) -> T:
    """Do something that may be done twice; on an object store again and again while it fails in passing."""
    return work() if is_local(files) else again(work)


def _failed(files: pafs.FileSystem, verb: str, path: str, error: OSError) -> StoreError:
    return StoreError(f"cannot {verb} {path}: {said(error, asked_again=not is_local(files))}")
