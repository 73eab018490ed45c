"""What may lie beside the tables: compacted ones, and what killed processes leave on a disk."""

import io
import re
import socket
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pyarrow.fs as pafs

from adasearch.doctor.findings import Finding
from adasearch.errors import InputError
from adasearch.io.filesystem import dead_drafts, listed, read_whole
from adasearch.io.seal import opened
from adasearch.records import TrialRecord
from adasearch.store.compaction import COMPACTED, compacted_file, read_compacted
from adasearch.store.lease import parsed
from adasearch.store.parquet_file import PartError

__all__ = ["compacted_findings", "lease_findings", "ray_findings", "study_leftovers"]

OWNER = re.compile(r"host (.+), process (\d+)")  # as Store.lock writes it


def compacted_findings(files: pafs.FileSystem, root: str, folder: str) -> Iterator[Finding]:
    """Find compacted tables that cannot be read; all that they held lies beside them."""
    for table in COMPACTED:
        try:
            read_compacted(files, f"{root}/{folder}", table)
        except (PartError, InputError) as error:
            newer = isinstance(error, InputError)
            yield Finding(
                path=compacted_file(folder, table),
                what=f"written by a newer adasearch ({error})" if newer else f"cannot be read ({error})",
                means="nothing is lost: the single files hold the same",
                remedy="upgrade adasearch"
                if newer
                else "run 'adasearch compact' again; --repair moves it to .damaged/",
                action="leave" if newer else "set aside",
            )


def study_leftovers(root: Path, folder: str, trials: Mapping[str, TrialRecord]) -> Iterator[Finding]:
    """Find what killed processes left in a folder that no live search holds; ``trials`` are its own by id."""
    yield from _locks(root, folder)
    yield from _drafts(root, folder)
    yield from _checkpoints(root, folder, trials)


def _drafts(root: Path, folder: str) -> Iterator[Finding]:
    """Find what a process was writing when it died; a draft of a live process is none."""
    for draft, writer in dead_drafts(root / folder):
        yield Finding(
            path=str(draft.relative_to(root)),
            what=f"half-written by {writer}, which is gone",
            means="no reader sees it",
            remedy="the next search of the study or --repair removes it",
            action="remove",
            leftover=True,
        )


def _locks(root: Path, folder: str) -> Iterator[Finding]:
    """Find the note of a holder that died; its lock ended with it. One of another host is left alone."""
    owner = root / folder / ".owner"
    try:
        named = OWNER.fullmatch(owner.read_text(errors="replace").strip()) if owner.is_file() else None
    except OSError:
        return
    if named and named[1] == socket.gethostname() and not psutil.pid_exists(int(named[2])):
        yield Finding(
            path=str(owner.relative_to(root)),
            what=f"stale lock of process {named[2]}, which is gone",
            means="it holds nothing",
            remedy="the next search of the study or --repair clears it",
            action="remove",
            leftover=True,
        )


def lease_findings(files: pafs.FileSystem, root: str) -> Iterator[Finding]:
    """Find leases on an object store whose holders neither renewed them nor gave them back."""
    for item in listed(files, f"{root}/.leases", recursive=True):
        if item.type != pafs.FileType.File or not item.base_name.endswith(".json"):
            continue
        holder = parsed(read_whole(files, item.path).to_pybytes())
        if holder is None or (holder.until and not holder.live()):
            yield Finding(
                path=item.path.removeprefix(f"{root}/"),
                what=f"stale lease of {holder or 'nobody'}",
                means="it holds nothing",
                remedy="the next search of the study takes it over",
                leftover=True,
            )


def _checkpoints(root: Path, folder: str, trials: Mapping[str, TrialRecord]) -> Iterator[Finding]:
    """Find checkpoints of trials that ended or are not there, and such as cannot be read.

    A checkpoint is an archive; whether it is a whole one is seen without loading it.
    """
    for place in sorted(path for path in (root / folder / "checkpoints").glob("*") if path.is_dir()):
        trial = trials.get(place.name)
        if trial is None or trial.status != "running":
            why = "a trial that is not stored" if trial is None else f"a trial that is {trial.status}"
            yield Finding(
                path=str(place.relative_to(root)),
                what=f"checkpoints of {why}",
                means="nothing goes on from them",
                remedy="--repair moves them to .damaged/",
                action="set aside",
                leftover=True,
            )
            continue
        for file in sorted(place.glob("*.pt")):
            if (what := _fault(file)) is not None:
                yield Finding(
                    path=str(file.relative_to(root)),
                    what=what,
                    means="the trial goes on from an earlier checkpoint, or from its beginning",
                    remedy="--repair moves it to .damaged/",
                    action="set aside",
                )


def _fault(file: Path) -> str | None:
    """Return what is wrong with a checkpoint's file, or None."""
    if not file.is_file():
        return "is no regular file"
    try:
        content = opened(file.read_bytes())
    except OSError as error:
        return f"is damaged: {error.strerror or error}"
    if not content:
        return "is empty"
    return None if zipfile.is_zipfile(io.BytesIO(content)) else "is truncated or no checkpoint"


def ray_findings(root: Path) -> Iterator[Finding]:
    """Find Ray's own files; only of interest while no search runs."""
    for place in sorted((root / ".ray").glob("*")):
        yield Finding(
            path=str(place.relative_to(root)),
            what="Ray's own files of a search that was killed",
            means="nothing reads them",
            remedy="--repair removes them",
            action="remove",
            leftover=True,
        )
