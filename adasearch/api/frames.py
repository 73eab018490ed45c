"""Frames and sentences about a results folder: its tables, and what ``adasearch compare`` says of them."""

import io
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from adasearch import commands
from adasearch.analysis.search_table import SearchRow
from adasearch.errors import InputError, unknown
from adasearch.records import StudyRecord, TrialRecord
from adasearch.store.store import Store

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    import polars as pl

__all__ = [
    "Names",
    "best_of",
    "chosen",
    "compared",
    "in_polars",
    "optuna_study",
    "rows_of",
    "table_of",
    "tuned",
    "verdicts",
]

Names = str | Sequence[str] | None
"""One study by name, or several, or None for all."""

SEARCHED = tuple(field.name for field in fields(SearchRow))


def chosen(store: Store, study: Names) -> list[str] | None:
    """Return the names of studies that were asked for, None for all.

    Raises:
        InputError: an unknown study.
    """
    if study is None:
        return None
    names = [study] if isinstance(study, str) else list(study)
    known = [each.study for each in store.studies()]
    for name in names:
        if name not in known:
            raise unknown("study", name, known)
    return names


def table_of(text: str) -> "pd.DataFrame":
    """Return the rows of a command's JSON as a frame."""
    import pandas as pd

    return pd.DataFrame(json.loads(text)["rows"])


def rows_of(frame: "pd.DataFrame") -> list[dict[str, object]]:
    """Return the rows of a frame by column."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def compared(store: Store, study: Names, *, confirmed: bool) -> "pd.DataFrame":
    """Return rows of ``compare``: the search's with all their columns, or those of what was confirmed.

    Further columns are there that hold anything.
    """
    import pandas as pd

    text = commands.compare(store, studies=chosen(store, study), form="json", force=True)
    rows = [row for row in json.loads(text)["rows"] if (row["table"] != "search") is confirmed]
    frame, columns = pd.DataFrame(rows), () if confirmed else SEARCHED
    kept = [name for name in frame.columns if name in columns or frame[name].notna().any()]
    return frame[[name for name in kept if name != "table"]]


def verdicts(store: Store) -> list[str]:
    """Return a sentence on each study that is not a baseline."""
    from adasearch.analysis.gather import Scope, gather
    from adasearch.analysis.search_table import describe

    rows = gather(store, Scope(force=True)).rows
    return [f"{row.study}: {describe(row)}" for row in rows if row.scheduler != "constant"]


def best_of(store: Store, study: str) -> TrialRecord:
    """Return the trial that stands for a study, as in the table.

    Raises:
        InputError: an unknown study, or one without a complete trial.
    """
    from adasearch.analysis.gather import Scope, select
    from adasearch.analysis.selection import pick_trials

    found = select(store, Scope(studies=[study], force=True))
    trial = pick_trials(found.studies, found.trials)[study].trial
    if trial is None:
        raise InputError(f"study {study} has no complete trial")
    return trial


def tuned(store: Store, by: str | Sequence[str], study: Names) -> "pd.DataFrame":
    """Return the searched trials of least validation error, one for each combination of the columns ``by``.

    Raises:
        InputError: an unknown study or column.
    """
    names = [by] if isinstance(by, str) else list(by)
    trials = store.frame("trials", chosen(store, study))
    for name in names:
        if name not in trials.columns:
            raise unknown("column", name, [str(each) for each in trials.columns])
    ended = trials[
        (trials["phase"] == "search") & (trials["status"] == "complete") & trials["val_error"].notna()
    ]
    first = ended.sort_values("number", kind="stable").drop_duplicates(["study", "params"])
    best = first.sort_values(["val_error", "number"], kind="stable")
    return (best.drop_duplicates(names) if names else best.head(1)).sort_index().reset_index(drop=True)


def optuna_study(store: Store, record: StudyRecord) -> "optuna.Study":
    """Return a study as Optuna's, in memory, its trials with their ids.

    Raises:
        InputError: its trials are not of its spaces.
    """
    from adasearch.spaces.optuna_trials import distributions_of, frozen_trial, new_study, quiet_optuna

    distributions = distributions_of(record)
    found = new_study(name=record.study)
    with quiet_optuna():
        found.set_metric_names([record.objective, "seconds"])
    for trial in store.trials(record.study):
        if trial.phase == "search":
            found.add_trial(frozen_trial(trial, distributions, record.clock, {"trial_id": trial.trial_id}))
    return found


def in_polars(frame: "pd.DataFrame") -> "pl.DataFrame":
    """Return a frame as one of Polars.

    Raises:
        InputError: Polars is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise InputError(f"polars=True needs Polars: pip install polars ({error})") from error
    import pyarrow as pa

    sink = io.BytesIO()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    sink.seek(0)
    return pl.read_ipc(sink)
