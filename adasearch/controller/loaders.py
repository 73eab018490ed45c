"""Whether a loader hands out what a controller's sampler draws, and nothing else."""

from collections.abc import Iterable, Sized
from contextlib import suppress

from torch import distributed as dist
from torch.utils.data import DataLoader, IterableDataset

from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.errors import InputError, require

__all__ = ["check_loader", "check_processes", "examples_of"]


def examples_of(data: object) -> int:
    """Return how many examples a data set has.

    Raises:
        InputError: it cannot be drawn from by number.
    """
    if isinstance(data, DataLoader):
        raise InputError("data must be the data set, not a loader of it: loader.dataset")
    with suppress(TypeError):  # a NumPy number has __len__ and no length
        if isinstance(data, Sized) and not isinstance(data, IterableDataset):
            return len(data)
    raise InputError(
        f"data must be a data set with a length but got {type(data).__name__}: a stream cannot be drawn "
        "from by number, so give one with __len__ and __getitem__"
    )


def check_processes(count: int) -> None:
    """Refuse other processes than a controller was built for, since each would draw all of a batch.

    Raises:
        InputError: there are others.
    """
    together = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    if together != count:
        raise InputError(
            f"the controller was built for {count} processes, but there are {together}: build it behind "
            "init_process_group(), around a DistributedDataParallel"
        )


def check_loader(loader: object, sampler: ResizableBatchSampler, examples: int) -> None:
    """Refuse a loader that is known to hand out something else than ``sampler`` draws.

    A wrapper that does not tell (a progress bar, a prefetcher) is taken: whether it draws is seen then.

    Raises:
        InputError: in one line, with what to do.
    """
    if not isinstance(loader, Iterable) or getattr(loader, "ndim", 1) == 0:
        raise InputError(
            f"the loader must draw from controller.sampler, but is of type {type(loader).__name__}: give a "
            "DataLoader with batch_sampler=controller.sampler"
        )
    found = getattr(loader, "batch_sampler", sampler)
    if getattr(loader, "sampler", None) is sampler:
        raise InputError("give the loader batch_sampler=controller.sampler, not sampler=")
    dispatches = sampler.num_replicas > 1 and type(loader).__name__ == "DataLoaderDispatcher"  # accelerate's
    if dispatches or getattr(found, "batch_sampler", None) is sampler:
        sharer = loader if dispatches else found
        raise InputError(
            f"the loader's {type(sharer).__name__} shares the batches out once more, but controller.sampler "
            "does so itself: leave the loader out of what accelerate prepares"
        )
    if found is not sampler:
        raise InputError(
            "build the loader with batch_sampler=controller.sampler, and let no framework replace it: "
            "Ray Train takes add_dist_sampler=False, Lightning use_distributed_sampler=False"
        )
    every = getattr(loader, "snapshot_every_n_steps", 1)  # torchdata's
    if every != 1 and getattr(loader, "next_iter_state", None) is not None:
        raise InputError(
            f"the loader was given a state and has snapshot_every_n_steps={every}, by which it leaves items "
            "out: give it snapshot_every_n_steps=1, or load the controller's state alone, which has its place"
        )
    ordered = getattr(loader, "in_order", True) or getattr(loader, "num_workers", 0) == 0
    require(ordered, "the loader must hand out items in the order they were drawn", in_order=False)
    data = getattr(loader, "dataset", None)
    if isinstance(data, Sized) and len(data) != examples:
        raise InputError(
            f"the loader's data set has {len(data)} examples, but the controller was built for {examples}"
        )
