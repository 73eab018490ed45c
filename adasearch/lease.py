"""A lease: the lock of a study on an object store, ``<results>/.leases/<study>.json``.

It says who holds the study and until when, and its holder writes it anew every few seconds. Whoever finds
one that ran out, or whose process on this very host is gone, takes it over. On S3, with boto3, each write has
the condition that nothing else was written meanwhile, so that two can never hold a study. Elsewhere there are
no conditions: whoever writes a lease waits and reads it again, and two may hold a study if one of them took
longer than that wait between reading and writing.
"""

import json
import math
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import psutil
import pyarrow.fs as pafs

from adasearch.errors import StoreError, one_line
from adasearch.files import read_whole, write_whole

__all__ = ["Holder", "Lease", "Shelf", "holder_on", "parsed", "shelf_for", "take"]

LEASE_SECONDS = 120.0  # longer than a write is tried, so that an outage which writes survive is survived here
RENEW_SECONDS = 20.0
SKEW_SECONDS = 15.0  # by which the clocks of two hosts may differ
SETTLE_SECONDS = 3.0  # without conditions: for another's write to show
POLL_SECONDS = 0.5
ATTEMPTS = 4  # of one request
TIMEOUT_SECONDS = 5.0  # of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a study, and until when (seconds since 1970; 0 once it was given back)."""

    host: str
    process: int
    token: str
    until: float

    def __str__(self) -> str:
        return f"host {self.host}, process {self.process}"

    def live(self) -> bool:
        """Tell whether it may hold the study still."""
        if self.host == socket.gethostname() and not psutil.pid_exists(self.process):
            return False
        return time.time() < self.until + SKEW_SECONDS


class Shelf(Protocol):
    """The place of one lease."""

    def read(self) -> tuple[bytes, str] | None:
        """Return what lies there and its version; None for nothing."""

    def write(self, data: bytes, version: str | None) -> str | None:
        """Write over a version (None: over nothing); return the new one, or None if another was there."""


# --- taking, keeping, giving back ------------------------------------------------------------------------


def holder_on(shelf: Shelf) -> Holder | None:
    """Return who holds what a shelf is for, or None.

    Raises:
        StoreError: the store does not answer.
    """
    found = shelf.read()
    holder = None if found is None else parsed(found[0])
    return holder if holder is not None and holder.live() else None


def take(shelf: Shelf, what: str, wait_seconds: float = 0) -> "Lease | Holder":
    """Take a lease, waiting so long for it; return it, or who holds it.

    Raises:
        StoreError: the store does not answer.
    """
    end = time.monotonic() + wait_seconds
    mine = Holder(host=socket.gethostname(), process=os.getpid(), token=secrets.token_hex(8), until=0)
    while True:
        found = shelf.read()
        holder = None if found is None else parsed(found[0])
        if holder is None or not holder.live():
            mine = replace(mine, until=time.time() + LEASE_SECONDS)
            if shelf.write(_bytes(mine), None if found is None else found[1]) is None:
                if time.monotonic() >= end + ATTEMPTS * TIMEOUT_SECONDS:
                    raise StoreError(f"the lease on {what} cannot be written: each write is refused")
                time.sleep(POLL_SECONDS)  # another was faster, or this very write was counted twice
                continue
            return Lease(shelf, mine, what)
        if holder.token == mine.token:
            return Lease(shelf, mine, what)
        if time.monotonic() >= end:
            return holder
        time.sleep(POLL_SECONDS)


class Lease:
    """A lease that is held: a thread renews it until it is given back or lost."""

    def __init__(self, shelf: Shelf, mine: Holder, what: str) -> None:
        self._shelf = shelf
        self._mine = mine
        self._what = what
        self._lost: str | None = None
        self._busy = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease on {what}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that the lease is held still; nothing may be written otherwise.

        Raises:
            StoreError: it is not.
        """
        if time.time() >= self._mine.until:  # this process stood still, or the store did
            self._renew()
        if self._lost is not None:
            raise StoreError(f"the lease on {self._what} is lost: {self._lost}")

    def give_back(self) -> None:
        """End the lease, so that another can be taken at once."""
        self._over.set()
        self._thread.join()
        if self._lost is not None:
            return
        with self._busy:
            try:
                self._write_over(replace(self._mine, until=0))
            except StoreError:  # it runs out by itself
                return

    def _keep(self) -> None:
        while not self._over.wait(RENEW_SECONDS) and self._lost is None:
            self._renew()

    def _renew(self) -> None:
        """Write the lease anew; it is lost if another wrote it, or if it ran out without an answer."""
        with self._busy:
            if self._lost is not None:
                return
            renewed = replace(self._mine, until=time.time() + LEASE_SECONDS)
            try:
                other = self._write_over(renewed)
            except StoreError as error:
                if time.time() >= self._mine.until:
                    self._lost = f"it could not be renewed for {LEASE_SECONDS:g} s; {error}"
                return
            if other is None:
                self._mine = renewed
            else:
                self._lost = other

    def _write_over(self, holder: Holder) -> str | None:
        """Write the lease anew if it is this one's; return why it is not, or None."""
        for _ in range(2):  # a write that counted is refused when it is sent again for its lost answer
            found = self._shelf.read()
            there = None if found is None else parsed(found[0])
            if found is None or there is None or there.token != self._mine.token:
                return f"{there or 'nobody'} holds it"
            if self._shelf.write(_bytes(holder), found[1]) is not None:
                return None
        return "another took it just now"


