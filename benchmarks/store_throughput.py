"""Rows per second into the store and out of it, against Tune's own result files and pandas on one file.

Writing is durable (each file synced to the disk) for the store and for pandas, which appends a trial's rows
to one CSV file; Tune's loggers do not sync. Reading is what a table of all intervals takes, with a mean over
it: from the store's single files, from the compacted ones, from Tune's files as ``ResultGrid`` reads them
(``get_dataframe`` gives each trial's last row, the results' own data frames all rows), and from the one file.
The rows are the same made-up intervals for all.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from ray.train._internal.storage import StorageContext
from ray.tune import ExperimentAnalysis, ResultGrid
from ray.tune.experiment import Trial

from adasearch.io.tables import Column, number
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.store import Store
from adasearch.store.compaction import SETTLED_SECONDS
from adasearch.store.rows import interval_row
from adasearch.store.trials import begin_trial
from common import Row, keep, parser_of, per, positive, spread
from store_scale import course, study_of

Writer = Callable[[TrialRecord, list[IntervalRecord]], None]
MEAN = "val_error"


def rows_of(trial: TrialRecord, intervals: list[IntervalRecord]) -> list[dict[str, object]]:
    """Return the rows that are stored."""
    return [{"trial_id": trial.trial_id, **interval_row(record)} for record in intervals]


def append_csv(file: Path, trial: TrialRecord, intervals: list[IntervalRecord]) -> None:
    """Append a trial's rows to one file with pandas, and sync it."""
    with file.open("a") as stream:
        pd.DataFrame(rows_of(trial, intervals)).to_csv(stream, header=stream.tell() == 0, index=False)
        stream.flush()
        os.fsync(stream.fileno())


class TuneFiles:
    """What Tune's JSON logger leaves of an experiment: a line per report, flushed, not synced."""

    def __init__(self, folder: Path) -> None:
        self._experiment = folder / "experiment"
        self._trials: list[Trial] = []

    def write(self, trial: TrialRecord, intervals: list[IntervalRecord]) -> None:
        """Report all intervals of a trial."""
        place = self._experiment / trial.trial_id
        place.mkdir(parents=True)
        row: dict[str, object] = {}
        with (place / "result.json").open("a") as stream:
            for number, row in enumerate(rows_of(trial, intervals), start=1):
                json.dump({**row, "training_iteration": number}, stream)
                stream.write("\n")
                stream.flush()
        storage = StorageContext(
            storage_path=str(self._experiment.parent), experiment_dir_name=self._experiment.name
        )
        storage.trial_dir_name = trial.trial_id
        made = Trial("benchmark", stub=True, storage=storage, trial_id=trial.trial_id)
        made.update_last_result(row)
        self._trials.append(made)

    def read(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the last rows of all trials, and all rows."""
        (self._experiment / "experiment_state-1.json").write_text(
            "{}"
        )  # it must be there; the trials are given
        grid = ResultGrid(ExperimentAnalysis(str(self._experiment), trials=self._trials))
        return grid.get_dataframe(), pd.concat([result.metrics_dataframe for result in grid])


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def written(folder: Path, trials: int, intervals: int, blocks: int) -> tuple[list[Row], TuneFiles]:
    """Write the same trials everywhere, block by block in turn."""
    draws, study = np.random.default_rng(0), study_of("deba", intervals)
    store, tune = Store(str(folder)), TuneFiles(folder / "tune")
    store.write_study(study)
    writers: dict[str, Writer] = {
        "adasearch": store.write_intervals,
        "Tune, not synced": tune.write,
        "pandas, one file": partial(append_csv, folder / "all.csv"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in writers}
    block = trials // blocks
    for turn in range(blocks):
        some = []
        for which in range(turn * block, (turn + 1) * block):
            trial = begin_trial(study, phase="search", number=which, params={}, seed=which, versions={})
            some.append((trial, course(draws, intervals)))
        for name in list(writers)[:: -1 if turn % 2 else 1]:
            write = writers[name]
            seconds[name].append(timed(lambda write=write, some=some: [write(*each) for each in some]))  # type: ignore[misc]
    rows = block * intervals
    return [
        {
            "what": "write",
            "how": name,
            "rows": trials * intervals,
            "files": 1 if "one file" in name else trials,
            **spread(each).columns("seconds"),
            "rows_per_second": rows / spread(each).median,
            **per(each, seconds["adasearch"]).columns("ratio"),
        }
        for name, each in seconds.items()
    ], tune


def read(folder: Path, tune: TuneFiles, trials: int, intervals: int, *, rounds: int) -> list[Row]:
    """Read all rows and take a mean over them; the store's files first each by itself, then compacted."""
    store = Store(str(folder))
    study = study_of("deba", intervals).study
    rows = trials * intervals

    def from_store() -> None:
        found = store.frame("intervals", [study], columns=["trial_id", MEAN])
        assert len(found.groupby("trial_id")[MEAN].mean()) == trials

    def from_tune() -> None:
        last, every = tune.read()
        assert len(last) == trials
        assert len(every.groupby("trial_id")[MEAN].mean()) == trials

    def from_csv() -> None:
        found = pd.read_csv(folder / "all.csv", usecols=["trial_id", MEAN])
        assert len(found.groupby("trial_id")[MEAN].mean()) == trials

    seconds = {"adasearch, single files": [timed(from_store) for _ in range(rounds)]}
    time.sleep(SETTLED_SECONDS + 1)  # compacting leaves files of the last moment alone
    compacting = timed(lambda: store.compact(study))
    others = {
        "adasearch, compacted": from_store,
        "Tune, ResultGrid": from_tune,
        "pandas, one file": from_csv,
    }
    found = {name: [timed(work) for _ in range(rounds)] for name, work in others.items()}
    seconds |= found | {"adasearch, compacting once": [compacting]}
    return [
        {
            "what": "read",
            "how": name,
            "rows": rows,
            "files": trials if "single" in name or "Tune" in name else 1,
            **spread(each).columns("seconds"),
            "rows_per_second": rows / spread(each).median,
            "ratio": spread(each).median / spread(seconds["adasearch, compacted"]).median,
        }
        for name, each in seconds.items()
    ]


COLUMNS = (
    Column("what", "what"),
    Column("how", "how"),
    Column("rows", "rows"),
    Column("files", "files"),
    Column("seconds", "s"),
    Column("seconds_low", "low"),
    Column("seconds_high", "high"),
    Column("rows_per_second", "rows/s", number),
    Column("ratio", "times adasearch's"),
)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "store_throughput")
    parser.add_argument("--trials", type=positive, help="default: 10000, with --quick 120")
    parser.add_argument("--intervals", type=positive, default=100)
    arguments = parser.parse_args()
    trials = arguments.trials or (120 if arguments.quick else 10_000)
    with tempfile.TemporaryDirectory() as name:
        rows, tune = written(Path(name), trials, arguments.intervals, blocks=10)
        # Tune takes minutes for 10,000 trials, so each is read once there.
        rows += read(Path(name), tune, trials, arguments.intervals, rounds=3 if arguments.quick else 1)
    keep(rows, COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
