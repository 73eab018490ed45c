"""How trials run on a cluster, and how many at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from adasearch.choices import Isolation
from adasearch.runtime import Runtime
from adasearch.tuning.capacity import Capacity, DoesNotFit, slots_for
from adasearch.tuning.cluster import POLL_SECONDS, capacity_now
from adasearch.user_code import packed

__all__ = ["WorkerGroupSettings", "worker_groups_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGroupSettings:
    """How to run trials.

    Args:
        workers: Ray Train workers per trial.
        cpus_per_worker: CPUs, and threads of torch, per worker.
        gpus_per_worker: GPUs per worker; 0 trains on the CPU.
        attempts: times that a trial whose worker died is tried in all.
        isolation: "pooled" keeps a slot's workers for all its trials; "fresh" starts new ones each time.
        storage: folder or URI, reachable from every node, for Ray Train's own files.
        given: objects of the user's session that workers must know, pickled.
    """

    workers: int
    cpus_per_worker: int
    gpus_per_worker: float
    attempts: int
    isolation: Isolation
    storage: str
    given: bytes = b""


def worker_groups_for(
    runtime: Runtime,
    capacity: Capacity,
    *,
    storage: str,
    workers: int,
    device: str,
    say: Callable[[str], None],
) -> tuple[WorkerGroupSettings, int]:
    """Return how trials of so many workers run on a device, and how many at a time.

    Where they do not fit yet, nodes are waited for as long as the runtime says.

    Raises:
        InputError: they do not fit.
    """
    gpus = 0.0
    if device == "cuda":
        gpus = 1.0 if runtime.gpus_per_worker is None else runtime.gpus_per_worker
    began, said = time.monotonic(), False
    while True:
        try:
            slots = slots_for(
                capacity,
                workers=workers,
                cpus_per_worker=runtime.cpus_per_worker,
                gpus_per_worker=gpus,
                wanted=runtime.slots,
            )
            break
        except DoesNotFit as error:
            if time.monotonic() - began >= runtime.wait_for_nodes:
                waited = f"; waited {runtime.wait_for_nodes:g} s for nodes" if said else ""
                raise DoesNotFit(f"{error}{waited}") from error
            if not said:
                say(f"{error}; waiting up to {runtime.wait_for_nodes:g} s for more nodes")
                said = True
        time.sleep(POLL_SECONDS)
        capacity = capacity_now()
    if said:
        say(f"{len(capacity.nodes)} nodes are there, {slots} trials run at a time")
    settings = WorkerGroupSettings(
        workers=workers,
        cpus_per_worker=runtime.cpus_per_worker,
        gpus_per_worker=gpus,
        attempts=runtime.attempts,
        isolation=runtime.isolation,
        storage=storage,
        given=packed(),
    )
    return settings, slots
