"""A search's time on Ray: joining it, and what of it the trials take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.progress import say
from adasearch.store import Store
from adasearch.tuning.cluster import Capacity, connect, slots_for
from adasearch.tuning.gang import GangSettings

if TYPE_CHECKING:
    from adasearch.commands import Runtime

__all__ = ["gangs_for", "joined"]


@contextmanager
def joined(address: str | None, console: Console) -> Iterator[Capacity]:
    """Say so, start Ray or join the cluster at ``address``, and leave it at the end.

    Raises:
        AdasearchError: the cluster cannot be reached.
    """
    say(console, f"joining Ray at {address}" if address else "starting Ray")
    with connect(address) as capacity:
        yield capacity


def gangs_for(
    runtime: "Runtime", capacity: Capacity, store: Store, *, workers: int, device: str
) -> tuple[GangSettings, int]:
    """Return how trials of so many workers run on a device, and how many at a time.

    Raises:
        InputError: they do not fit.
    """
    gpus = 0.0
    if device == "cuda":
        gpus = 1.0 if runtime.gpus_per_worker is None else runtime.gpus_per_worker
    slots = slots_for(
        capacity,
        workers=workers,
        cpus_per_worker=runtime.cpus_per_worker,
        gpus_per_worker=gpus,
        wanted=runtime.slots,
    )
    settings = GangSettings(
        workers=workers,
        cpus_per_worker=runtime.cpus_per_worker,
        gpus_per_worker=gpus,
        attempts=runtime.attempts,
        isolation=runtime.isolation,
        storage=store.hidden_folder("ray"),
    )
    return settings, slots
