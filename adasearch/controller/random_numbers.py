"""The random numbers to come, kept with a controller's checkpoint and put back where the loop goes on."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch

from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.training.processes import Processes
from adasearch.training.randomness import check_random, random_state, restore_random

__all__ = ["RandomNumbers", "check_random_numbers"]

T = TypeVar("T")


class RandomNumbers:
    """Puts random-number states back at the moment at which they were those of the run that was cut.

    A loader draws a number when it begins to iterate. In mid-epoch that was before the checkpoint, so the
    states are put back after it; between two epochs it was not, so they are put back before.

    Args:
        devices: asked where the run's tensors are.
        sampler: says which epoch it is.
        processes: each has states of its own; those of another process are not taken.
    """

    def __init__(
        self, devices: Callable[[], set[torch.device]], sampler: ResizableBatchSampler, processes: Processes
    ) -> None:
        self._devices = devices
        self._sampler = sampler
        self._own = f"{processes.rank} of {processes.count}"
        self._begun: int | None = None  # the epoch that was iterated over last
        self._pending: dict[str, Any] | None = None

    def state(self) -> dict[str, Any]:
        """Return the states, of this process."""
        within = self._begun == self._sampler.epoch
        return {"process": self._own, "within": within, **random_state(self._devices())}

    def load(self, state: dict[str, Any] | None) -> None:
        """Put a state back once the loop goes on; None, or another process's, leaves them as they are."""
        self._pending = state if state is not None and state["process"] == self._own else None
        self._begun = self._sampler.epoch if state is not None and state["within"] else None

    def around(self, loader: Iterable[T]) -> Iterator[T]:
        """Yield what a loader does."""
        if self._pending is not None and not self._pending["within"]:
            self.restore()
        items = iter(loader)
        self.restore()
        self._begun = self._sampler.epoch
        yield from items

    def restore(self) -> None:
        """Put back what is still to be; a framework that iterates itself has its first item by then."""
        pending, self._pending = self._pending, None
        if pending is not None:
            restore_random(pending)


def check_random_numbers(state: object) -> None:
    """Check a state, or None for a checkpoint without one.

    Raises:
        InputError: it was not written by :meth:`RandomNumbers.state`.
    """
    if state is not None:
        check_random(state, {"process": str, "within": bool})
