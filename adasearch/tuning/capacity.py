"""How many trials at a time a cluster has room for."""

from dataclasses import dataclass

from adasearch.errors import InputError

__all__ = ["Capacity", "DoesNotFit", "slots_for"]


class DoesNotFit(InputError):  # noqa: N818 - a state, not a mistake: more nodes may come
    """The cluster, as it is now, has no room for what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """CPUs and GPUs of each node of the cluster."""

    nodes: tuple[tuple[float, float], ...]

    @property
    def cpus(self) -> float:
        """CPUs of the whole cluster."""
        return sum(cpus for cpus, _ in self.nodes)

    @property
    def gpus(self) -> float:
        """GPUs of the whole cluster."""
        return sum(gpus for _, gpus in self.nodes)


def slots_for(
    capacity: Capacity, *, workers: int, cpus_per_worker: int, gpus_per_worker: float, wanted: int | None
) -> int:
    """Return how many trials may run at a time.

    Raises:
        DoesNotFit: not even one trial fits, or fewer than ``wanted``.
        InputError: no cluster could hold it.

    >>> slots_for(Capacity(nodes=((8, 0),)), workers=2, cpus_per_worker=1, gpus_per_worker=0, wanted=None)
    4
    """
    if gpus_per_worker > 1 and gpus_per_worker != int(gpus_per_worker):
        raise InputError(f"--gpus-per-worker may be a fraction only up to 1 but got {gpus_per_worker:g}")
    places = 0  # for workers; one worker cannot spread over two nodes
    for cpus, gpus in capacity.nodes:
        here = int(cpus // cpus_per_worker)
        places += min(here, int(gpus / gpus_per_worker + 1e-9)) if gpus_per_worker else here
    fits = places // workers
    need = f"{workers} worker(s) with {cpus_per_worker} CPU(s) and {gpus_per_worker:g} GPU(s) each"
    there = f"the cluster has {capacity.cpus:g} CPU(s) and {capacity.gpus:g} GPU(s)"
    if len(capacity.nodes) > 1:
        there += f" on {len(capacity.nodes)} nodes"
    if fits < 1:
        raise DoesNotFit(f"a trial needs --workers {need}, but {there}")
    if wanted is not None and wanted > fits:
        raise DoesNotFit(f"--slots {wanted} trials of {need} do not fit: {there}, room for {fits}")
    return fits if wanted is None else wanted
