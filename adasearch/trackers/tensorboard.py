"""TensorBoard: an event file per run in ``<group>/<run>/``, by tensorboardX, which Ray Tune brings along."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from adasearch.records import Params, Status, Value
from adasearch.trackers.base import Point

__all__ = ["TensorBoard"]


class TensorBoard:
    """Event files; parameters and outcome are in the tab "HParams" once a run has ended, and as texts."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writers: dict[str, SummaryWriter] = {}
        self._params: dict[str, Params] = {}

    def begin(self, run: str, group: str, params: Params) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        if run in self._writers:
            self._writers.pop(run).close()
        place = self._folder / group / run
        shutil.rmtree(place, ignore_errors=True)
        # A TensorBoard that is looking forgets what the former file told from step 0 on.
        writer = SummaryWriter(str(place), purge_step=0)
        writer.add_text("trial/params", _table(params), 0)
        writer.flush()
        self._writers[run], self._params[run] = writer, params

    def add(self, run: str, point: Point) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        writer = self._writers[run]
        for name, value in point.scalars.items():
            if _drawn(value):
                writer.add_scalar(name, value, point.step)
        if point.reason:
            writer.add_text("decision/reason", point.reason, point.step)
        writer.flush()

    def end(self, run: str, status: Status, outcome: Params) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        writer = self._writers.pop(run)
        numbers = {f"outcome/{name}": value for name, value in outcome.items() if _drawn(value)}
        step = int(outcome.get("examples_seen", 0))
        writer.add_text("trial/outcome", _table(outcome), step)
        for summary in hparams({**self._params.pop(run), "status": status}, numbers):
            writer.file_writer.add_summary(summary)
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.close()

    def close(self) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


def _drawn(value: Value) -> bool:
    return not isinstance(value, str) and math.isfinite(value)


def _table(values: Mapping[str, object]) -> str:
    """Return values as a table in Markdown, which TensorBoard shows."""
    cells = [(name, str(value).replace("|", "\\|").replace("\n", " ")) for name, value in values.items()]
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in cells)])
