"""Tells trackers of runs; one that fails ends no run: it is told once, and left out from there on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, get_args

from adasearch.callbacks import Say
from adasearch.choices import TrackerName
from adasearch.errors import AdasearchError, InputError, one_line, unknown
from adasearch.io.filesystem import is_local, locate
from adasearch.records import IntervalRecord, Params, Status, TrialRecord
from adasearch.store.trials import LOGS, folder_of
from adasearch.trackers.base import Point, Tracker
from adasearch.trackers.points import outcome_of, params_of, point_of

if TYPE_CHECKING:
    from adasearch.store.store import Store

__all__ = ["Log", "TrialLog", "check_log", "check_trackers", "trial_log"]

LIBRARIES: Mapping[str, tuple[str, str]] = {
    "tensorboard": ("tensorboardX", "TensorBoard"),
    "mlflow": ("mlflow", "MLflow"),
    "wandb": ("wandb", "WandB"),
}
"""The library behind each tracker, and its class in the module of the tracker's name."""


def check_trackers(names: Sequence[str]) -> None:
    """Check that trackers exist and their libraries are there, which are not loaded.

    Raises:
        InputError: the first that does not, or whose library is missing.
    """
    for name in names:
        if name not in get_args(TrackerName):
            raise unknown("tracker", name, get_args(TrackerName))
        library = LIBRARIES[name][0]
        if find_spec(library) is None:
            raise InputError(
                f"--log {name} needs {library}, which is not installed: pip install 'adasearch[{name}]'"
            )


def check_log(names: Sequence[str], results: str) -> None:
    """Check, without writing, that trackers can write into a results folder.

    Raises:
        InputError: they cannot.
    """
    check_trackers(names)
    if names and not is_local(locate(results)[0]):
        raise InputError(f"--log writes into the results folder, which must be a local one but is {results}")


class Log:
    """Trackers that write into a folder; ``say`` is told of each that fails.

    Raises:
        InputError: see :func:`check_trackers`.
    """

    def __init__(self, names: Sequence[str], folder: str, say: Say) -> None:
        check_trackers(names)
        self._say = say
        self._trackers: dict[str, Tracker] = {}
        for name in dict.fromkeys(names):
            with self._guarded(name):
                module = import_module(f"adasearch.trackers.{name}")
                self._trackers[name] = getattr(module, LIBRARIES[name][1])(f"{folder}/{name}")

    @property
    def active(self) -> bool:
        """Whether any tracker is left."""
        return bool(self._trackers)

    def begin(self, run: str, group: str, params: Params, points: Sequence[Point] = ()) -> None:
        """Begin a run, in place of a former one of its name, with the points that are known of it."""
        self._each(lambda tracker: tracker.begin(run, group, params))
        for point in points:
            self.add(run, point)

    def add(self, run: str, point: Point) -> None:
        """Add an interval to a run."""
        self._each(lambda tracker: tracker.add(run, point))

    def end(self, run: str, status: Status, outcome: Params) -> None:
        """End a run."""
        self._each(lambda tracker: tracker.end(run, status, outcome))

    def close(self) -> None:
        """Close every tracker."""
        self._each(lambda tracker: tracker.close())

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            with self._guarded(name):
                do(tracker)

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - somebody else's library, on a full disk or without a network
            self._say(f"{name} is not told of the runs any more, which go on: {one_line(error)}")
            if (failed := self._trackers.pop(name, None)) is not None:
                with suppress(Exception):
                    failed.close()


class TrialLog:
    """Hears of trials, as a :class:`~adasearch.tuning.search_state.SearchListener` does.

    A trial that goes on begins anew with what is stored of it; so does one whose workers went back to a
    checkpoint: each interval is there once.
    """

    def __init__(self, log: Log, store: "Store") -> None:
        self._log, self._store = log, store
        self._told: dict[str, list[Point]] = {}

    def started(self, trial: TrialRecord) -> None:
        """Begin a trial's run."""
        self._begin(trial, [])

    def progressed(self, trial: TrialRecord, record: IntervalRecord) -> None:
        """Add an interval."""
        if not self._log.active:
            return
        told, number = self._told[trial.trial_id], record.signals.interval
        if number > len(told):
            self._begin(trial, [point_of(each, trial.objective) for each in self._stored(trial)[:number]])
        elif number < len(told):
            self._begin(trial, told[:number])
        point = point_of(record, trial.objective)
        self._told[trial.trial_id].append(point)
        self._log.add(trial.trial_id, point)

    def interrupted(self) -> None:
        """Hear nothing: a person is told."""

    def restarted(self, trial: TrialRecord) -> None:
        """Hear nothing: what its intervals are tells all."""

    def noted(self, trial: TrialRecord, text: str) -> None:
        """Hear nothing: a person is told."""

    def ended(self, trial: TrialRecord) -> None:
        """End a trial's run."""
        self._told.pop(trial.trial_id, None)
        self._log.end(trial.trial_id, trial.status, outcome_of(trial))

    def _begin(self, trial: TrialRecord, points: list[Point]) -> None:
        self._told[trial.trial_id] = points
        self._log.begin(trial.trial_id, trial.study, params_of(trial), points)

    def _stored(self, trial: TrialRecord) -> Sequence[IntervalRecord]:
        with suppress(AdasearchError):  # a folder that cannot be read ends the search elsewhere
            return self._store.intervals(folder_of(trial), [trial.trial_id]).get(trial.trial_id, [])
        return []


@contextmanager
def trial_log(names: Sequence[str], store: "Store", say: Say) -> Iterator[TrialLog]:
    """Yield what hears of trials and tells trackers, in ``<results>/logs/<tracker>/``; close them at the end.

    Raises:
        InputError: see :func:`check_log`.
    """
    check_log(names, store.name)
    folder = f"{locate(store.name)[1]}/{LOGS}" if names else ""
    log = Log(names, folder, say)
    try:
        yield TrialLog(log, store)
    finally:
        log.close()
