"""Whether a training function still lives: who hears nothing of it for long takes it for stuck."""

import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Watchdog", "interruptible"]

LOOK = 0.1  # of the time allowed, between two looks


class Watchdog:
    """Calls a function once, from a thread of its own, if :meth:`hear` was not called for so long.

    Args:
        seconds: that may pass.
        silent: is called with where this thread, which makes the watchdog, is at that moment.
    """

    def __init__(self, seconds: float, silent: Callable[[str], None]) -> None:
        self._seconds, self._silent = seconds, silent
        self._watched = threading.get_ident()
        self._heard = time.monotonic()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def hear(self) -> None:
        """Note a sign of life."""
        self._heard = time.monotonic()

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(max(0.05, min(1.0, LOOK * self._seconds))):
            if time.monotonic() - self._heard > self._seconds:
                frame = sys._current_frames().get(self._watched)
                self._silent("".join(traceback.format_stack(frame)))
                return


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the main thread be interrupted where Ctrl-C is ignored, as in a shell script's background jobs."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if not ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
