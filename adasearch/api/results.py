"""What a results folder holds, as frames, figures and objects."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

from adasearch import commands
from adasearch.analysis.search_table import SearchRow
from adasearch.errors import InputError, unknown
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord, Value
from adasearch.store.schemas import SCHEMAS
from adasearch.store.store import Store

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    import polars as pl

    from adasearch.api.plot import Plots
    from adasearch.limits import Limits

__all__ = ["Results", "StoredTrial", "Study", "load"]

SEARCHED = tuple(field.name for field in fields(SearchRow))


def load(path: str) -> "Results":
    """Open a results folder; nothing is read before it is asked for.

    Args:
        path: folder or URI that a search, a run or a profile wrote.

    Raises:
        InputError: it is not there.

    Example::

        found = adasearch.load("results")
        found.table()
        found.plot.pareto()
    """
    return Results(path)


class StoredTrial:
    """A trial of a results folder.

    Attributes:
        record: its row, see :class:`adasearch.records.TrialRecord`; its fields are attributes here, too.
        fields: of its scheduler, as ``make_scheduler`` and the controller take them.
        train: of its training, such as ``lr`` and ``batch_size``.
    """

    def __init__(self, record: TrialRecord, results: "Results") -> None:
        self.record = record
        self.fields: dict[str, Value] = record.fields_of("scheduler")
        self.train: dict[str, Value] = record.fields_of("train")
        self._results = results

    def __getattr__(self, name: str) -> Any:
        """Return a field of the record."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.record, name)

    def __repr__(self) -> str:
        """Tell which trial it is, and how it ended."""
        return f"<StoredTrial {self.record.trial_id}: {self.record.status}>"

    @property
    def batch_size(self) -> int:
        """The batch size that it began with."""
        return int(self.train["batch_size"])

    @property
    def limits(self) -> "Limits":
        """The batch sizes that it kept to."""
        study = self._results.store.study_of(self.record)
        if study is None:
            raise InputError(f"the study of {self.record.trial_id} is not stored")
        return study.limits

    def intervals(self) -> "pd.DataFrame":
        """Return its intervals as a frame, one row each, in order."""
        import pandas as pd

        from adasearch.store.rows import interval_row

        rows = [{"trial_id": self.record.trial_id, **interval_row(each)} for each in self.records()]
        return pd.DataFrame(rows)

    def records(self) -> list[IntervalRecord]:
        """Return its intervals as :class:`adasearch.records.IntervalRecord`."""
        return self._results.store.find_trial(self.record.trial_id)[1]

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it."""
        from adasearch.api.html import picture, table, text

        found = self.record
        made = self.records()
        rows = [{"": name, found.trial_id: value} for name, value in {**self.fields, **self.train}.items()]
        drawn = picture(self._results.plot.batch_sizes(found.trial_id)) if made else ""
        study = self._results.store.study_of(found)
        ended = _ended(found, None if study is None else study.sequence_length)
        return text(ended) + drawn + table(rows)


class Study:
    """A study of a results folder: one network, one scheduler, one data set.

    Attributes:
        record: its identity, see :class:`adasearch.records.StudyRecord`; its fields are attributes here, too.
    """

    def __init__(self, record: StudyRecord, results: "Results") -> None:
        self.record = record
        self._results = results

    def __getattr__(self, name: str) -> Any:
        """Return a field of the record."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.record, name)

    def __repr__(self) -> str:
        """Tell which study it is."""
        return f"<Study {self.record.study}>"

    def trials(self) -> "pd.DataFrame":
        """Return its trials as a frame."""
        return self._results.trials(self.record.study)

    @property
    def best(self) -> StoredTrial:
        """The trial that stands for it, as in the table."""
        return self._results.best_of(self.record.study)

    def to_optuna(self) -> "optuna.Study":
        """Return it as Optuna's."""
        return self._results.to_optuna(self.record.study)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it."""
        from adasearch.api.html import picture, table, text

        rows = self._results.table(study=self.record.study)
        own = rows[rows["study"] == self.record.study]
        said = [each for each in self._results.verdicts() if each.startswith(f"{self.record.study}: ")]
        return (
            text(*(said or [f"{self.record.study}: no trial yet"]))
            + table(_rows(own), short=True)
            + picture(self._results.plot.pareto(self.record.study))
        )


class Results:
    """A results folder.

    Attributes:
        path: folder or URI.
        store: what reads it, for what is not offered here.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.store = Store(path, must_exist=True)

    def __repr__(self) -> str:
        """Tell which folder it is, and what it holds."""
        names = self.names()
        return f"<Results {self.path}: {len(names)} studies>"

    def names(self) -> list[str]:
        """Return the names of the studies."""
        return [each.study for each in self.store.studies()]

    @property
    def studies(self) -> "pd.DataFrame":
        """The studies as a frame, a row each; see the page of columns."""
        return self.store.frame("studies")

    def study(self, name: str) -> Study:
        """Return a study by name.

        Raises:
            InputError: there is none such.
        """
        record = self.store.study(name)
        if record is None:
            raise unknown("study", name, self.names())
        return Study(record, self)

    def trial(self, trial_id: str) -> StoredTrial:
        """Return a trial of a study, or of a single run, by its id.

        Raises:
            InputError: there is none such.
        """
        return StoredTrial(self.store.find_trial(trial_id)[0], self)

    @overload
    def trials(
        self, study: str | Sequence[str] | None = None, *, polars: Literal[False] = False
    ) -> "pd.DataFrame": ...
    @overload
    def trials(
        self, study: str | Sequence[str] | None = None, *, polars: Literal[True]
    ) -> "pl.DataFrame": ...
    def trials(
        self, study: str | Sequence[str] | None = None, *, polars: bool = False
    ) -> "pd.DataFrame | pl.DataFrame":
        """Return the trials as a frame of pandas, or of Polars; each parameter is a column, as "train/lr".

        Args:
            study: of these studies only.
            polars: return Polars' kind.

        Raises:
            InputError: an unknown study, or Polars is not installed.
        """
        return _as_asked(self.store.frame("trials", self._chosen(study)), polars)

    @overload
    def intervals(
        self, study: str | Sequence[str] | None = None, *, polars: Literal[False] = False
    ) -> "pd.DataFrame": ...
    @overload
    def intervals(
        self, study: str | Sequence[str] | None = None, *, polars: Literal[True]
    ) -> "pl.DataFrame": ...
    def intervals(
        self, study: str | Sequence[str] | None = None, *, polars: bool = False
    ) -> "pd.DataFrame | pl.DataFrame":
        """Return the intervals of all trials as a frame of pandas, or of Polars: signals, decision, seconds.

        Args:
            study: of these studies only.
            polars: return Polars' kind.

        Raises:
            InputError: an unknown study, or Polars is not installed.
        """
        return _as_asked(self.store.frame("intervals", self._chosen(study)), polars)

    def table(self, *, study: str | Sequence[str] | None = None) -> "pd.DataFrame":
        """Return the rows of the search table: of each study the trial that counts, beside its baseline.

        Its columns are those of :class:`~adasearch.analysis.search_table.SearchRow`, and the parameters.

        Raises:
            InputError: an unknown study.
        """
        return self._compared(study, lambda table: table == "search", SEARCHED)

    def confirmed(self, *, study: str | Sequence[str] | None = None) -> "pd.DataFrame":
        """Return the rows of what was confirmed: candidates and controls on fresh seeds, paired by seed.

        The columns that begin with a test's name are paired differences with their intervals; no row where
        nothing was confirmed.
        """
        return self._compared(study, lambda table: table != "search")

    def _compared(
        self,
        study: str | Sequence[str] | None,
        wanted: Callable[[str], bool],
        columns: Sequence[str] = (),
    ) -> "pd.DataFrame":
        """Return rows of ``compare`` with these columns, and further ones that hold anything."""
        import pandas as pd

        text = commands.compare(self.store, studies=self._chosen(study), form="json", force=True)
        rows = pd.DataFrame([row for row in json.loads(text)["rows"] if wanted(row["table"])])
        kept = [name for name in rows.columns if name in columns or rows[name].notna().any()]
        return rows[[name for name in kept if name != "table"]]

    def text(self, *, study: str | Sequence[str] | None = None) -> str:
        """Return the tables of ``adasearch compare`` as it prints them."""
        return commands.compare(self.store, studies=self._chosen(study), force=True)

    def verdicts(self) -> list[str]:
        """Return a sentence on each study that is not a baseline."""
        from adasearch.analysis.gather import gather
        from adasearch.analysis.search_table import describe

        rows = gather(self.store, force=True).rows
        return [f"{row.study}: {describe(row)}" for row in rows if row.scheduler != "constant"]

    def best(self, network: str, scheduler: str) -> StoredTrial:
        """Return the trial that stands for a network and a scheduler, as in the table.

        Its ``fields`` are ready for :func:`~adasearch.schedulers.make_scheduler` and the controller::

            best = found.best("resnet18", "deba")
            controller = adasearch.BatchSizeController(
                model, optimizer, data, best.scheduler, best.fields, batch_size=best.batch_size
            )

        Raises:
            InputError: there is no such study, or several, or it has no complete trial.
        """
        studies = [
            each
            for each in self.store.studies()
            if each.architecture == network and each.scheduler == scheduler
        ]
        if not studies:
            known = [f"{each.architecture} with {each.scheduler}" for each in self.store.studies()]
            raise unknown("study", f"{network} with {scheduler}", known)
        if len(studies) > 1:
            names = ", ".join(each.study for each in studies)
            raise InputError(
                f"{network} with {scheduler} is {len(studies)} studies; take best_of one: {names}"
            )
        return self.best_of(studies[0].study)

    def best_of(self, study: str) -> StoredTrial:
        """Return the trial that stands for a study, by its name; see :meth:`best`."""
        from adasearch.analysis.gather import select
        from adasearch.analysis.selection import pick_trials

        found = select(self.store, studies=[study], force=True)
        trial = pick_trials(found.studies, found.trials)[study].trial
        if trial is None:
            raise InputError(f"study {study} has no complete trial")
        return StoredTrial(trial, self)

    def replay(
        self, trial_id: str, scheduler: str, fields: Mapping[str, Value] | None = None
    ) -> "pd.DataFrame":
        """Return what a scheduler would have decided on a stored run beside what was done: no outcomes.

        Raises:
            InputError: an unknown trial, scheduler or field, or signals that the run did not measure.
        """
        import pandas as pd

        fixed = [f"scheduler/{name}={json.dumps(value)}" for name, value in (fields or {}).items()]
        text = commands.replay(self.store, trial_id, scheduler, fixed=fixed, form="json")
        return pd.DataFrame(json.loads(text)["rows"])

    def predict(
        self,
        *,
        network: str | Sequence[str] = (),
        scheduler: str | Sequence[str] = (),
        check: bool = False,
    ) -> "pd.DataFrame":
        """Return guesses from the profiles, see :func:`adasearch.predict`; with ``check`` beside outcomes."""
        import pandas as pd

        networks, schedulers = (
            [each] if isinstance(each, str) else list(each) for each in (network, scheduler)
        )
        text = commands.predict(
            self.store, architectures=networks, schedulers=schedulers, check=check, form="json"
        )
        return pd.DataFrame(json.loads(text)["rows"])

    def importance(self, *, study: str | Sequence[str] | None = None) -> "pd.DataFrame":
        """Return how much of the objective and the seconds each searched parameter explains (fANOVA).

        Raises:
            InputError: an unknown study.
        """
        import pandas as pd

        text = commands.compare(
            self.store, studies=self._chosen(study), importance=True, form="json", force=True
        )
        return pd.DataFrame(json.loads(text)["rows"])

    def settings(self) -> "pd.DataFrame":
        """Return the parameters of the trial that counts of each study, a column each."""
        import pandas as pd

        from adasearch.analysis.gather import gather
        from adasearch.analysis.search_table import settings_rows

        found = gather(self.store, force=True)
        return pd.DataFrame(settings_rows(found.rows, found.trials)).set_index(["architecture", "scheduler"])

    def profiles(self) -> "pd.DataFrame":
        """Return the profiles as a frame: a row per batch size timed, and per figure of a stability one."""
        import pandas as pd

        return pd.DataFrame(ProfileStore(self.path).rows(), columns=SCHEMAS["profiles"].names)

    def to_optuna(self, study: str) -> "optuna.Study":
        """Return a study as Optuna's, in memory, for ``optuna.visualization`` and ``optuna.importance``.

        Its values are the objective and the seconds, both minimised; each trial has its id as user attribute.

        Raises:
            InputError: an unknown study, or one whose trials are not of its spaces.
        """
        from adasearch.spaces.optuna_trials import distributions_of, frozen_trial, new_study, quiet_optuna

        record = self.study(study).record
        distributions = distributions_of(record)
        found = new_study(name=study)
        with quiet_optuna():
            found.set_metric_names([record.objective, "seconds"])
        for trial in self.store.trials(study):
            if trial.phase == "search":
                found.add_trial(
                    frozen_trial(trial, distributions, record.clock, {"trial_id": trial.trial_id})
                )
        return found

    @cached_property
    def plot(self) -> "Plots":
        """Figures of matplotlib, each by a method; see :class:`adasearch.api.plot.Plots`."""
        from adasearch.api.plot import Plots

        return Plots(self.store)

    def _chosen(self, study: str | Sequence[str] | None) -> list[str] | None:
        if study is None:
            return None
        names = [study] if isinstance(study, str) else list(study)
        known = self.names()
        for name in names:
            if name not in known:
                raise unknown("study", name, known)
        return names

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: the verdicts in words, the table, and the first picture."""
        from adasearch.api.html import picture, table, text

        if not self.names():
            return text(f"{self.path}: no studies yet")
        rows = self.table()
        return text(*self.verdicts()) + table(_rows(rows), short=True) + picture(self.plot.pareto())


def _ended(trial: TrialRecord, sequence_length: int | None) -> str:
    """Return how a trial ended in a line."""
    from adasearch.counts import told
    from adasearch.objective import named, shown

    parts = [f"{trial.trial_id}: {trial.status}"]
    if trial.error:
        parts.append(trial.error)
    if trial.val_error is not None:
        parts.append(f"{named(trial.objective)} {shown(trial.val_error, trial.objective)}")
    if trial.train_seconds is not None:
        parts.append(f"{trial.train_seconds:.1f} s of training")
    if trial.adaptations and trial.final_batch_size is not None:
        last = told(trial.final_batch_size, sequence_length)
        parts.append(f"{trial.adaptations} changes of the batch size, to {last}")
    return ", ".join(parts)


def _rows(frame: "pd.DataFrame") -> list[dict[str, object]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _as_asked(frame: "pd.DataFrame", polars: bool) -> "pd.DataFrame | pl.DataFrame":
    if not polars:
        return frame
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
