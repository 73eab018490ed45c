"""Schedulers of a user's own that break on a real worker, each in its own way; named as ``faulty:Class``.

They break after the second interval or later: what breaks before is refused before a search begins.
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold

MARKER = "ADASEARCH_TEST_MARKER"


@dataclass(frozen=True)
class DiesOnce:
    """Kill the worker in the second interval of the first attempt; note where the second one begins."""

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        marker = Path(os.environ[MARKER])
        if len(history) == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if marker.exists() and not marker.read_text():
            marker.write_text(f"{len(history)} intervals")
        return hold(history[-1], "still here")


@dataclass(frozen=True)
class DiesAlways:
    """Kill the worker in the second interval of every attempt."""

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        if len(history) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return hold(history[-1], "still here")


@dataclass(frozen=True)
class LeavesLimits:
    """Return a size outside the limits after the second interval."""

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        if len(history) < 2:
            return hold(history[-1], "not yet")
        return Decision(batch_size=limits.largest + 1, lr_scale=1.0, action="grow", reason="too much")


@dataclass(frozen=True)
class Explodes:
    """Scale the learning rate until the loss is NaN."""

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        return hold(history[-1], "boom", lr_scale=1e30)


@dataclass(frozen=True)
class RaisesOnRankOne:
    """Raise on the second of two workers only, while the first waits in a collective."""

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        from torch import distributed

        if len(history) == 2 and distributed.get_rank() == 1:
            raise RuntimeError("rank one gives up")
        return hold(history[-1], "still here")


@dataclass(frozen=True)
class Doubles:
    """Double the batch in the second interval: a user's own scheduler that works."""

    needs: ClassVar[frozenset[str]] = frozenset({"grad_norm"})
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        last = history[-1]
        assert last.grad_norm is not None
        if len(history) != 2 or last.batch_size * 2 > limits.largest:
            return hold(last, "not now")
        return Decision(batch_size=last.batch_size * 2, lr_scale=1.0, action="grow", reason="second interval")
