"""Where a lease lies: on S3, whose writes can carry conditions, or on a store whose writes cannot."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.fs as pafs

from adasearch.errors import StoreError, one_line
from adasearch.io.filesystem import read_whole, write_whole
from adasearch.store.lease import LeaseBackend, parsed

__all__ = ["backend_for"]

SETTLE_SECONDS = 3.0  # without conditions: for another's write to show
ATTEMPTS = 4  # of one request
TIMEOUT_SECONDS = 5.0  # of each


def backend_for(files: pafs.FileSystem, place: str, path: str, *, to_read: bool = False) -> LeaseBackend:
    """Return the back end of a lease at ``path`` of an object store; with conditions if it has them.

    ``place`` is the URI of the store.

    Raises:
        StoreError: the store does not answer.
    """
    plain = _PlainBackend(files, path)
    if to_read or files.type_name != "s3":
        return plain
    try:
        import boto3
    except ImportError:
        return plain
    backend = _S3Backend(boto3, str(files.region), place, path)
    return backend if backend.has_conditions() else plain


class _PlainBackend:
    """A back end without conditions: read, write, wait, read again."""

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


class _S3Backend:
    """A back end on S3, whose writes carry conditions."""

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
