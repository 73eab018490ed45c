"""A digest in a file of what is in it, which shows that a bit of it has changed since.

It is 16 bytes that name it and 16 of BLAKE2b over all other bytes. Files without one are taken as they are:
those of version 0.2.0, and those that another tool wrote.
"""

from hashlib import blake2b
from typing import Protocol

__all__ = ["SIZE", "Damaged", "check_parquet", "opened", "sealed", "sealed_parquet"]

MARK = b"adasearch.digest"
SIZE = 2 * len(MARK)  # of mark and digest
PARQUET_END = 8  # the length of a Parquet file's footer, and "PAR1"
BLOCK_BYTES = 2**20

Bytes = bytes | bytearray | memoryview


class Damaged(OSError):  # noqa: N818 - a state of a file
    """A file whose bytes are no longer those that were written."""

    def __init__(self) -> None:
        super().__init__("its bytes are not those that were written (their digest is another)")


class Readable(Protocol):
    """A file that can be read from any place."""

    def seek(self, position: int) -> object: ...
    def read(self, size: int) -> bytes: ...
    def size(self) -> int: ...


def _digest(*parts: Bytes) -> bytes:
    digest = blake2b(digest_size=SIZE - len(MARK))
    for part in parts:
        digest.update(part)
    return digest.digest()


def sealed(data: Bytes) -> bytes:
    """Return data with their digest behind them; :func:`opened` returns them.

    >>> opened(sealed(b"weights"))
    b'weights'
    """
    return b"".join((data, MARK, _digest(data)))


def opened(data: bytes) -> bytes:
    """Return what was sealed, or data that never were as they are.

    Raises:
        Damaged: a bit has changed.
    """
    if data[-SIZE : len(data) - SIZE + len(MARK)] != MARK:
        return data
    content = data[:-SIZE]
    if _digest(content) != data[len(data) - SIZE + len(MARK) :]:
        raise Damaged
    return content


def sealed_parquet(data: Bytes) -> bytes:
    """Return a Parquet file with a digest between rows and footer, where no reader of Parquet looks."""
    end = len(data) - PARQUET_END - int.from_bytes(data[len(data) - PARQUET_END : len(data) - 4], "little")
    return b"".join((data[:end], MARK, _digest(data[:end], data[end:]), data[end:]))


def check_parquet(file: Readable) -> None:
    """Check a Parquet file that has a digest, all of its bytes; they are read block by block.

    Raises:
        Damaged: a bit has changed.
        OSError: it cannot be read.
    """
    size = file.size()
    if size < SIZE + PARQUET_END:
        return
    file.seek(size - PARQUET_END)
    place = size - PARQUET_END - int.from_bytes(file.read(4), "little") - SIZE
    if place < 0:
        return
    file.seek(place)
    mark = file.read(SIZE)
    if not mark.startswith(MARK):
        return
    digest = blake2b(digest_size=SIZE - len(MARK))
    for begin, end in ((0, place), (place + SIZE, size)):
        file.seek(begin)
        while begin < end:
            block = file.read(min(BLOCK_BYTES, end - begin))
            digest.update(block)
            begin += len(block)
    if digest.digest() != mark[len(MARK) :]:
        raise Damaged
