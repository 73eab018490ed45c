"""``adasearch doctor --repair``: what can be mended without loss; what cannot be read is set aside."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from adasearch.doctor.findings import Finding
from adasearch.errors import AdasearchError
from adasearch.io.filesystem import listed, locate
from adasearch.store.locks import StudyLocked
from adasearch.store.store import Store

__all__ = ["ASIDE", "repair"]

ASIDE = ".damaged"
"""Folder of the results that takes what was set aside, under its former path."""


def repair(store: Store, findings: Sequence[Finding]) -> Iterator[str]:
    """Act on findings and yield a line on each; a study that a live search holds is left alone.

    Nothing is deleted but drafts, locks and Ray's own files of processes that are gone.

    Raises:
        AdasearchError: the folder cannot be written.
    """
    todo = [finding for finding in findings if finding.action != "leave"]
    for folder in dict.fromkeys(finding.folder for finding in todo):
        with ExitStack() as held:
            try:
                # Ray's files are of any study.
                for each in store.folders() if folder.startswith(".") else [folder]:
                    held.enter_context(store.locks.hold(each))
            except StudyLocked as error:
                yield f"{folder}: not repaired, {error}"
                continue
            for finding in todo:
                if finding.folder == folder:
                    store.locks.check()
                    yield _mend(store, finding)


def _mend(store: Store, finding: Finding) -> str:
    files, root = locate(store.name)
    place = f"{root}/{finding.path}"
    try:
        if finding.action == "remove":  # found on local disks alone
            if Path(place).is_dir() and not Path(place).is_symlink():
                shutil.rmtree(place)
            else:
                Path(place).unlink(missing_ok=True)  # taking the lock may have removed it
            return f"{finding.path}: removed"
        target = finding.target if finding.action == "rename" else None
        target = target or _free(store, f"{ASIDE}/{finding.path}")
        files.create_dir(f"{root}/{target}".rpartition("/")[0], recursive=True)
        files.move(place, f"{root}/{target}")
        if finding.action == "restore":
            store.restore(finding.path)
            return f"{finding.path}: brought back, as it was when it was compacted; moved to {target}"
    except OSError as error:
        raise AdasearchError(f"cannot repair {place}: {error.strerror or error}") from error
    return f"{finding.path}: moved to {target}"


def _free(store: Store, path: str) -> str:
    """Return a path at which nothing lies yet."""
    files, root = locate(store.name)
    names = {
        item.path.removeprefix(f"{root}/") for item in listed(files, f"{root}/{path}".rpartition("/")[0])
    }
    number = 0
    while (taken := f"{path}.{number}" if number else path) in names:
        number += 1
    return taken
