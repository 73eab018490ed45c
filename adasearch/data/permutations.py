"""The order of examples: one endless stream of permutations, entered anywhere and cut into equal parts."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["PermutationStream", "part_rows"]


class PermutationStream:
    """An endless stream of permutations of the numbers below ``examples``.

    Args:
        examples: length of one permutation, at least 1.
        seed_of: the seed of permutation k, so that any one can be drawn alone.
        draw: returns the examples of pass k, as many as there are, in place of a permutation.

    >>> stream = PermutationStream(3, lambda number: number)
    >>> sorted(stream.indices(3, 3).tolist())
    [0, 1, 2]
    """

    def __init__(
        self, examples: int, seed_of: Callable[[int], int], draw: Callable[[int], Tensor] | None = None
    ) -> None:
        self._examples = examples
        self._draw = draw or self._permuted
        self._seed_of = seed_of
        self._drawn: dict[int, Tensor] = {}

    def _permuted(self, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(self._seed_of(number))
        return torch.randperm(self._examples, generator=generator)

    def _permutation(self, number: int) -> Tensor:
        if number not in self._drawn:
            # The neighbours are kept: a reader ahead may be in the next permutation already.
            kept = {other: drawn for other, drawn in self._drawn.items() if abs(other - number) == 1}
            self._drawn = {**kept, number: self._draw(number)}
        return self._drawn[number]

    def indices(self, offset: int, count: int) -> Tensor:
        """Return which examples the stream holds at ``offset`` to ``offset + count``, shape (count,)."""
        parts = []
        while count > 0:
            number, start = divmod(offset, self._examples)
            parts.append(self._permutation(number)[start : start + count])
            offset += len(parts[-1])
            count -= len(parts[-1])
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def at(self, places: range) -> Tensor:
        """Return which examples the stream holds at a range of places, shape (places,)."""
        return self.indices(places.start, len(places))


def part_rows(count: int, parts: int, number: int) -> slice:
    """Return which of ``count`` rows are part ``number`` of ``parts`` whose sizes differ by at most one.

    >>> [part_rows(65, 2, number) for number in range(2)]
    [slice(0, 33, None), slice(33, 65, None)]
    """
    base, extra = divmod(count, parts)
    start = number * base + min(number, extra)
    return slice(start, start + base + (number < extra))
