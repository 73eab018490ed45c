"""Clocks: seconds on a CPU, events on a GPU, read once per interval."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

__all__ = ["Stopwatch"]


class Stopwatch:
    """Adds up the seconds spent in named sections since the last reading.

    On a GPU a section is a pair of events on the current stream; nothing waits for the device until
    :meth:`read`, which synchronises it once. Elsewhere it is two readings of :attr:`clock`, by default the
    monotonic one.

    Attributes:
        clock: returns seconds, such as ``time.process_time``; not read on a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.clock: Callable[[], float] = time.perf_counter
        self._cuda = device.type == "cuda"
        self._device = device
        self._seconds: dict[str, float] = defaultdict(float)
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    def section(self, name: str) -> AbstractContextManager[None]:
        """Charge the body to ``name``; sections may nest, each is charged in full."""
        return self._between_events(name) if self._cuda else _Section(self, name)

    def add(self, name: str, seconds: float) -> None:
        """Charge seconds to ``name``."""
        self._seconds[name] += seconds

    @contextmanager
    def _between_events(self, name: str) -> Iterator[None]:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        try:
            yield
        finally:
            end.record()
            self._events.append((name, begin, end))

    def read(self) -> dict[str, float]:
        """Return the seconds per section since the last reading, and start afresh."""
        if self._events:
            torch.cuda.synchronize(self._device)
            for name, begin, end in self._events:
                self._seconds[name] += begin.elapsed_time(end) / 1000
            self._events.clear()
        seconds, self._seconds = dict(self._seconds), defaultdict(float)
        return seconds


class _Section:
    """Charges its body to a stopwatch; a generator would take four times as long, at each step."""

    __slots__ = ("_name", "_start", "_watch")

    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._start = self._watch.clock()

    def __exit__(self, *_: object) -> None:
        self._watch.add(self._name, self._watch.clock() - self._start)
