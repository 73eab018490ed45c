"""``adasearch doctor``: what is damaged in a results folder, what that means, and what to do.

Nothing is changed here and nothing is unpickled: tables are read, checkpoints looked at as the archives they
are. :mod:`adasearch.doctor.repair` acts on what is found.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from adasearch.callbacks import Progress, no_progress
from adasearch.doctor.findings import Finding, Report
from adasearch.doctor.interval_check import IntervalEnd, disagreement, end_of
from adasearch.doctor.leftovers import (
    compacted_findings,
    lease_findings,
    ray_findings,
    study_leftovers,
)
from adasearch.errors import InputError, StoreError, one_line
from adasearch.io.filesystem import is_local, kind_at, listed, locate, read_whole
from adasearch.profiles.profile_store import profile_file
from adasearch.records import StudyRecord, TrialRecord
from adasearch.store.compaction import compacted_rows
from adasearch.store.locks import StudyLocked
from adasearch.store.parquet_file import PartError, read_part, rows_in
from adasearch.store.rows import study_of, trial_of
from adasearch.store.schemas import Table
from adasearch.store.store import Store
from adasearch.store.trials import RESERVED, folder_of

__all__ = ["examine"]

R = TypeVar("R")

ASIDE = "--repair moves it to .damaged/"
LOST: dict[Table, str] = {
    "studies": "the study is in no table, and a search does not go on with it",
    "trials": "the trial does not count, and a search that goes on runs another in its place",
    "intervals": "the trial's course is lost to replay, export and early stopping; a running one begins anew",
    "profiles": "the profile is measured again where it is needed",
}


def examine(store: Store, progress: Progress = no_progress) -> Report:
    """Return what is wrong in a results folder; a live search may go on meanwhile.

    Raises:
        StoreError: a folder cannot be listed, or an object store does not answer.
    """
    return _Examination(store, progress).report()


class _Examination:
    """One pass over a results folder; of its intervals one file is held at a time."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._files, self._root = locate(store.name)
        self._progress = progress
        self._seen = self._total = 0
        self._found: list[Finding] = []
        self._places: dict[str, str] = {}  # of each trial, by id
        self._held = False

    def report(self) -> Report:
        # Of a live search intervals are listed before trials and trials before studies, as it writes them in
        # the other order: whatever is listed has what it belongs to.
        order: tuple[Table, ...] = ("intervals", "trials", "studies")
        tables = {
            folder: {table: self._parquet(f"{folder}/{table}") for table in order}
            for folder in self._store.folders()
        }
        profiles = self._parquet("profiles")
        self._total = len(profiles) + sum(len(items) for each in tables.values() for items in each.values())
        trials = {folder: self._rows(folder, each) for folder, each in tables.items()}
        for folder, each in tables.items():  # once it is known where every trial's row lies
            self._courses(folder, each["intervals"], trials[folder])
            self._found += compacted_findings(self._files, self._root, folder)
            if is_local(self._files):
                self._leftovers(folder, trials[folder])
        if not is_local(self._files):
            self._found += lease_findings(self._files, self._root)
        for item in profiles:
            self._profile(item)
        if is_local(self._files) and not self._held:
            self._found += ray_findings(Path(self._root))
        return Report(findings=self._found, files=self._total)

    def _rows(self, folder: str, tables: dict[Table, list[pafs.FileInfo]]) -> dict[str, TrialRecord]:
        """Check a folder's studies and trials; return the trials that belong there by id."""
        studies = list(self._records(tables["studies"], "studies", study_of))
        found = self._records(tables["trials"], "trials", trial_of)
        trials = {trial.trial_id: trial for path, trial in found if self._in_place(path, trial, folder)}
        self._identity(folder, studies, trials, {finding.path for finding in self._found})
        return trials

    def _identity(
        self,
        folder: str,
        studies: Iterable[tuple[str, StudyRecord]],
        trials: dict[str, TrialRecord],
        unreadable: set[str],
    ) -> None:
        """Check that the study of every trial is stored, under its name."""
        known = {_stem(path) for path, _ in studies}
        for path, study in studies if folder not in RESERVED else ():
            if (study.study, _stem(path)) != (folder, folder):
                twice = folder in known - {_stem(path)}
                self._add(
                    path,
                    f"holds study {study.study}",
                    f"the folder {folder} must hold that study alone, in studies/{folder}.parquet",
                    ASIDE if twice else "move it to its own folder",
                    aside=twice,
                )
        wanted = trials if folder in RESERVED else ([folder] if trials else [])
        for name in wanted:
            path = f"{folder}/studies/{name}.parquet"
            if name not in known and path not in unreadable:
                self._add(
                    path,
                    f"is missing, but not its trials ({len(trials) if folder not in RESERVED else 1})",
                    LOST["studies"] if folder not in RESERVED else "what the run was told is not known",
                    "restore it from a copy, or search under another --study PREFIX",
                )

    def _in_place(self, path: str, trial: TrialRecord, folder: str) -> bool:
        """Check that a trial's file lies where its row belongs, and that there is no other of the trial."""
        home_folder = folder_of(trial)
        home = f"{home_folder}/trials/{trial.trial_id}.parquet"
        if path == home:
            self._places[trial.trial_id] = path
            return True
        other = home if self._exists(home) else self._places.setdefault(trial.trial_id, path)
        if other != path:
            same = self._bytes(path) == self._bytes(other)
            self._add(
                path,
                f"is a second file of trial {trial.trial_id}, beside {other}",
                "it does not count: no reader takes it where that one is",
                ASIDE if same else "they differ: compare them, and move one away",
                aside=same,
            )
            return False
        self._add(
            path,
            f"holds trial {trial.trial_id}, which belongs in {home}",
            "the trial is not found under its name, and does not count where it belongs elsewhere",
            "--repair moves it there",
            target=home,
        )
        return folder == home_folder

    def _courses(self, folder: str, items: list[pafs.FileInfo], trials: dict[str, TrialRecord]) -> None:
        """Check each trial's intervals, and that each ended trial has them."""
        there = set()
        coming = {finding.path for finding in self._found if finding.action == "restore"}
        for item in items:
            path, name = self._below(item.path), item.base_name.removesuffix(".parquet")
            there.add(name)
            part = self._read(item, "intervals")
            if part is None or f"{folder}/trials/{name}.parquet" in coming:
                continue
            if name not in trials:
                where = self._places.get(name)
                self._add(
                    path,
                    f"intervals of a trial whose row is {f'in {where}' if where else 'not there'}",
                    "nothing shows them, and a later trial of that number would begin with them",
                    "the row must come back first" if where else f"{ASIDE}; bring it back with the row",
                    aside=where is None,
                )
                continue
            self._course(path, trials[name], end_of(part, name))
        for name in sorted(trials.keys() - there):
            self._course(f"{folder}/intervals/{name}.parquet", trials[name], None)

    def _course(self, path: str, trial: TrialRecord, end: IntervalEnd | None) -> None:
        what = (end.fault if end else None) or disagreement(trial, end)
        if what:
            self._add(
                path,
                what,
                "the trial counts in tables, but its course is not to be relied on",
                "restore the file from a copy, or move it and the trial's row away for another trial",
            )

    def _leftovers(self, folder: str, trials: dict[str, TrialRecord]) -> None:
        try:
            self._store.locks.check_free(folder)
        except (StudyLocked, StoreError):  # held, or somebody else's, as it may be
            self._held = True
            return
        self._found += study_leftovers(Path(self._root), folder, trials)

    def _profile(self, item: pafs.FileInfo) -> None:
        part = self._read(item, "profiles")
        if part is None:
            return
        path = self._below(item.path)
        try:
            names = {profile_file([row]) for row in rows_in(part, "profiles")}
        except (TypeError, ValueError, AttributeError) as error:
            self._unreadable(path, "profiles", f"its rows are no profile ({one_line(error)})")
            return
        if names != {_stem(path)}:
            self._add(
                path,
                f"holds {' and '.join(sorted(names)[:2]) or 'no rows'}",
                "a profile is stored in a file of its name, so it may be there twice",
                "import it with 'adasearch profile --import', and move it away",
            )

    def _records(
        self, items: Iterable[pafs.FileInfo], table: Table, record_of: Callable[[dict[str, object]], R]
    ) -> Iterator[tuple[str, R]]:
        """Yield the record of each file that can be read."""
        for item in items:
            part = self._read(item, table)
            if part is None:
                continue
            path = self._below(item.path)
            try:
                records = [record_of(row) for row in rows_in(part, table)]
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                self._unreadable(path, table, f"its row is no record ({one_line(error)})")
                continue
            what = f"holds {len(records)} rows instead of one"
            if not records:
                self._unreadable(path, table, what)
                continue
            if len(records) > 1:
                self._add(path, what, "the first row alone counts", "restore the file from a copy")
            yield path, records[0]

    def _read(self, item: pafs.FileInfo, table: Table) -> pa.Table | None:
        """Return a file's rows; None if it cannot be read, or is gone meanwhile."""
        path = self._below(item.path)
        self._seen += 1
        self._progress("files examined", self._seen, self._total)
        try:
            return read_part(self._files, item.path, table)
        except PartError as error:
            if not self._exists(path):
                return None
            what = "is empty" if item.size == 0 else f"{error.kind} ({error})"
            self._unreadable(path, table, "is a folder" if item.type == pafs.FileType.Directory else what)
        except InputError as error:
            text = str(error).removeprefix(f"{item.path} ")
            self._add(
                path,
                f"written by a newer adasearch: it {text}",
                "every command that reads it is refused",
                "upgrade adasearch, or move the file away",
            )
        return None

    def _unreadable(self, path: str, table: Table, what: str) -> None:
        folder, _, name = path.partition("/")[0], *path.rpartition("/")[1:]
        if compacted_rows(self._files, self._at(folder), table, name) is None:
            self._add(path, what, LOST[table], f"restore it from a copy if there is one; {ASIDE}", aside=True)
            return
        remedy = f"--repair brings it back as compacted/{table}.parquet holds it"
        self._found.append(Finding(path=path, what=what, means=LOST[table], remedy=remedy, action="restore"))

    def _add(
        self, path: str, what: str, means: str, remedy: str, *, aside: bool = False, target: str | None = None
    ) -> None:
        found = Finding(path=path, what=what, means=means, remedy=remedy, target=target)
        self._found.append(replace(found, action="set aside" if aside else "rename" if target else "leave"))

    def _parquet(self, folder: str) -> list[pafs.FileInfo]:
        items = self._list(folder)
        return [each for each in items if each.base_name.endswith(".parquet") and each.base_name[0] != "."]

    def _list(self, folder: str) -> list[pafs.FileInfo]:
        return listed(self._files, self._at(folder).rstrip("/"))

    def _exists(self, path: str) -> bool:
        return bool(kind_at(self._files, self._at(path)) != pafs.FileType.NotFound)

    def _bytes(self, path: str) -> bytes:
        return bytes(read_whole(self._files, self._at(path)))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _below(self, path: str) -> str:
        return path.removeprefix(f"{self._root}/")


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".parquet")
