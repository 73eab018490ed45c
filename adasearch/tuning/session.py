"""Leaves the session in which a search runs, a notebook for one, as it was, however the search ends."""

import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

__all__ = ["environment", "faulthandler_kept", "interrupt_deferred", "signals_kept", "silenced"]


@contextmanager
def environment(given: Mapping[str, str], *, kept: Iterable[str] = ()) -> Iterator[None]:
    """Set environment variables; set them, and those of ``kept``, back in the end.

    What libraries set for good when they are imported stays, for they stay as well.
    """
    former = {name: os.environ.get(name) for name in (*given, *kept)}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def silenced(names: Iterable[str]) -> Iterator[None]:
    """Let loggers tell nothing, and set their levels back in the end."""
    former = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in former:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in former.items():
            logger.setLevel(level)


@contextmanager
def signals_kept(*numbers: signal.Signals) -> Iterator[None]:
    """Set back in the end what signals do; nothing outside the main thread, where nobody can change it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            if handler is not None:  # one that is not of Python cannot be set
                signal.signal(number, handler)


@contextmanager
def interrupt_deferred() -> Iterator[None]:
    """Raise KeyboardInterrupt for Ctrl-C at the end, for a second one at once.

    Where processes are started Python drops what is raised within a hook of a fork, and goes on. Another
    handler than Python's own is left alone.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = []

    def press(number: int, _: FrameType | None) -> None:
        pressed.append(number)
        if len(pressed) > 1:
            raise KeyboardInterrupt

    with signals_kept(signal.SIGINT):
        signal.signal(signal.SIGINT, press)
        yield
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def faulthandler_kept() -> Iterator[None]:
    """Disable Python's fault handler again where it was not enabled before."""
    enabled = faulthandler.is_enabled()
    try:
        yield
    finally:
        if not enabled:
            faulthandler.disable()