def _bytes(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode()


def parsed(data: bytes) -> Holder | None:
    """Return what a lease says; None for what is none."""
    try:
        row = json.loads(data)
        found = Holder(
            host=str(row["host"]),
            process=int(row["process"]),
            token=str(row["token"]),
            until=float(row["until"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return found if 0 < found.process < 2**31 and math.isfinite(found.until) else None


# --- shelves -----------------------------------------------------------------------------------------------


def shelf_for(files: pafs.FileSystem, place: str, path: str, *, to_read: bool = False) -> Shelf:
    """Return the shelf at ``path`` of an object store whose URI is ``place``; with conditions if it has them.

    Raises:
        StoreError: the store does not answer.
    """
    plain = _PlainShelf(files, path)
    if to_read or files.type_name != "s3":
        return plain
    try:
        import boto3
    except ImportError:
        return plain
    shelf = _S3Shelf(boto3, str(files.region), place, path)
    return shelf if shelf.has_conditions() else plain


class _PlainShelf:
    """A shelf without conditions: read, write, wait, read again."""

    def __init__(self, files: pafs.FileSystem, path: str) -> None:
        self._files = files
        self._path = path

    def read(self) -> tuple[bytes, str] | None:
        try:
            data = read_whole(self._files, self._path).to_pybytes()
        except OSError:
            return None
        return data, data.hex()

    def write(self, data: bytes, version: str | None) -> str | None:
        if self._version() != version:
            return None
        write_whole(self._files, self._path, memoryview(data))
        former = None if version is None else parsed(bytes.fromhex(version))
        new = parsed(data)
        if former is None or new is None or former.token != new.token:  # taken, not renewed
            time.sleep(SETTLE_SECONDS)
        return data.hex() if self._version() == data.hex() else None

    def _version(self) -> str | None:
        found = self.read()
        return None if found is None else found[1]


class _S3Shelf:
    """A shelf of S3, whose writes carry conditions."""

    def __init__(self, boto3: Any, region: str, place: str, path: str) -> None:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        query = {name: values[-1] for name, values in parse_qs(urlsplit(place).query).items()}
        endpoint = query.get("endpoint_override")
        if endpoint and "://" not in endpoint:
            endpoint = f"{query.get('scheme', 'https')}://{endpoint}"
        self._failures = (BotoCoreError, ClientError)
        self._bucket, _, self._key = path.partition("/")
        try:
            self._client = boto3.client(
                "s3",
                region_name=region or None,
                endpoint_url=endpoint,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                    connect_timeout=TIMEOUT_SECONDS,
                    read_timeout=TIMEOUT_SECONDS,
                    s3={"addressing_style": "path" if endpoint else "auto"},
                    request_checksum_calculation="when_required",  # not every server knows the newer ones
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise StoreError(f"cannot reach {path}: {one_line(error)}") from error

    def has_conditions(self) -> bool:
        """Ask the server for what it must refuse: a second first write, and one over another version."""
        probe = f"{self._key.rpartition('/')[0]}/probe"
        try:
            version = self._put(probe, b"", IfNoneMatch="*") or self._version(probe)
            refused = [self._put(probe, b"", IfNoneMatch="*"), self._put(probe, b"", IfMatch='"0"')]
            return refused == [None, None] and self._put(probe, b"", IfMatch=version or "") is not None
        except NotImplementedError:
            return False

    def _version(self, key: str) -> str | None:
        def head() -> str:
            return str(self._client.head_object(Bucket=self._bucket, Key=key)["ETag"])

        version: str | None = self._asked("read", key, head)
        return version

    def read(self) -> tuple[bytes, str] | None:
        def get() -> tuple[bytes, str]:
            reply = self._client.get_object(Bucket=self._bucket, Key=self._key)
            return reply["Body"].read(), str(reply["ETag"])

        found: tuple[bytes, str] | None = self._asked("read", self._key, get)
        return found

    def write(self, data: bytes, version: str | None) -> str | None:
        if version is None:
            return self._put(self._key, data, IfNoneMatch="*")
        return self._put(self._key, data, IfMatch=version)

    def _put(self, key: str, data: bytes, **condition: str) -> str | None:
        def put() -> str:
            return str(self._client.put_object(Bucket=self._bucket, Key=key, Body=data, **condition)["ETag"])

        version: str | None = self._asked("write", key, put)
        return version

    def _asked(self, verb: str, key: str, work: Callable[[], Any]) -> Any:
        """Return a reply; None where that nothing is there, or something else, is the answer."""
        try:
            return work()
        except self._failures as error:
            reply = getattr(error, "response", None) or {}  # None of a connection that broke
            code = reply.get("Error", {}).get("Code")
            if code in ("NoSuchKey", "PreconditionFailed", "ConditionalRequestConflict"):
                return None
            if code == "NotImplemented":
                raise NotImplementedError from error
            raise StoreError(f"cannot {verb} {self._bucket}/{key}: {one_line(error)}") from error
