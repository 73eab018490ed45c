"""Examples drawn with replacement, by weight: one epoch of them at a time, each drawn alone."""

import hashlib

import torch
from torch import Tensor

from adasearch.errors import InputError

__all__ = ["weighted_draws"]


def weighted_draws(weights: Tensor, seed: int, epoch: int) -> Tensor:
    """Return which examples an epoch takes, drawn with replacement in proportion to their weights.

    A function of its arguments, so that any epoch can be drawn alone. Not of ``torch.multinomial``: that
    takes at most 2^24 weights.

    Args:
        weights: (examples,), finite and not negative, at least one of them greater than 0.
        seed: of the run.
        epoch: from 0.

    Returns:
        (examples,) as int64, on the CPU.

    Raises:
        InputError: weights that break the rule.

    >>> weighted_draws(torch.tensor([0.0, 1.0, 0.0]), seed=7, epoch=0)
    tensor([1, 1, 1])
    """
    exact = weights.detach().to("cpu", torch.float64)
    wrong = (~exact.isfinite() | (exact < 0)).nonzero().tolist()
    if exact.ndim != 1 or wrong or not exact.sum() > 0:
        got = f"{exact[tuple(wrong[0])]} at {wrong[0]}" if wrong else f"sum {exact.sum():g}"
        raise InputError(
            "weights must be one row of finite numbers, none below 0 and one above it, "
            f"but got {got} in shape {tuple(exact.shape)}"
        )
    if not 1e-200 < exact.sum() < float("inf"):  # whose sum is no number any more, or one of few digits
        exact = exact / exact.max()
    digest = hashlib.blake2b(f"{seed}/weighted/{epoch}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    ends = exact.cumsum(0)
    drawn = torch.rand(len(exact), generator=generator, dtype=torch.float64) * ends[-1]
    # A product that was rounded up to the sum itself belongs to the last example that has a weight.
    return torch.searchsorted(ends, drawn, right=True).clamp_(max=int(exact.nonzero()[-1]))
