"""What a tracker is, and what it is told."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from adasearch.records import Params, Status

__all__ = ["Point", "Tracker", "defaults_in_environment", "identity"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What is told of one interval.

    Args:
        step: training examples seen so far: runs of any batch size share that axis.
        scalars: by names such as "train/loss", "schedule/batch_size" or "signals/grad_norm".
        reason: of the decision, in words; empty where none is known.
    """

    step: int
    scalars: Mapping[str, float]
    reason: str


class Tracker(Protocol):
    """Shows runs, several at a time; made with the folder that its files go to."""

    def begin(self, run: str, group: str, params: Params) -> None:
        """Begin a run; it takes the place of one of the same name, so that no point is there twice."""

    def add(self, run: str, point: Point) -> None:
        """Add an interval to a run; steps grow."""

    def end(self, run: str, status: Status, outcome: Params) -> None:
        """End a run."""

    def close(self) -> None:
        """Leave what has not ended as interrupted, and write what is not written yet."""


def identity(folder: str, run: str) -> str:
    """Return what tells a run from those of the same name of other folders, on a server that holds both.

    >>> identity("/results/logs", "a-search-0")
    'f3a85cd90f4cd30e'
    """
    return hashlib.blake2b(f"{folder}/{run}".encode(errors="replace"), digest_size=8).hexdigest()


@contextmanager
def defaults_in_environment(**values: str) -> Iterator[None]:
    """Let a library read these where the user set nothing; the environment is as it was afterwards."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
