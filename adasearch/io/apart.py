"""Work in a process of its own, so that what it imports is gone with it."""

import multiprocessing
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TypeVar

from adasearch.errors import AdasearchError

__all__ = ["apart"]

T = TypeVar("T")


def apart(work: Callable[[], T], module: str) -> T:
    """Return what some work returns, done in a copy of this process, which imports ``module`` in its stead.

    It is done here where that is imported already, or where a copy is not safe: with other threads, and
    elsewhere than on Linux. What it returns or raises is pickled.

    Raises:
        AdasearchError: the process died.
    """
    if sys.platform != "linux" or module in sys.modules or threading.active_count() > 1:
        return work()
    fork = multiprocessing.get_context("fork")
    receiving, sending = fork.Pipe(duplex=False)
    process = fork.Process(target=_send, args=(work, sending))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that NumPy and Arrow copy safely
        process.start()
    sending.close()
    found: T
    try:
        found, error, told = receiving.recv()
    except EOFError:
        process.join()
        raise AdasearchError(f"preparing this ended with exit code {process.exitcode}") from None
    except BaseException:  # such as Ctrl-C
        process.terminate()
        raise
    finally:
        process.join()
    if error is not None:
        raise error from RuntimeError(told)
    return found


def _send(work: Callable[[], object], sending: Connection) -> None:
    found: tuple[object, BaseException | None, str]
    try:
        found = work(), None, ""
    except BaseException as error:  # noqa: BLE001 - whoever asked handles it
        found = None, error, traceback.format_exc()
    with suppress(BrokenPipeError):  # it was interrupted, too
        sending.send(found)
