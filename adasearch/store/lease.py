"""A lease: the lock of a study on an object store, ``<results>/.leases/<study>.json``.

It says who holds the study and until when, and its holder writes it anew every few seconds. Whoever finds
one that ran out, or whose process on this very host is gone, takes it over. On S3, with boto3, each write has
the condition that nothing else was written meanwhile, so that two can never hold a study. Elsewhere there are
no conditions: whoever writes a lease waits and reads it again, and two may hold a study if one of them took
longer than that wait between reading and writing. :mod:`adasearch.store.lease_backends` has both.
"""

import json
import math
import os
import secrets
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import psutil

from adasearch.errors import StoreError
from adasearch.io.filesystem import WRITE_SECONDS

__all__ = ["Holder", "Lease", "LeaseBackend", "holder_on", "parsed", "take"]

LEASE_SECONDS = 180.0  # twice as long as a write is tried, and more: what begins under a lease ends under it
RENEW_SECONDS = 20.0
SKEW_SECONDS = 15.0  # by which the clocks of two hosts may differ
POLL_SECONDS = 0.5
REFUSED_SECONDS = 20.0  # of writes that are refused one after another


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


class LeaseBackend(Protocol):
    """The place of one lease."""

    def read(self) -> tuple[bytes, str] | None:
        """Return what lies there and its version; None for nothing."""

    def write(self, data: bytes, version: str | None) -> str | None:
        """Write over a version (None: over nothing); return the new one, or None if another was there."""


def holder_on(backend: LeaseBackend) -> Holder | None:
    """Return who holds the lease of a back end, or None.

    Raises:
        StoreError: the store does not answer.
    """
    found = backend.read()
    holder = None if found is None else parsed(found[0])
    return holder if holder is not None and holder.live() else None


def take(backend: LeaseBackend, what: str, wait_seconds: float = 0) -> "Lease | Holder":
    """Take a lease, waiting so long for it; return it, or who holds it.

    Raises:
        StoreError: the store does not answer.
    """
    end = time.monotonic() + wait_seconds
    mine = Holder(host=socket.gethostname(), process=os.getpid(), token=secrets.token_hex(8), until=0)
    while True:
        found = backend.read()
        holder = None if found is None else parsed(found[0])
        if holder is None or not holder.live():
            mine = replace(mine, until=time.time() + LEASE_SECONDS)
            if backend.write(_bytes(mine), None if found is None else found[1]) is None:
                if time.monotonic() >= end + REFUSED_SECONDS:
                    raise StoreError(f"the lease on {what} cannot be written: each write is refused")
                time.sleep(POLL_SECONDS)  # another was faster, or this very write was counted twice
                continue
            return Lease(backend, mine, what)
        if holder.token == mine.token:
            return Lease(backend, mine, what)
        if time.monotonic() >= end:
            return holder
        time.sleep(POLL_SECONDS)


class Lease:
    """A lease that is held: a thread renews it until it is given back or lost."""

    def __init__(self, backend: LeaseBackend, mine: Holder, what: str) -> None:
        self._backend = backend
        self._mine = mine
        self._what = what
        self._lost: str | None = None
        self._told = False
        self._busy = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease on {what}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that the lease holds for as long as a write is tried; nothing may be written otherwise.

        Raises:
            StoreError: it does not.
        """
        if not self._lasts():  # this process stood still, or the store did
            self._renew()
            if not self._lasts() and self._lost is None:
                raise StoreError(f"the lease on {self._what} is renewed too slowly to write under it")
        if self._lost is not None:
            raise StoreError(f"the lease on {self._what} is lost: {self._lost}")

    def _lasts(self) -> bool:
        """Tell whether what begins now ends under the lease."""
        return time.time() < self._mine.until - WRITE_SECONDS

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
                if not self._told:  # of each outage once: workers say it in Ray's logs alone
                    self._told = True
                    print(f"adasearch: {error}; trying again", file=sys.stderr)  # noqa: T201
                if not self._lasts():
                    self._lost = f"it could not be renewed for {LEASE_SECONDS - WRITE_SECONDS:g} s; {error}"
                return
            self._told = False
            if other is None:
                self._mine = renewed
            else:
                self._lost = other

    def _write_over(self, holder: Holder) -> str | None:
        """Write the lease anew if it is this one's; return why it is not, or None."""
        for _ in range(2):  # a write that counted is refused when it is sent again for its lost answer
            found = self._backend.read()
            there = None if found is None else parsed(found[0])
            if found is None or there is None or there.token != self._mine.token:
                return f"{there or 'nobody'} holds it"
            if self._backend.write(_bytes(holder), found[1]) is not None:
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
