"""A trial and a study of a results folder, as objects."""

from typing import TYPE_CHECKING, Any

from adasearch.api.frames import best_of, compared, optuna_study, rows_of, verdicts
from adasearch.errors import InputError
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord, Value
from adasearch.store.store import Store

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from adasearch.limits import Limits

__all__ = ["StoredTrial", "Study"]


class _Stored:
    record: Any

    def __getattr__(self, name: str) -> Any:
        """Return a field of the record."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.record, name)


class StoredTrial(_Stored):
    """A trial of a results folder.

    Attributes:
        record: its row, see :class:`adasearch.records.TrialRecord`; its fields are attributes here, too.
        fields: of its scheduler, as ``make_scheduler`` and the controller take them.
        train: of its training, such as ``lr`` and ``batch_size``.
    """

    record: TrialRecord

    def __init__(self, record: TrialRecord, store: Store) -> None:
        self.record = record
        self.fields: dict[str, Value] = record.fields_of("scheduler")
        self.train: dict[str, Value] = record.fields_of("train")
        self._store = store

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
        study = self._store.study_of(self.record)
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
        return self._store.find_trial(self.record.trial_id)[1]

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it."""
        from adasearch.api.html import picture, table, text
        from adasearch.api.plot import Plots

        found = self.record
        made = self.records()
        rows = [{"": name, found.trial_id: value} for name, value in {**self.fields, **self.train}.items()]
        drawn = picture(Plots(self._store).batch_sizes(found.trial_id)) if made else ""
        study = self._store.study_of(found)
        ended = _ended(found, None if study is None else study.sequence_length)
        return text(ended) + drawn + table(rows)


class Study(_Stored):
    """A study of a results folder: one network, one scheduler, one data set.

    Attributes:
        record: its identity, see :class:`adasearch.records.StudyRecord`; its fields are attributes here, too.
    """

    record: StudyRecord

    def __init__(self, record: StudyRecord, store: Store) -> None:
        self.record = record
        self._store = store

    def __repr__(self) -> str:
        """Tell which study it is."""
        return f"<Study {self.record.study}>"

    def trials(self) -> "pd.DataFrame":
        """Return its trials as a frame."""
        return self._store.frame("trials", [self.record.study])

    @property
    def best(self) -> StoredTrial:
        """The trial that stands for it, as in the table."""
        return StoredTrial(best_of(self._store, self.record.study), self._store)

    def to_optuna(self) -> "optuna.Study":
        """Return it as Optuna's."""
        return optuna_study(self._store, self.record)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it."""
        from adasearch.api.html import picture, table, text
        from adasearch.api.plot import Plots

        rows = compared(self._store, self.record.study, confirmed=False)
        own = rows[rows["study"] == self.record.study]
        said = [each for each in verdicts(self._store) if each.startswith(f"{self.record.study}: ")]
        return (
            text(*(said or [f"{self.record.study}: no trial yet"]))
            + table(rows_of(own), short=True)
            + picture(Plots(self._store).pareto(self.record.study))
        )


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
