"""``<results>/<study>/compacted/{trials,intervals}.parquet``: many small files in one, beside them.

A compacted file says of every file that it holds the name, the time of its last change, its size and its
number of rows. A reader takes the rows of files that are still there as they were from it, and reads those
that are new or changed themselves; so it sees exactly what it would see without it.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice

import pyarrow as pa
import pyarrow.fs as pafs

from adasearch.callbacks import Progress, no_progress
from adasearch.errors import InputError
from adasearch.io.filesystem import is_local, kind_at, listed, write_whole
from adasearch.store.parquet_file import PartError, parquet_bytes, read_part, read_with_metadata
from adasearch.store.schemas import SCHEMAS, Table

__all__ = [
    "COMPACTED",
    "Piece",
    "compacted_file",
    "compacted_rows",
    "loose_files",
    "read_compacted",
    "read_pieces",
    "write_compacted",
]

COMPACTED: tuple[Table, ...] = ("trials", "intervals")
"""The tables of many files."""

FEW = 16  # files that are read sooner one by one than out of thousands
TOGETHER = 256  # files that make one piece, since what is done for a piece takes as long as reading a file
AT_A_TIME = 16  # files that a thread takes at once, so that handing them out costs little
SETTLED_SECONDS = 2  # a file that is younger may change once more within one tick of a file system's clock
SOURCES = b"adasearch.sources"

Skipped = Callable[[str, PartError], None]
Source = tuple[str, int, int, int]
"""A file that was compacted: its name, time of change in nanoseconds, size in bytes, and rows."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one or several files, in the order of ``sources``."""

    sources: Sequence[Source]
    rows: pa.Table


def compacted_file(folder: str, table: Table) -> str:
    """Return the path of a folder's compacted table."""
    return f"{folder}/compacted/{table}.parquet"


def read_pieces(
    files: pafs.FileSystem,
    folder: str,
    table: Table,
    *,
    skipped: Skipped,
    names: Collection[str] | None = None,
    columns: Sequence[str] | None = None,
    until: int | None = None,
    progress: Progress = no_progress,
) -> Iterator[Piece]:
    """Yield all rows of a folder's table in the order of its files, or those of the files ``names``.

    ``columns`` are those that are wanted, all by default; ``skipped`` is told of files that cannot be read;
    files changed after ``until`` (in ns) are left out.

    Raises:
        InputError: a newer version wrote a file.
        StoreError: the folder cannot be listed, or a file of an object store not be read.
    """
    items = [
        item
        for item in _items(files, folder, table)
        if (names is None or item.base_name in names) and (until is None or (item.mtime_ns or until) < until)
    ]
    known: dict[tuple[str, int, int], tuple[int, int]] = {}
    rows = SCHEMAS[table].empty_table()
    if table in COMPACTED and len(items) > (1 if names is None else FEW):
        try:
            rows, sources = read_compacted(files, folder, table, columns)
            known = _offsets(sources)
        except PartError as error:
            skipped(compacted_file(folder, table), error)
    there = {item.base_name for item in items}
    also_id = columns
    if columns is not None and table in COMPACTED:
        also_id = list(dict.fromkeys([*columns, "trial_id"]))

    def pieces() -> Iterator[Piece]:
        alone = [item.path for item in items if _state(item) not in known]
        parts = _read_parts(files, alone, table, also_id)
        run: list[Source] = []  # of files whose rows follow each other in the compacted ones
        begin = end = 0
        for done, item in enumerate(items):
            progress(f"{folder.rpartition('/')[2]}: {table} read", done, len(items))
            place = known.get(state := _state(item))
            if run and (place is None or place[0] != end):
                yield Piece(run, rows.slice(begin, end - begin))
                run = []
            if place is not None:
                begin = begin if run else place[0]
                end = place[0] + place[1]
                run.append((*state, place[1]))
                continue
            try:
                part = _only_file(next(parts), item.base_name, there)
            except PartError as error:
                skipped(item.path, error)
                continue
            part = part if columns is None else part.select(columns)
            yield Piece([(*state, part.num_rows)], part)
        if run:
            yield Piece(run, rows.slice(begin, end - begin))

    yield from _together(pieces())


def _items(files: pafs.FileSystem, folder: str, table: Table) -> list[pafs.FileInfo]:
    """Return the files of a folder's table; hidden ones are drafts, or what systems leave beside copies."""
    return [
        item
        for item in listed(files, f"{folder}/{table}")
        if item.base_name.endswith(".parquet") and not item.base_name.startswith(".")
    ]


def _state(item: pafs.FileInfo) -> tuple[str, int, int]:
    return item.base_name, item.mtime_ns or 0, item.size or 0


