"""Trackers for a loop of one's own."""

import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from adasearch.errors import InputError
from adasearch.io.text import is_name
from adasearch.records import Decision, Signals, Value
from adasearch.trackers.log import Log, check_trackers
from adasearch.trackers.points import point_of_signals

__all__ = ["RunLog"]


class RunLog:
    """What ``BatchSizeController(log=...)`` calls, to show its intervals in trackers.

    Args:
        trackers: "tensorboard", "mlflow" or "wandb".
        folder: of the trackers' files, one folder each.
        run: the run's name, by default the time at which it begins. Of a resumed run it must be the same:
            it takes the place of the former one, with the intervals of the checkpoint, so that none is there
            twice. (Reasons of decisions before the checkpoint are in no checkpoint, and are lost with it.)
        params: what the run was told, to be shown beside it.

    Raises:
        InputError: no such tracker, its library is missing, or ``run`` cannot name a folder.

    Example::

        with RunLog("tensorboard", run="resnet18-deba") as log:
            controller = BatchSizeController(model, optimizer, data, "deba", batch_size=32, log=log)
    """

    def __init__(
        self,
        *trackers: str,
        folder: str = "logs",
        run: str | None = None,
        params: Mapping[str, Value] | None = None,
    ) -> None:
        check_trackers(trackers)
        run = f"{datetime.now():%Y-%m-%d_%H-%M-%S}" if run is None else run
        if not is_name(run):
            raise InputError(f"run must be a name that a folder may have but is {run!r}")
        self._names, self._folder = trackers, str(Path(folder).absolute())
        self._run, self._params = run, params or {}
        self._log: Log | None = None
        self._told = 0

    def __call__(self, history: Sequence[Signals], decision: Decision) -> None:
        """Take in an interval, the last of a history, and what was decided after it."""
        if self._log is None:  # of several processes only the first is ever called
            self._log = Log(self._names, self._folder, _warn)
            self._told = -1
        if len(history) != self._told + 1:
            former = [point_of_signals(each, None) for each in history[:-1]]
            self._log.begin(self._run, "adasearch", self._params, former)
        self._log.add(self._run, point_of_signals(history[-1], decision))
        self._told = len(history)

    def close(self) -> None:
        """End the run."""
        if self._log is not None:
            self._log.end(self._run, "complete", {"status": "complete"})
            self._log.close()
            self._log = None

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *raised: object) -> None:
        if self._log is not None and raised[0] is not None:
            self._log.close()
        else:
            self.close()


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)
