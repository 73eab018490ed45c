"""The checkpoints of a training function: what it handed over, its controller, the random numbers to come."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from adasearch.controller.controller import BatchSizeController
from adasearch.errors import InputError, few
from adasearch.training.checkpoint import Checkpoints, Placed, gathered

__all__ = ["SavedStates", "Stateful", "state_of"]


class Stateful(Protocol):
    """Something whose state can be kept: a network, an optimiser, a learning-rate schedule, a scaler."""

    def state_dict(self) -> Any:
        """Return the state."""
        ...

    def load_state_dict(self, state_dict: Any, /) -> object:
        """Take a state."""
        ...


class SavedStates:
    """Keeps a run in its checkpoints, and takes it to the newest one that counts.

    Args:
        checkpoints: of the trial.
        identity: what the run is told; one that is told otherwise passes over its checkpoints.
    """

    def __init__(self, checkpoints: Checkpoints, identity: Sequence[object]) -> None:
        self._checkpoints, self._identity = checkpoints, identity
        self._objects: dict[str, Stateful] = {}
        self._state = checkpoints.newest(identity)

    @property
    def evaluated(self) -> int:
        """Examples seen at the last evaluation, where the run goes on; 0 where it begins."""
        return 0 if self._state is None else int(self._state["evaluated"])

    def hand_over(self, objects: Mapping[str, Stateful]) -> None:
        """Take in what is to be kept."""
        self._objects |= objects

    def restore(self, controller: BatchSizeController | None) -> bool:
        """Take what is there so far to where the run goes on; tell whether there is such a place.

        All of it, each time: an object that is built later may have changed one that was taken there before,
        as a learning-rate schedule changes its optimiser.
        """
        if self._state is None:
            return False
        states = self._state["objects"]
        for name, each in self._objects.items():
            if name in states:
                _inner(each).load_state_dict(states[name])
        if controller is not None:
            workers = self._state["workers"]
            rank = dist.get_rank() if dist.is_initialized() else 0
            random = workers[rank]["random"] if rank < len(workers) else None
            controller.load_state_dict(cast(Any, {**self._state["controller"], "random": random}))
        return True

    def check_restored(self) -> None:
        """Check, as the loop begins, that all of a checkpoint found its place; and let go of it.

        Raises:
            InputError: something of it did not.
        """
        state, self._state = self._state, None
        if state is None:
            return
        if lost := sorted(state["objects"].keys() ^ self._objects.keys()):
            raise InputError(
                f"the checkpoint and what was handed over to trial.checkpoint() differ in {few(lost)}"
            )

    def save_if_due(self, controller: BatchSizeController, evaluated: int, placed: Placed) -> float | None:
        """Write a checkpoint if one is due; return the seconds that it took, None where none is.

        Raises:
            StoreError: it cannot be written.
        """
        intervals = len(controller.history)
        if not self._objects or not self._checkpoints.due(intervals, placed):
            return None
        begun = time.perf_counter()
        own = dict(controller.state_dict())
        workers = gathered({"random": own.pop("random")})
        if not dist.is_initialized() or dist.get_rank() == 0:
            state = {
                "controller": own,
                "objects": {name: state_of(each) for name, each in self._objects.items()},
                "evaluated": evaluated,
                "workers": workers,
            }
            self._checkpoints.write(intervals, state, self._identity)
        return time.perf_counter() - begun


def state_of(each: Stateful) -> Any:
    """Return an object's state, of a network under DDP its own."""
    return _inner(each).state_dict()


def _inner(each: Stateful) -> Stateful:
    return each.module if isinstance(each, DistributedDataParallel) else each
