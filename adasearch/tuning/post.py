"""What a worker tells of its intervals, with few messages."""

import math
import time
from collections.abc import Callable, Sequence

from adasearch.records import IntervalRecord

__all__ = ["Post"]

GATHER_SECONDS = 0.25
"""Records that come sooner after the last message wait: each costs milliseconds of the cores that train."""


class Post:
    """Hands records on, those of quick intervals several at a time.

    At once goes one with an evaluation or a checkpoint, the last, and one that comes ``GATHER_SECONDS`` after
    the message before; all that wait go along with it. One that waits does so until another comes, so a
    process that is killed loses it: its interval is trained again.

    Args:
        put: takes records, in their order; tells whether to go on.
        clock: in seconds.
    """

    def __init__(
        self, put: Callable[[Sequence[IntervalRecord]], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._put, self._clock = put, clock
        self._waiting: list[IntervalRecord] = []
        self._sent = -math.inf

    def __call__(self, record: IntervalRecord) -> bool:
        """Take a record; return whether to go on, as far as that is known."""
        self._waiting.append(record)
        told = record.val_error is not None or record.checkpoint_seconds is not None or not record.decided
        if told or self._clock() - self._sent >= GATHER_SECONDS:
            return self.send()
        return True

    def send(self) -> bool:
        """Hand on what waits; return whether to go on."""
        if not self._waiting:
            return True
        self._sent = self._clock()
        records, self._waiting = self._waiting, []
        return self._put(records)
