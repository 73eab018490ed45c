"""Where a study's next trial comes from: Optuna's proposals, or a list of runs that were decided before."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from adasearch.data.spec import DataSpec
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.runtime import RunOptions

__all__ = ["Plan", "TrialSource"]


class Plan(Protocol):
    """A study, how many trials it shall have in all, and what is stored of them so far."""

    @property
    def study(self) -> StudyRecord:
        """What its trials have in common."""
        ...

    @property
    def data(self) -> DataSpec:
        """Which data they train on."""
        ...

    @property
    def trials(self) -> int:
        """How many there shall be."""
        ...

    @property
    def stored(self) -> Sequence[TrialRecord]:
        """Those that are stored."""
        ...

    @property
    def intervals(self) -> Mapping[str, Sequence[IntervalRecord]]:
        """The intervals of those that go on."""
        ...

    @property
    def recall(self) -> Callable[[], Mapping[str, Mapping[str, Sequence[float | None]]]]:
        """Reads columns of the ended ones' intervals, from which the rungs are refilled."""
        ...

    @property
    def options(self) -> RunOptions:
        """How they run."""
        ...

    @property
    def curve(self) -> SpeedCurve | None:
        """What their modelled seconds come from."""
        ...


class TrialSource(Protocol):
    """Gives one study's trials, one after the other, and hears how each ended."""

    @property
    def plan(self) -> Plan:
        """What this was made from."""
        ...

    @property
    def left(self) -> int:
        """How many trials are still to begin."""
        ...

    def ask(self) -> TrialRecord:
        """Return the next trial, which begins now."""
        ...

    def tell(self, trial: TrialRecord) -> TrialRecord:
        """Hear how a trial ended; return it with the status that counts."""
        ...
