"""How a global batch is cut into forward passes that fit into memory, and what was found to fit.

A ``device_batch`` that is found on this machine is kept for the next run in a small JSON file in the user's
cache.
"""

import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from platformdirs import user_cache_path
from torch import Tensor
from torch import distributed as dist

from adasearch.io.filesystem import replace_file
from adasearch.records import Precision
from adasearch.tasks.base import Task
from adasearch.training.config import TrainConfig
from adasearch.training.memory import watched
from adasearch.training.precision import autocast

__all__ = ["PassTooLarge", "Passes", "loss_of_pass"]

FEWEST = 4  # examples per pass that a batch can always be cut into without a pass of one


class PassTooLarge(RuntimeError):  # noqa: N818 - what happened, not whose mistake it is
    """One of several workers ran out of memory in a step, which they cannot redo; the next attempt can.

    Attributes:
        device_batch: what the next attempt shall begin with.
    """

    def __init__(self, device_batch: int, reason: str) -> None:
        super().__init__(f"out of memory, going on with device_batch={device_batch}: {reason}")
        self.device_batch = device_batch


class Passes:
    """The greatest number of examples per forward pass and device: given, remembered, or found by trying.

    Without a given or remembered value a GPU begins with a worker's whole share of the batch and a CPU with
    as many as the task says; whoever runs out of memory calls :meth:`shrink`. ``room`` are the bytes that a
    pass may keep on a CPU, None for no limit.

    Attributes:
        world: number of processes.
        device_batch: the number at present.
        proven: examples of the largest pass that fitted so far.
        shrunk: how often memory ran out, since the caller last set it to 0.
    """

    def __init__(
        self,
        config: TrainConfig,
        task: Task[Any],
        device: torch.device,
        world: int,
        room: int | None = None,
    ) -> None:
        self.world = world
        self._room = room
        memory, name = config.memory_limit, device.type
        if device.type == "cuda":
            name, memory = torch.cuda.get_device_name(device), torch.cuda.mem_get_info(device)[1]
        parts = (config.architecture, config.scale, task.shape, config.precision, name, memory)
        self._key = "/".join(map(str, parts)) + ("/compiled" if config.compile else "")
        most = task.pass_size if device.type == "cpu" else config.budget
        self.device_batch = config.device_batch or self._remembered(device) or most
        self.proven = 0
        self.shrunk = 0
        self._unproven = False  # whether the number was found but nothing has fitted since

    def count(self, batch_size: int) -> int:
        """Return how many forward passes each worker makes per step."""
        return math.ceil(batch_size / (self.world * self.device_batch))

    def largest(self, batch_size: int) -> int:
        """Return the examples of the largest pass of a step."""
        return math.ceil(batch_size / (self.world * self.count(batch_size)))

    def shrink(self, batch_size: int, reason: BaseException | str) -> None:
        """Halve the passes of this batch size.

        Raises:
            torch.OutOfMemoryError: they cannot be halved.
        """
        if self.largest(batch_size) <= FEWEST:
            raise torch.OutOfMemoryError(f"not even {FEWEST} examples fit into memory: {reason}")
        self.device_batch = max(FEWEST, math.ceil(self.largest(batch_size) / 2))
        self.shrunk += 1
        self._unproven = True

    def watched(self, examples: int) -> AbstractContextManager[None]:
        """Watch a pass of so many examples, unless one as large fitted before; see :func:`memory.watched`."""
        return watched(None if examples <= self.proven else self._room)

    def fitted(self, examples: int) -> None:
        """Hear that a pass of so many examples fitted; a number that was found is kept for later runs."""
        self.proven = max(self.proven, examples)
        if self._unproven:
            self.remember()

    def _remembered(self, device: torch.device) -> int | None:
        """Return what was found before: by rank 0, for all."""
        known = 0
        with suppress(OSError, ValueError, AttributeError, TypeError):  # not there, or of another's making
            known = int(json.loads(_file().read_text()).get(self._key, 0))
        if self.world > 1:
            box = torch.tensor(known, device=device)
            dist.broadcast(box, src=0)
            known = int(box)
        return known if known >= FEWEST else None

    def remember(self) -> None:
        """Keep the present number for later runs."""
        self._unproven = False
        file = _file()
        with suppress(OSError):  # what cannot be kept is found again
            file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(file.with_suffix(".lock")):
                found: dict[str, int] = {}
                with suppress(OSError, ValueError, TypeError):
                    found = dict(json.loads(file.read_text()))
                text = json.dumps({**found, self._key: self.device_batch}, indent=1)
                replace_file(str(file), text.encode())


def loss_of_pass(
    forward: Callable[[Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    passes: Passes,
    task: Task[Any],
    precision: Precision,
) -> Tensor:
    """Return the sum of losses of a forward pass."""
    with passes.watched(len(targets)), autocast(precision, inputs.device):
        return task.loss(forward(inputs), targets)


def _file() -> Path:
    return Path(user_cache_path("adasearch")) / "device_batch.json"
