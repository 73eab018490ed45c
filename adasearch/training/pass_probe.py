"""Tries passes before the training's time begins: whether they fit into memory, and to have them compiled."""

import math
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from adasearch.records import Precision
from adasearch.tasks.base import Task
from adasearch.training.buffers import JoinedBuffers
from adasearch.training.memory import OutOfMemory, is_out_of_memory
from adasearch.training.optimizer import Update
from adasearch.training.passes import Passes, loss_of_pass

__all__ = ["PassProbe"]


class PassProbe:
    """Makes passes on blank examples, after which the run is as it was: weights, buffers and random numbers.

    Args:
        network: without DDP, whose reduction would leave the other workers waiting if this one fails.
        passes: what is known of their sizes.
        buffers: of the network.
        update: whose gradients they are.
        task: of which the passes are.
        precision: of a pass.
        device: where the network is.
    """

    def __init__(
        self,
        network: nn.Module,
        passes: Passes,
        buffers: JoinedBuffers,
        update: Update,
        *,
        task: Task[Any],
        precision: Precision,
        device: torch.device,
    ) -> None:
        self._network = network
        self._passes = passes
        self._buffers = buffers
        self._update = update
        self._precision = precision
        self._task = task
        self._device = device
        self._made: set[int] = set()  # examples of the passes that were made

    def shrink_to_fit(self, batch_size: int) -> None:
        """Before passes of a new size are first used, try one on every worker; all go by the least.

        Raises:
            torch.OutOfMemoryError: not even the smallest passes fit.
        """
        while (examples := self._passes.largest(batch_size)) > self._passes.proven:
            try:
                self._make(examples)
            except OutOfMemory as error:
                self._passes.shrink(batch_size, error)
            else:
                self._passes.fitted(examples)

    def compile(self, batch_size: int, *, halves: bool) -> None:
        """Make a pass of every size that the steps take, so that none is compiled in the training's time."""
        parts = [self._passes.world * self._passes.count(batch_size)]
        parts += [2 * self._passes.world] if halves else []
        sizes = {size for part in parts for size in (batch_size // part, math.ceil(batch_size / part))}
        for size in sorted(sizes - self._made):
            if 1 < size <= self._passes.proven:
                with suppress(OutOfMemory):  # the step that takes it will see to it
                    self._make(size)

    def undo(self) -> None:
        """Undo what passes did since the buffers were saved, and free what they left."""
        self._update.clear()
        self._buffers.restore()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _make(self, examples: int) -> None:
        """Make a pass of so many examples.

        Raises:
            OutOfMemory: some worker cannot; on all of them.
        """
        fits, reason = True, "another worker ran out of memory"
        self._made.add(examples)
        self._buffers.save()
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            try:
                self._loss(examples).backward()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                fits, reason = False, str(error)
        self.undo()
        everywhere = torch.tensor(float(fits), device=self._device)
        if self._passes.world > 1:
            dist.all_reduce(everywhere, op=dist.ReduceOp.MIN)
        if not everywhere:
            raise OutOfMemory(reason)

    def _loss(self, examples: int) -> Tensor:
        inputs, targets = self._task.blank(examples, self._device)
        return loss_of_pass(self._network, inputs, targets, self._passes, self._task, self._precision)
