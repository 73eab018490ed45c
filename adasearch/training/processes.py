"""What the processes of one run tell each other: sums, and that they agree."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch import distributed as dist

from adasearch.signals.flat_gradient import sum_dtype

__all__ = ["Processes"]


class Processes:
    """The processes of ``torch.distributed``, or this one alone; numbers travel on ``device``."""

    def __init__(self, device: torch.device) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.count, self.rank = (dist.get_world_size(), dist.get_rank()) if together else (1, 0)
        self._device = device

    def sum(self, value: float) -> float:
        """Return the sum over processes, equal on all of them."""
        if self.count == 1:
            return value
        total = self._tensor([value])
        dist.all_reduce(total)
        return total.item()

    def check_equal(self, numbers: Mapping[str, float]) -> None:
        """Check that all processes have the same numbers; the keys say what each is, for the message.

        Raises:
            RuntimeError: they do not.
        """
        if self.count == 1:
            return
        mine = list(numbers.values())
        extremes = self._tensor([*mine, *(-number for number in mine)])
        dist.all_reduce(extremes, op=dist.ReduceOp.MAX)
        most, least = extremes[: len(mine)].tolist(), (-extremes[len(mine) :]).tolist()
        for what, high, low in zip(numbers, most, least, strict=True):
            if high != low:
                raise RuntimeError(f"processes disagree on {what}: {low:.17g} and {high:.17g}")

    def _tensor(self, numbers: list[float]) -> Tensor:
        return torch.tensor(numbers, dtype=sum_dtype(self._device), device=self._device)
