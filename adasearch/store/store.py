"""Records to Parquet and back: ``<results>/<study>/<table>/<trial>.parquet``, one file per trial and table.

Plain Parquet that any engine reads as ``<results>/<study>/<table>/*.parquet``. On a local disk a file is
written under a hidden name, synced and renamed; on an object store it is one put. A reader therefore sees
all of a file or nothing. A file that cannot be read is skipped and named on stderr.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs

from adasearch.callbacks import Progress, no_progress
from adasearch.errors import InputError, unknown
from adasearch.io.filesystem import below, is_local, kind_at, listed, locate, write_whole
from adasearch.io.private_folder import private_folder
from adasearch.io.text import is_name, redacted
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.store.compaction import (
    COMPACTED,
    Piece,
    compacted_rows,
    loose_files,
    read_pieces,
    write_compacted,
)
from adasearch.store.interval_table import ColumnsByTrial, IntervalsByTrial
from adasearch.store.locks import Locks
from adasearch.store.parquet_file import PartError, small_parquet_bytes
from adasearch.store.record_reader import records_in, say_skipped
from adasearch.store.rows import interval_row, row_of, study_of, trial_of, with_params
from adasearch.store.schemas import SCHEMAS, Table
from adasearch.store.trials import LOGS, RESERVED, folder_of

__all__ = ["Store"]

R = TypeVar("R", StudyRecord, TrialRecord)


class Store:
    """A results folder: a local path, or a URI of an object store such as ``s3://bucket/prefix``.

    Raises:
        InputError: the folder cannot be reached, or is not there although it ``must_exist``.
        StoreError: the object store does not answer.
    """

    def __init__(self, results: str, *, must_exist: bool = False) -> None:
        self.name = results
        self._files, self._root = locate(results)
        kind = kind_at(self._files, self._root)
        self._local = is_local(self._files)
        self.locks = Locks(self._files, self._root, results)
        if kind == pafs.FileType.File:
            raise InputError(f"results {results!r} must be a folder but is a file")
        if must_exist and kind != pafs.FileType.Directory:
            raise InputError(f"results {results!r} must be an existing folder but is not there")

    def check_writable(self) -> None:
        """Check, without writing, that the folder can be written or made.

        Raises:
            InputError: it cannot.
        """
        if not self._local:
            return
        nearest = next(path for path in (Path(self._root), *Path(self._root).parents) if path.exists())
        if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
            raise InputError(f"results {self.name!r} must be writable but {nearest} is not")

    @contextmanager
    def ray_folder(self, *, shared: bool) -> Iterator[str]:
        """Give the path or URI for Ray's own files: beside the tables, where every node reaches it.

        A Ray of this machine alone keeps them until the end in a folder of its own, with the temporary files.
        """
        if shared:
            yield below(self._place, ".ray")
            return
        with private_folder() as folder:
            yield folder

    def checkpoint_folder(self, trial: TrialRecord) -> str:
        """Return the path or URI of a trial's checkpoints."""
        return below(self._place, f"{folder_of(trial)}/checkpoints/{trial.trial_id}")

    def remove_checkpoints(self, trial: TrialRecord) -> None:
        """Remove a trial's checkpoints, if it has any; it is over."""
        folder = f"{folder_of(trial)}/checkpoints/{trial.trial_id}"
        self.locks.remove(folder)  # commands that train in this process hold it
        with suppress(OSError):
            self._files.delete_dir(f"{self._root}/{folder}")

    def checkpointed(self, study: str) -> list[str]:
        """Return the ids of a study's trials that have checkpoints."""
        return [item.base_name for item in listed(self._files, f"{self._root}/{study}/checkpoints")]

    @property
    def _place(self) -> str:
        return self._root if self._local else self.name

    def write_study(self, study: StudyRecord) -> None:
        """Write the study's identity."""
        self._write(study.study, "studies", study.study, [row_of(study)])

    def write_train_study(self, trial: TrialRecord, study: StudyRecord) -> None:
        """Write what a run outside a search was told, by its trial."""
        self._write(folder_of(trial), "studies", trial.trial_id, [row_of(study)])

    def write_trial(self, trial: TrialRecord) -> None:
        """Write a trial's row over its former one."""
        self._write(folder_of(trial), "trials", trial.trial_id, [row_of(trial)])

    def write_intervals(self, trial: TrialRecord, intervals: Sequence[IntervalRecord]) -> None:
        """Write all intervals of a trial over its former ones."""
        rows = [{"trial_id": trial.trial_id, **interval_row(record)} for record in intervals]
        self._write(folder_of(trial), "intervals", trial.trial_id, rows)

    def write_traceback(self, trial: TrialRecord, text: str) -> str:
        """Write why a trial failed beside its tables; return the file's path within the results."""
        path = f"{folder_of(trial)}/errors/{trial.trial_id}.txt"
        self.locks.check()
        content = memoryview(redacted(text).encode(errors="replace"))
        write_whole(self._files, f"{self._root}/{path}", content)
        return path

    def restore(self, path: str) -> None:
        """Write a file of a study's trials or intervals, ``<study>/<table>/<name>``, as it was compacted.

        Raises:
            InputError: no compacted table holds it.
            StoreError: it cannot be written.
        """
        folder, table, name = path.split("/")
        rows = None
        if table in COMPACTED:
            rows = compacted_rows(self._files, f"{self._root}/{folder}", table, name)
        if rows is None:
            raise InputError(f"{path} is in no compacted table")
        self._put(path, rows)

    def _write(self, folder: str, table: Table, name: str, rows: list[dict[str, Any]]) -> None:
        self._put(f"{folder}/{table}/{name}.parquet", pa.Table.from_pylist(rows, schema=SCHEMAS[table]))

    def _put(self, path: str, rows: pa.Table) -> None:
        data = small_parquet_bytes(rows)
        self.locks.check()
        write_whole(self._files, f"{self._root}/{path}", data)

    def study(self, name: str) -> StudyRecord | None:
        """Return a study's identity, or None if there is no such study."""
        if name in RESERVED or not is_name(name):
            return None
        return next(self._records(name, "studies", study_of, name), None)

    def train_study(self, trial: TrialRecord) -> StudyRecord | None:
        """Return what a run outside a search was told, or None if that is not stored."""
        return next(self._records(folder_of(trial), "studies", study_of, trial.trial_id), None)

    def study_of(self, trial: TrialRecord) -> StudyRecord | None:
        """Return the study that a trial belongs to, or None if that is not stored."""
        return self.train_study(trial) if folder_of(trial) in RESERVED else self.study(trial.study)

    def studies(self) -> list[StudyRecord]:
        """Return every study of the folder by name."""
        found = [self.study(name) for name in self.folders() if name not in RESERVED]
        return [study for study in found if study is not None]

    def trials(self, study: str) -> list[TrialRecord]:
        """Return a study's trials in order of phase and number."""
        found = list(self._records(study, "trials", trial_of))
        pa.default_memory_pool().release_unused()  # of thousands of rows, as columns, some 40 MB
        return sorted(found, key=lambda trial: (trial.phase, trial.number))

    def trial_ids(self, study: str) -> list[str]:
        """Return the ids of a study's trials by their files, none of which is opened."""
        names = [item.base_name for item in listed(self._files, f"{self._root}/{study}/trials")]
        return [name.removesuffix(".parquet") for name in names if name.endswith(".parquet")]

    def find_trial(self, trial_id: str) -> tuple[TrialRecord, list[IntervalRecord]]:
        """Return a trial of a study or of ``train`` with its intervals.

        Raises:
            InputError: there is no such trial.
        """
        study = trial_id.rsplit("-", 2)[0]  # its id names it, so that no other study need be read
        for folder in [study, "train"] if self.study(study) else ["train"]:
            found = next(self._records(folder, "trials", trial_of, trial_id), None)
            if found is not None:
                return found, self.intervals(folder, [trial_id]).get(trial_id, [])
        folders = [*(each.study for each in self.studies()), "train"]
        known = [trial.trial_id for folder in folders for trial in self.trials(folder)]
        some = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "")
        raise InputError(f"unknown trial {trial_id!r} in {self.name}; there are: {some or 'none'}")

    def stamp(self, study: str) -> object:
        """Return what differs once a trial of a study was written; it opens no file."""
        files = listed(self._files, f"{self._root}/{study}/trials")
        return [(item.path, item.mtime_ns, item.size) for item in files]

    def intervals(
        self, study: str, trials: Collection[str] | None = None
    ) -> Mapping[str, list[IntervalRecord]]:
        """Return the intervals of a study's trials (default: all) by trial id, in order.

        They are made anew at each look-up.
        """
        names = None if trials is None else {f"{name}.parquet" for name in trials}
        found = IntervalsByTrial(
            (piece.rows for piece in self._pieces(study, "intervals", names)), self._left_out(study)
        )
        return found if trials is None else {name: found[name] for name in trials if name in found}

    def columns(self, study: str, names: Sequence[str]) -> Mapping[str, dict[str, list[Any]]]:
        """Return some columns of the intervals of a study's trials by trial id, in order."""
        wanted = list(dict.fromkeys(["trial_id", "interval", *names]))
        pieces = self._pieces(study, "intervals", columns=wanted)
        return ColumnsByTrial((piece.rows for piece in pieces), self._left_out(study))

    def _left_out(self, study: str) -> Callable[[str, str], None]:
        place = f"{self._root}/{study}/intervals"
        return lambda trial, why: say_skipped(f"{place}/{trial}.parquet", PartError("damaged", why))

    def frame(
        self, table: Table, studies: Iterable[str] | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return a table of some studies as a data frame: all studies and columns by default.

        Of trials each parameter is a column, too, such as "train/lr", beside ``params``, which is JSON.

        Raises:
            InputError: the table has no such column.
        """
        known = SCHEMAS[table].names
        for name in columns or ():
            if name not in known:
                raise unknown("column", name, known)
        folders = [name for name in self.folders() if name not in RESERVED] if studies is None else studies
        empty = SCHEMAS[table].empty_table().select(known if columns is None else columns)
        parts = (piece.rows for folder in folders for piece in self._pieces(folder, table, columns=columns))
        frame = pd.DataFrame(pa.concat_tables([empty, *parts]).to_pandas())
        return with_params(frame) if table == "trials" and columns is None else frame

    def folders(self) -> list[str]:
        """Return every folder of tables by name: studies, ``train`` and ``profiles``."""
        found = listed(self._files, self._root)
        names = [item.base_name for item in found if item.type == pafs.FileType.Directory]
        return [name for name in names if is_name(name) and name != LOGS]

    def _records(
        self, folder: str, table: Table, record_of: Callable[[dict[str, Any]], R], name: str | None = None
    ) -> Iterator[R]:
        """Yield a folder's records, or those of one file; rows that are none are skipped."""
        pieces = self._pieces(folder, table, None if name is None else {f"{name}.parquet"})
        return records_in(pieces, f"{self._root}/{folder}/{table}", folder, table, record_of)

    def _pieces(
        self,
        folder: str,
        table: Table,
        names: Collection[str] | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[Piece]:
        if not is_name(folder):
            raise InputError(f"{folder!r} is no name of a study")
        place = f"{self._root}/{folder}"
        return read_pieces(self._files, place, table, skipped=say_skipped, names=names, columns=columns)

    def loose(self, folder: str) -> int:
        """Count a folder's trials that are read from files of their own.

        Raises:
            StoreError: the folder cannot be listed.
        """
        return loose_files(self._files, f"{self._root}/{folder}", "trials")

    def compact(self, folder: str, progress: Progress = no_progress) -> dict[Table, int]:
        """Write a folder's trials and intervals once more, as one file each; return the rows of each.

        Nothing else is changed: readers take from these files what is not newer in a file of its own.

        Raises:
            InputError: there is no such folder.
            StoreError: it cannot be written.
        """
        if folder not in (known := self.folders()):
            raise unknown("study", folder, known)
        return {
            table: write_compacted(
                self._files, f"{self._root}/{folder}", table, skipped=say_skipped, progress=progress
            )
            for table in COMPACTED
        }
