"""Where the GPU's checks run and until when, and the rows that they yield."""

import gc
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from adasearch.records import Limits, Precision
from adasearch.runs.speed import FixedBatch
from adasearch.tasks.base import Data
from adasearch.tasks.language import Language
from adasearch.training.config import Hyperparameters, TrainConfig
from common import Row, random_images

__all__ = [
    "GPT",
    "NOTHING",
    "RESNET",
    "SMALL_GPT",
    "SMALL_RESNET",
    "Net",
    "Place",
    "attempted",
    "checked",
    "measured",
    "only",
    "skipped",
]

MARGIN = 2.0  # seconds before a section's end in which nothing new begins
IMAGES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A device, the section's end on the monotonic clock, and a folder for what is kept beside the rows."""

    device: torch.device
    quick: bool
    ends: float
    folder: Path
    precision: Precision = "float32"
    """Of the profiles of images."""

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def left(self) -> float:
        """Return the seconds until the section is to end."""
        return self.ends - time.monotonic() - MARGIN

    def synchronise(self) -> None:
        """Wait until the device has done all that was asked of it."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def clock(self) -> float:
        """Return the seconds of a clock that is read when the device has done all."""
        self.synchronise()
        return time.perf_counter()

    def seconds(self, work: Callable[[], object]) -> float:
        """Return how long a work takes until the device has done it."""
        start = self.clock()
        work()
        return self.clock() - start

    def free(self) -> None:
        """Give memory back that nothing holds any more."""
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """A network on examples of a size: pixels of images, or tokens of sequences of such a vocabulary."""

    architecture: str
    scale: str
    size: int
    vocabulary: int | None = None

    @property
    def columns(self) -> Row:
        """The columns that name it."""
        return {"architecture": self.architecture, "scale": self.scale, "example_size": self.size}

    def data(self) -> Data:
        """Return random images or tokens, for which a step takes as long as for real ones."""
        if self.vocabulary is None:
            return random_images(IMAGES, self.size)
        return Language(vocabulary=self.vocabulary, sequence_length=self.size).made_up(IMAGES, 64)

    def config(
        self, batch_size: int, steps: int, intervals: int, *, precision: Precision = "float32", **more: object
    ) -> TrainConfig:
        """Return a run of so many intervals, whose weights hardly move, evaluated at its end."""
        whole = batch_size * steps * intervals
        settled = Hyperparameters(
            batch_size=batch_size, lr=1e-4, lr_schedule="constant", optimizer="sgd", weight_decay=0.0
        )
        return TrainConfig(
            architecture=self.architecture,
            scale=self.scale,
            seed=0,
            **{
                "hyperparameters": settled,
                "budget": whole,
                "interval": batch_size * steps,
                "evaluate_every": whole,
                "precision": precision,
                **more,
            },  # type: ignore[arg-type]
        )


RESNET = Net(architecture="resnet18", scale="full", size=32)
SMALL_RESNET = Net(architecture="resnet18", scale="nano", size=16)
GPT = Net(architecture="gpt", scale="full", size=128, vocabulary=50257)
SMALL_GPT = Net(architecture="gpt", scale="nano", size=16, vocabulary=256)
NOTHING = FixedBatch()


def only(batch_size: int) -> Limits:
    """Return limits that admit one size."""
    return Limits(smallest=batch_size, largest=batch_size)


def measured(
    what: str, figure: str, value: float, low: float | None = None, high: float | None = None
) -> Row:
    """Return a row of a figure that is right or wrong for nobody."""
    ok = math.isfinite(value)
    return {
        "what": what,
        "figure": figure,
        "value": value,
        "low": low,
        "high": high,
        "status": "ok" if ok else "failed",
        "reason": None if ok else "it is not finite",
    }


def checked(what: str, figure: str, value: float, *, ok: bool, reason: str) -> Row:
    """Return a row of a figure that must be within bounds, which the reason tells."""
    return {**measured(what, figure, value), "status": "ok" if ok else "failed", "reason": reason}


def skipped(what: str, reason: str, status: str = "skipped") -> Row:
    """Return a row of what was not measured, and why."""
    return {"what": what, "status": status, "reason": reason}


def attempted(what: str, rows: Iterable[Row], columns: Mapping[str, object]) -> Iterator[Row]:
    """Yield rows with further columns; an error is the last of them, and the section goes on."""
    try:
        for row in rows:
            yield {**row, **columns}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        yield {"what": what, "status": "failed", "reason": reason, **columns}
