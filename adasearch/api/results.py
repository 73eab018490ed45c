"""What a results folder holds, as frames, figures and objects."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal, overload

from adasearch import commands
from adasearch.api.frames import (
    Names,
    best_of,
    chosen,
    compared,
    in_polars,
    optuna_study,
    rows_of,
    table_of,
    tuned,
    verdicts,
)
from adasearch.api.stored import StoredTrial, Study
from adasearch.errors import InputError, unknown
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import Value
from adasearch.store.schemas import SCHEMAS
from adasearch.store.store import Store

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    import polars as pl

    from adasearch.api.plot import Plots

__all__ = ["Results", "load"]


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
        return Study(record, self.store)

    def trial(self, trial_id: str) -> StoredTrial:
        """Return a trial of a study, or of a single run, by its id.

        Raises:
            InputError: there is none such.
        """
        return StoredTrial(self.store.find_trial(trial_id)[0], self.store)

    @overload
    def trials(self, study: Names = None, *, polars: Literal[False] = False) -> "pd.DataFrame": ...
    @overload
    def trials(self, study: Names = None, *, polars: Literal[True]) -> "pl.DataFrame": ...
    def trials(self, study: Names = None, *, polars: bool = False) -> "pd.DataFrame | pl.DataFrame":
        """Return the trials as a frame of pandas, or of Polars; each parameter is a column, as "train/lr".

        Args:
            study: of these studies only.
            polars: return Polars' kind.

        Raises:
            InputError: an unknown study, or Polars is not installed.
        """
        return self._frame("trials", study, polars)

    @overload
    def intervals(self, study: Names = None, *, polars: Literal[False] = False) -> "pd.DataFrame": ...
    @overload
    def intervals(self, study: Names = None, *, polars: Literal[True]) -> "pl.DataFrame": ...
    def intervals(self, study: Names = None, *, polars: bool = False) -> "pd.DataFrame | pl.DataFrame":
        """Return the intervals of all trials as a frame of pandas, or of Polars: signals, decision, seconds.

        Args:
            study: of these studies only.
            polars: return Polars' kind.

        Raises:
            InputError: an unknown study, or Polars is not installed.
        """
        return self._frame("intervals", study, polars)

    def table(self, *, study: Names = None) -> "pd.DataFrame":
        """Return the rows of the search table: of each study the trial that counts, beside its baseline.

        Its columns are those of :class:`~adasearch.analysis.search_table.SearchRow`, and the parameters.

        Raises:
            InputError: an unknown study.
        """
        return compared(self.store, study, confirmed=False)

    def confirmed(self, *, study: Names = None) -> "pd.DataFrame":
        """Return the rows of what was confirmed: candidates and controls on fresh seeds, paired by seed.

        The columns that begin with a test's name are paired differences with their intervals; no row where
        nothing was confirmed.
        """
        return compared(self.store, study, confirmed=True)

    def tuned(self, by: str | Sequence[str], *, study: Names = None) -> "pd.DataFrame":
        """Return the complete trial of least validation error for each combination of columns, a row each.

        So ``found.tuned(["architecture", "scheduler", "train/batch_size"])`` has each initial size at the
        learning rate, and whatever else was searched, that did best. Where a study tried the same parameters
        again, as a grid that is over does with another seed, its first trial of them counts alone: else they
        would have more chances than the rest.

        Args:
            by: one column of :meth:`trials`, or several; with none there is one row.
            study: of these studies only.

        Raises:
            InputError: an unknown study or column.
        """
        return tuned(self.store, by, study)

    def text(self, *, study: Names = None) -> str:
        """Return the tables of ``adasearch compare`` as it prints them."""
        return commands.compare(self.store, studies=chosen(self.store, study), force=True)

    def verdicts(self) -> list[str]:
        """Return a sentence on each study that is not a baseline."""
        return verdicts(self.store)

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
        return StoredTrial(best_of(self.store, study), self.store)

    def replay(
        self, trial_id: str, scheduler: str, fields: Mapping[str, Value] | None = None
    ) -> "pd.DataFrame":
        """Return what a scheduler would have decided on a stored run beside what was done: no outcomes.

        Raises:
            InputError: an unknown trial, scheduler or field, or signals that the run did not measure.
        """
        fixed = [f"scheduler/{name}={json.dumps(value)}" for name, value in (fields or {}).items()]
        text = commands.replay(self.store, trial_id, scheduler, fixed=fixed, form="json")
        return table_of(text)

    def predict(
        self,
        *,
        network: str | Sequence[str] = (),
        scheduler: str | Sequence[str] = (),
        check: bool = False,
    ) -> "pd.DataFrame":
        """Return guesses from the profiles, see :func:`adasearch.predict`; with ``check`` beside outcomes."""
        networks, schedulers = (
            [each] if isinstance(each, str) else list(each) for each in (network, scheduler)
        )
        text = commands.predict(
            self.store, architectures=networks, schedulers=schedulers, check=check, form="json"
        )
        return table_of(text)

    def importance(self, *, study: Names = None) -> "pd.DataFrame":
        """Return how much of the objective and the seconds each searched parameter explains (fANOVA).

        Raises:
            InputError: an unknown study.
        """
        text = commands.compare(
            self.store, studies=chosen(self.store, study), importance=True, form="json", force=True
        )
        return table_of(text)

    def settings(self) -> "pd.DataFrame":
        """Return the parameters of the trial that counts of each study, a column each."""
        import pandas as pd

        from adasearch.analysis.gather import Scope, gather
        from adasearch.analysis.search_table import settings_rows

        found = gather(self.store, Scope(force=True))
        return pd.DataFrame(settings_rows(found.rows, found.trials)).set_index(["architecture", "scheduler"])

    def profiles(self) -> "pd.DataFrame":
        """Return the profiles as a frame.

        A row is a batch size that was timed, a figure of a stability profile, or a mark and size of a
        critical batch.
        """
        import pandas as pd

        return pd.DataFrame(ProfileStore(self.path).rows(), columns=SCHEMAS["profiles"].names)

    def to_optuna(self, study: str) -> "optuna.Study":
        """Return a study as Optuna's, in memory, for ``optuna.visualization`` and ``optuna.importance``.

        Its values are the objective and the seconds, both minimised; each trial has its id as user attribute.

        Raises:
            InputError: an unknown study, or one whose trials are not of its spaces.
        """
        return optuna_study(self.store, self.study(study).record)

    @cached_property
    def plot(self) -> "Plots":
        """Figures of matplotlib, each by a method; see :class:`adasearch.api.plot.Plots`."""
        from adasearch.api.plot import Plots

        return Plots(self.store)

    def _frame(
        self, table: Literal["trials", "intervals"], study: Names, polars: bool
    ) -> "pd.DataFrame | pl.DataFrame":
        found = self.store.frame(table, chosen(self.store, study))
        return in_polars(found) if polars else found

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: the verdicts in words, the table, and the first picture."""
        from adasearch.api.html import picture, table, text

        if not self.names():
            return text(f"{self.path}: no studies yet")
        rows = self.table()
        return text(*self.verdicts()) + table(rows_of(rows), short=True) + picture(self.plot.pareto())
