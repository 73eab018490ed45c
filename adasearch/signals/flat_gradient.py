"""A gradient as a few flat tensors, and what is computed of such."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["Layout", "added", "gradients_of", "inner_product", "square_norm", "sum_dtype"]

FUSE_BELOW = 65_536  # components; a smaller tensor costs more to launch a kernel for than to copy


class Layout:
    """How the gradient of some parameters is written as a few flat tensors.

    The small ones are joined, so that one kernel serves them. What follows from the parameters is found once:
    after a backward pass each call on a tensor is a trip to main memory.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        places = dict(enumerate(parameters))
        self._large = [place for place, p in places.items() if p.numel() >= FUSE_BELOW]
        self._small = [place for place, p in places.items() if p.numel() < FUSE_BELOW]
        self._last = [place for place, p in places.items() if _is_channels_last(p)]

    def joined(self, gradients: Iterable[Tensor]) -> list[Tensor]:
        """Return a gradient as a few tensors (components,), without a copy of the large ones.

        Gradients are in the order of their parameters, their components in the order of the parameter's
        memory.
        """
        there = list(gradients)
        for place in self._last:
            there[place] = there[place].permute(0, 2, 3, 1)
        parts = [there[place].flatten() for place in self._large]
        small = [there[place].flatten() for place in self._small]
        return [*parts, torch.cat(small)] if small else parts


def _is_channels_last(parameter: Tensor) -> bool:
    """Tell whether a parameter's channels lie innermost in memory and are not all there is."""
    last = parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return last and not parameter.is_contiguous()


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return what sums over many steps are kept in: double precision, which Apple's GPUs do not have."""
    return torch.float32 if device.type == "mps" else torch.float64


def gradients_of(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Return the gradients, zeros where the loss did not reach a parameter."""
    return [torch.zeros_like(p) if (gradient := p.grad) is None else gradient for p in parameters]


def added(total: list[Tensor], parts: list[Tensor]) -> list[Tensor]:
    """Return the sum of two gradients in parts; an empty list is zero, and the first is overwritten."""
    if not total:
        return [part.clone() for part in parts]
    return [one.add_(part) for one, part in zip(total, parts, strict=True)]


def square_norm(parts: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Return ``|g|^2`` of a gradient in parts."""
    return torch.stack([torch.linalg.vector_norm(part) for part in parts]).to(dtype).square().sum()


def inner_product(one: Sequence[Tensor], other: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Return the inner product of two gradients in equal parts."""
    pairs = zip(one, other, strict=True)
    return torch.stack([part @ opposite for part, opposite in pairs]).to(dtype).sum()
