"""MLflow: an experiment per study and a run per trial, in a SQLite file unless the user names a server."""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from adasearch.records import Params, Status
from adasearch.trackers.base import Point, defaults_in_environment, identity

__all__ = ["MLflow"]

_ID = "adasearch.run"  # the tag that tells a run from others of its name
_NAME = re.compile(r"[^\w\-. :/]", re.ASCII)  # what a metric's name may not hold
_MOST = 100  # parameters and metrics of one call are more to MLflow, tags are not
_LONGEST = 5000  # characters of a tag


class MLflow:
    """Runs in ``mlflow.db`` of a folder, artifacts beside it; or wherever ``MLFLOW_TRACKING_URI`` says."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        server = os.environ.get("MLFLOW_TRACKING_URI")
        self._artifacts = None if server else (self._folder / "artifacts").as_uri()
        with defaults_in_environment(MLFLOW_DISABLE_TELEMETRY="true"):
            from mlflow import MlflowClient
        with _quiet():
            self._client = MlflowClient(server or f"sqlite:///{self._folder / 'mlflow.db'}")
            self._client.search_experiments(max_results=1)  # makes the tables, which takes seconds
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        self._reasons: dict[str, list[str]] = {}

    def begin(self, run: str, group: str, params: Params) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        experiment = self._experiment(group)
        own = identity(str(self._folder), run)
        for former in self._client.search_runs([experiment], f"tags.`{_ID}` = '{own}'"):
            self._client.delete_run(former.info.run_id)
        begun = self._client.create_run(experiment, run_name=run, tags={_ID: own})
        self._runs[run], self._reasons[run] = begun.info.run_id, []
        from mlflow.entities import Param

        told = [Param(_name(name), str(value)) for name, value in params.items()]
        for first in range(0, len(told), _MOST):
            self._client.log_batch(self._runs[run], params=told[first : first + _MOST])

    def _experiment(self, group: str) -> str:
        if group not in self._experiments:
            found = self._client.get_experiment_by_name(group)
            self._experiments[group] = (
                self._client.create_experiment(group, artifact_location=self._artifacts)
                if found is None
                else found.experiment_id
            )
        return self._experiments[group]

    def add(self, run: str, point: Point) -> None:
        """See :class:`adasearch.trackers.base.Tracker`; reasons are an artifact: metrics are numbers."""
        self._metrics(run, point.scalars, point.step)
        if point.reason:
            self._reasons[run].append(f"{point.step}\t{point.reason}\n")
            if point.scalars.get("decision/change"):
                self._tell_reasons(run)

    def end(self, run: str, status: Status, outcome: Params) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        numbers = {f"outcome/{name}": value for name, value in outcome.items() if not isinstance(value, str)}
        self._metrics(run, numbers, int(outcome.get("examples_seen", 0)))
        for name, value in outcome.items():
            if isinstance(value, str):
                self._client.set_tag(self._runs[run], f"adasearch.{name}", value[:_LONGEST])
        self._terminate(run, "FAILED" if status == "failed" else "FINISHED")

    def close(self) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        for run in list(self._runs):
            self._terminate(run, "KILLED")

    def _metrics(self, run: str, scalars: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        self._client.log_batch(
            self._runs[run],
            metrics=[Metric(_name(name), float(value), now, step) for name, value in scalars.items()],
        )

    def _tell_reasons(self, run: str) -> None:
        self._client.log_text(self._runs[run], "".join(self._reasons[run]), "decisions.tsv")

    def _terminate(self, run: str, status: str) -> None:
        if self._reasons[run]:
            self._tell_reasons(run)
        self._client.set_terminated(self._runs.pop(run), status)
        del self._reasons[run]


def _name(name: str) -> str:
    return _NAME.sub("_", name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Let MLflow make its tables without telling each step."""
    logger = logging.getLogger("mlflow")
    former = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(former)
