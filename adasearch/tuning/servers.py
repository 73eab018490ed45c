"""The processes of a Ray of this machine alone on which all others rest, and what happens once one is lost.

Ray's own calls wait a minute for a lost server, deaf to Ctrl-C, and then end the process with Ray's words.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from adasearch.errors import StoreError
from adasearch.io.private_folder import remove_private_folders

__all__ = ["Servers", "watched"]

NAMES = ("gcs_server", "raylet")
POLL_SECONDS = 1.0
GRACE_SECONDS = 10.0  # for the main thread to end in good order


class Servers:
    """Those that this process has started; none if it joined a cluster."""

    def __init__(self) -> None:
        children = psutil.Process().children(recursive=True)
        self._found = [(each, name) for each in children if (name := each.name()) in NAMES]

    def check(self) -> None:
        """Check that they are there still.

        Raises:
            StoreError: one is not.
        """
        for process, name in self._found:
            with suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    continue
            raise StoreError(f"Ray on this machine is lost: its {name} (process {process.pid}) ended")


@contextmanager
def watched() -> Iterator[None]:
    """End what this process started of Ray where a server was lost and the main thread does not get away.

    The error is then raised in a thread of its own: the command line's hook for such ends the process.
    """
    servers, over = Servers(), threading.Event()

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            try:
                servers.check()
            except StoreError:
                if over.wait(GRACE_SECONDS):
                    return
                _end_children()
                remove_private_folders()
                raise

    threading.Thread(target=watch, name="watch over Ray", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _end_children() -> None:
    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=POLL_SECONDS)
