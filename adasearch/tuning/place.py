"""What trials stand on and have no part in: the results folder, Ray's own files, room on the disks, nodes."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable

from adasearch.errors import StoreError
from adasearch.store.store import Store
from adasearch.tuning.servers import Servers

__all__ = ["LOOK_SECONDS", "Place"]

LOOK_SECONDS = 5.0  # between two looks at what a search cannot do without
SMALLEST_BYTES = 2**20  # that a disk must have free: Ray writes more than that for one trial


class Place:
    """Where a search runs; of a Ray of this machine alone, the processes that all others rest on, too.

    Args:
        store: where its trials are kept, with the locks that it holds.
        storage: path or URI of Ray's own files, None for nowhere.
        nodes: tells how many nodes there are now.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        store: Store,
        storage: str | None = None,
        *,
        nodes: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._disk = storage if storage is not None and "://" not in storage else None
        self._nodes = nodes
        self._clock = clock
        self._known = nodes()
        self._servers = Servers()
        self._looked = clock()

    def look(self) -> None:
        """Check now and then what no trial can do without: the folders in which the search began, and Ray.

        Raises:
            StoreError: something is gone, or is another.
        """
        if self._clock() - self._looked >= LOOK_SECONDS:
            self._looked = self._clock()
            self.check()

    def check(self) -> None:
        """Check it now.

        Raises:
            StoreError: something is gone, or is another.
        """
        self._servers.check()
        self._store.locks.check()
        if self._disk is not None and not os.path.isdir(self._disk):
            raise StoreError(f"Ray's own files are gone: {self._disk} was removed or renamed")

    def fault(self) -> str | None:
        """Return what is wrong with the place right after a trial's workers died; None if nothing is."""
        try:
            self.check()
        except StoreError as error:
            return str(error)
        for folder in (self._disk, tempfile.gettempdir()):
            if folder is not None and shutil.disk_usage(folder).free < SMALLEST_BYTES:
                return f"there is no room left on the disk of {folder}"
        former, self._known = self._known, self._nodes()
        return f"{former - self._known} of {former} nodes are gone" if self._known < former else None
