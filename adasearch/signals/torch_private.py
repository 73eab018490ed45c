"""Parts of PyTorch that are not public, or have no type: each once, with the reason why it is used."""

from typing import Protocol

import torch
from torch import Tensor, nn

__all__ = ["Bucket", "add_each", "added_each", "buffers_of"]


class Bucket(Protocol):
    """A process's gradients of some parameters, as a communication hook of DDP is given them.

    ``dist.GradBucket`` is public, but a type checker knows it in ``torch._C._distributed_c10d`` alone.
    """

    def buffer(self) -> Tensor:
        """Return the gradients as one tensor (components,), or the only one as it is if it is sparse."""

    def parameters(self) -> list[Tensor]:
        """Return whose gradients they are."""

    def gradients(self) -> list[Tensor]:
        """Return them one by one, views of the buffer."""


def add_each(totals: list[Tensor], terms: list[Tensor]) -> None:
    """Add each term to its total, in place.

    ``torch._foreach_add_``: a call per tensor takes half as long again on a CPU, and a kernel each on a GPU.
    """
    torch._foreach_add_(totals, terms)


def added_each(totals: list[Tensor], terms: list[Tensor]) -> tuple[Tensor, ...]:
    """Return the sums of totals and terms; ``torch._foreach_add``, for the same reason."""
    return torch._foreach_add(totals, terms)


def buffers_of(module: nn.Module) -> dict[str, Tensor | None]:
    """Return the dictionary in which a module keeps its own buffers.

    ``nn.Module._buffers``: it is read at every step, and attributes would go through a look-up in Python.
    """
    return module._buffers
