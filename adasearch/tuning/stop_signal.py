"""How workers hear within an interval that their task is over: it was stopped early, or the search ends."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["StopSignal"]

_T = TypeVar("_T")

LOOK_SECONDS = 1.0  # between two looks of several workers, which agree by a broadcast
MOST_STEPS = 1000


class StopSignal:
    """Answers before each step, on all workers alike, whether they shall leave the task.

    Args:
        wait_until_over: returns once the task is over, after some time at the latest, and says whether it is;
            None on workers that do not lead.
        from_lead: returns the lead's value on every worker.
        alone: there is only one worker, so that nothing has to be agreed.
    """

    def __init__(
        self,
        wait_until_over: Callable[[], bool] | None,
        from_lead: Callable[[tuple[bool, int] | None], tuple[bool, int]],
        *,
        alone: bool,
    ) -> None:
        self._over = threading.Event()
        self._from_lead = from_lead
        self._alone = alone
        self._every = self._left = 1
        self._looked = time.monotonic()
        self._lead = wait_until_over is not None
        if wait_until_over is not None:
            threading.Thread(target=self._watch, args=(wait_until_over,), daemon=True).start()

    def _watch(self, wait_until_over: Callable[[], bool]) -> None:
        while not wait_until_over():
            pass
        self._over.set()

    def __call__(self) -> bool:
        """Tell whether to leave now."""
        if self._alone:
            return self._over.is_set()
        self._left -= 1
        if self._left > 0:
            return False
        now = time.monotonic()
        pace = LOOK_SECONDS / max(now - self._looked, LOOK_SECONDS / MOST_STEPS)
        self._looked = now
        wish = max(1, min(int(self._every * pace), 2 * self._every, MOST_STEPS))
        over, self._every = self._from_lead((self._over.is_set(), wish) if self._lead else None)
        self._left = self._every
        return over
