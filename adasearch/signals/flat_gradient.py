"""A gradient as a few flat tensors, and what is computed of such."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = [
    "Layout",
    "accumulated",
    "added",
    "components_of",
    "cosine",
    "gradients_of",
    "inner_product",
    "laid_out",
    "plain",
    "shaped",
    "square_norm",
    "sum_dtype",
    "zeros_for",
]

FUSE_BELOW = 65_536  # components; a smaller tensor costs more to launch a kernel for than to copy
HALF = (torch.float16, torch.bfloat16)


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
        memory. What comes out is dense and real, see :func:`plain`.
        """
        there = list(gradients)
        for place in self._last:
            there[place] = there[place].permute(0, 2, 3, 1)
        there = [plain(gradient) for gradient in there]
        parts = [there[place].flatten() for place in self._large]
        small = [there[place].flatten() for place in self._small]
        return [*parts, torch.cat(small)] if small else parts


def _is_channels_last(parameter: Tensor) -> bool:
    """Tell whether a parameter's channels lie innermost in memory and are not all there is."""
    last = parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return last and not parameter.is_contiguous()


def plain(gradient: Tensor) -> Tensor:
    """Return a gradient as one that is dense, real and of single precision at least; itself if it is.

    Of a complex one each component counts as two, so that ``|z|^2`` is the sum of their squares; of a sparse
    one what several entries say of one component is added up.
    """
    if gradient.layout is not torch.strided:
        gradient = gradient.to_dense()
    if gradient.is_complex():
        gradient = torch.view_as_real(gradient.resolve_conj())
    return gradient.float() if gradient.dtype in HALF else gradient


def shaped(flat: Tensor, parameter: Tensor) -> Tensor:
    """Return a plain, flat gradient (components,) in the form of its parameter."""
    if parameter.is_complex():
        return torch.view_as_complex(flat.view(*parameter.shape, 2))
    return flat.view(parameter.shape)


def laid_out(gradient: Tensor, parameter: Tensor) -> Tensor:
    """Return the gradient that a bucket of DDP holds as its parameter lies in memory.

    The bucket keeps the parameter's memory format, of which its own views do not know, and of a complex
    number two real ones.
    """
    shape, strides, start = parameter.shape, parameter.stride(), gradient.storage_offset()
    if parameter.is_complex() and not gradient.is_complex():
        pairs = gradient.as_strided((*shape, 2), (*(2 * stride for stride in strides), 1), start)
        return torch.complex(*pairs.unbind(-1))  # they may begin at an odd place
    return gradient.as_strided(shape, strides, start)


def accumulated(so_far: Tensor, gradient: Tensor) -> Tensor:
    """Return the sum that autograd would have made, in the first where that can hold it."""
    if so_far.layout is not gradient.layout and so_far.layout is not torch.strided:
        return gradient + so_far
    return so_far.add_(gradient)


def components_of(parameter: Tensor) -> int:
    """Return how many real numbers a parameter is."""
    return parameter.numel() * (2 if parameter.is_complex() else 1)


def zeros_for(parameter: Tensor) -> Tensor:
    """Return zeros to add a parameter's gradients to: in single precision at least."""
    return torch.zeros_like(parameter, dtype=torch.float32 if parameter.dtype in HALF else None)


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


def cosine(part: Sequence[Tensor], whole: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Return the cosine between a part of a gradient and the rest of it."""
    rest = [each - one for each, one in zip(whole, part, strict=True)]
    norms = square_norm(part, dtype).sqrt() * square_norm(rest, dtype).sqrt()
    return inner_product(part, rest, dtype) / norms