def _read_parts(
    files: pafs.FileSystem, paths: Sequence[str], table: Table, columns: Sequence[str] | None
) -> Iterator[pa.Table | PartError]:
    """Yield the rows of each file, or why it is skipped, in order; threads read some files ahead."""

    def read(some: Sequence[str]) -> list[pa.Table | PartError]:
        found: list[pa.Table | PartError] = []
        for path in some:
            try:
                found.append(read_part(files, path, table, columns))
            except PartError as error:
                found.append(error)
        return found

    shares = [paths[begin : begin + AT_A_TIME] for begin in range(0, len(paths), AT_A_TIME)]
    if len(shares) < 2:
        yield from read(paths)
        return
    threads = pa.cpu_count() if is_local(files) else pa.io_thread_count()
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[list[pa.Table | PartError]]] = deque()
        for share in shares:
            ahead.append(pool.submit(read, share))
            if len(ahead) > 2 * threads:
                yield from ahead.popleft().result()
        for each in ahead:
            yield from each.result()


def _together(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the same rows, those of many single files as one piece."""
    for single, group in groupby(pieces, key=lambda piece: len(piece.sources) == 1):
        if not single:
            yield from group
            continue
        while some := list(islice(group, TOGETHER)):
            rows = pa.concat_tables([piece.rows for piece in some]).combine_chunks()
            yield Piece([piece.sources[0] for piece in some], rows)


def _only_file(part: pa.Table | PartError, name: str, there: Collection[str]) -> pa.Table:
    """Return the rows of a file, unless another is named after their trial: beside it a copy does not count.

    Raises:
        PartError: there is such a file, or this one could not be read.
    """
    if isinstance(part, PartError):
        raise part
    if "trial_id" in part.column_names and part.num_rows:
        home = f"{part.column('trial_id')[0]}.parquet"
        if home != name and home in there:
            raise PartError("second", f"{home} beside it is the file of this trial")
    return part


def read_compacted(
    files: pafs.FileSystem, folder: str, table: Table, columns: Sequence[str] | None = None
) -> tuple[pa.Table, Sequence[Source]]:
    """Return the rows of a folder's compacted table and the files that they are of; none without one.

    ``columns`` are those that are wanted, all by default.

    Raises:
        PartError: it cannot be read, or is not ours.
        InputError: a newer version wrote it.
    """
    path = compacted_file(folder, table)
    if kind_at(files, path) == pafs.FileType.NotFound:
        return SCHEMAS[table].empty_table(), []
    rows, metadata = read_with_metadata(files, path, table, columns)
    try:
        sources = [
            (str(name), int(at), int(size), int(count))
            for name, at, size, count in json.loads(metadata[SOURCES])
        ]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise PartError("foreign", "it does not say which files it holds") from error
    if any(count < 0 for *_, count in sources) or sum(count for *_, count in sources) != rows.num_rows:
        raise PartError("foreign", "its rows are not those of the files that it names")
    return rows, sources


def compacted_rows(files: pafs.FileSystem, folder: str, table: Table, name: str) -> pa.Table | None:
    """Return the rows that a file of a folder had when it was compacted, None if nothing holds them."""
    if table not in COMPACTED:
        return None
    try:
        rows, sources = read_compacted(files, folder, table)
    except (PartError, InputError):
        return None
    begin = 0
    for source, _, _, count in sources:
        if source == name:
            return rows.slice(begin, count)
        begin += count
    return None


def loose_files(files: pafs.FileSystem, folder: str, table: Table) -> int:
    """Count a folder's files of a table that its compacted one does not hold as they are; none is opened.

    Raises:
        StoreError: the folder cannot be listed.
    """
    items = _items(files, folder, table)
    try:
        known = _offsets(read_compacted(files, folder, table, ["trial_id"])[1])
    except (PartError, InputError):
        return len(items)
    return sum(_state(item) not in known for item in items)


def _offsets(sources: Sequence[Source]) -> dict[tuple[str, int, int], tuple[int, int]]:
    """Return where the rows of each file begin and how many there are, by name, time of change and size."""
    places, begin = {}, 0
    for name, at, size, count in sources:
        if at:  # some stores do not tell the time, so that a change would not be seen
            places[name, at, size] = (begin, count)
        begin += count
    return places


def write_compacted(
    files: pafs.FileSystem, folder: str, table: Table, *, skipped: Skipped, progress: Progress
) -> int:
    """Write a folder's compacted table over its former self; return its rows.

    Files that changed just now are left for the next time.

    Raises:
        StoreError: it cannot be written.
    """
    until = time.time_ns() - SETTLED_SECONDS * 10**9
    pieces = list(read_pieces(files, folder, table, skipped=skipped, until=until, progress=progress))
    if not pieces:
        return 0
    rows = pa.concat_tables([piece.rows for piece in pieces])
    sources = json.dumps([source for piece in pieces for source in piece.sources]).encode()
    rows = rows.replace_schema_metadata({**SCHEMAS[table].metadata, SOURCES: sources})
    data = parquet_bytes(rows, compression="zstd", row_group_size=2**17)
    write_whole(files, compacted_file(folder, table), data)
    return int(rows.num_rows)
