"""Weights & Biases: a run per trial, in files for ``wandb sync`` unless ``WANDB_MODE`` says "online"."""

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adasearch.records import Params, Status
from adasearch.trackers.base import Point, defaults_in_environment, identity

if TYPE_CHECKING:
    from wandb import Run

__all__ = ["WandB"]

WRITING_SECONDS = 5.0  # for which a run that has finished may still be written


class WandB:
    """Runs in ``offline-run-...`` of a folder, which must be called "wandb": the library adds that itself."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        with defaults_in_environment(WANDB_ERROR_REPORTING="false"):
            import wandb
        self._wandb: Any = wandb
        self._runs: dict[str, Run] = {}

    def begin(self, run: str, group: str, params: Params) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        if run in self._runs:
            self._runs.pop(run).finish()
        own = identity(str(self._folder), run)
        self._remove(own)
        settings = self._wandb.Settings(
            silent=True,
            console="off",
            disable_code=True,
            disable_git=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        with defaults_in_environment(WANDB_ERROR_REPORTING="false"):
            self._runs[run] = self._wandb.init(
                id=own,
                name=run,
                group=group,
                project=os.environ.get("WANDB_PROJECT", "adasearch"),
                dir=str(self._folder.parent),
                mode=os.environ.get("WANDB_MODE", "offline"),
                reinit="create_new",  # several trials at a time
                config=dict(params),
                settings=settings,
            )

    def _remove(self, own: str) -> None:
        """Remove the files of a former run; W&B writes the last of them a moment after it has finished."""
        until = time.monotonic() + WRITING_SECONDS
        while (found := list(self._folder.glob(f"*run-*-{own}"))) and time.monotonic() < until:
            for former in found:
                shutil.rmtree(former, ignore_errors=True)

    def add(self, run: str, point: Point) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        told: dict[str, float | str] = dict(point.scalars)
        if point.reason:
            told["decision/reason"] = point.reason
        self._runs[run].log(told, step=point.step)

    def end(self, run: str, status: Status, outcome: Params) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        ended = self._runs.pop(run)
        ended.summary.update({f"outcome/{name}": value for name, value in outcome.items()})
        ended.finish(exit_code=int(status == "failed"))

    def close(self) -> None:
        """See :class:`adasearch.trackers.base.Tracker`."""
        while self._runs:
            self._runs.popitem()[1].finish(exit_code=1)
