"""Sequences of one length, cut from tokens: the examples of a language task.

A sequence of length L takes L tokens as inputs and, as targets, the same shifted by one: L + 1 in line, of
which the last is the first of the next sequence. None reaches over the end of a block of tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from adasearch.choices import Task
from adasearch.data.batches import seed_of
from adasearch.data.permutations import PermutationStream, part_rows

__all__ = ["SequenceBatches", "Sequences", "TextData"]

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sequences:
    """The sequences of a split.

    Args:
        blocks: tokens (tokens,) of unsigned integers, in memory or mapped from files.
        length: of a sequence, in tokens.
        chosen: which of the blocks' sequences these are, (examples,); None for all of them.
        size: bytes of the text that the tokens stand for; None where it is not known.
        device: where sequences are given.
    """

    blocks: Sequence[np.ndarray]
    length: int
    chosen: np.ndarray | None = None
    size: int | None = None
    device: torch.device = CPU

    def __len__(self) -> int:
        return self.whole if self.chosen is None else len(self.chosen)

    @property
    def whole(self) -> int:
        """How many sequences the blocks hold."""
        return sum(max(0, len(block) - 1) // self.length for block in self.blocks)

    @property
    def tokens(self) -> int:
        """How many tokens the blocks hold."""
        return sum(map(len, self.blocks))

    def to(self, device: torch.device) -> "Sequences":
        """Return the split, which gives its sequences on ``device``."""
        return replace(self, device=device)

    def take(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return inputs and targets (rows, length) as int64."""
        rows = rows if self.chosen is None else self.chosen[rows]
        found = np.empty((len(rows), self.length + 1), dtype=np.int64)
        start = 0
        for block in self.blocks:
            count = max(0, len(block) - 1) // self.length
            here = (rows >= start) & (rows < start + count)
            if here.any():
                windows = np.lib.stride_tricks.sliding_window_view(block, self.length + 1)
                found[here] = windows[(rows[here] - start) * self.length]
            start += count
        tokens = torch.from_numpy(found).to(self.device, non_blocking=True)
        return tokens[:, :-1], tokens[:, 1:]

    def pieces(self, size: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs and targets, in order, of every ``world``-th piece of ``size`` sequences."""
        for start in range(rank * size, len(self), world * size):
            yield self.take(np.arange(start, min(start + size, len(self))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextData:
    """Sequences ready to train on; the test split is absent unless it was asked for.

    ``vocabulary`` is how many tokens there are; ``fingerprint`` identifies the examples.
    """

    train: Sequences
    val: Sequences
    test: Sequences | None
    vocabulary: int
    sequence_length: int
    fingerprint: str
    task: Task = "language"

    def to(self, device: torch.device) -> "TextData":
        """Return the data set, whose splits give their sequences on ``device``."""
        return replace(
            self,
            train=self.train.to(device),
            val=self.val.to(device),
            test=None if self.test is None else self.test.to(device),
        )


class SequenceBatches:
    """Batches of any size from an endless stream of permutations of the training sequences.

    The order is that of :class:`~adasearch.data.batches.Batches`: permutation k is drawn from (seed, k), and
    neither the batch size nor the number of workers changes which sequences come, or when.
    """

    def __init__(self, data: TextData, seed: int) -> None:
        self._train = data.train
        self.stream = PermutationStream(len(data.train), partial(seed_of, seed, 0))

    def prepare(self, offset: int, batch_size: int, steps: int, parts: int, mine: range) -> None:
        """Nothing to prepare: sequences are copied when they are asked for."""

    def chunks(
        self,
        offset: int,
        step: int,  # noqa: ARG002 - nothing is drawn for a step
        batch_size: int,
        parts: int,
        mine: range,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this worker's parts of one global batch: inputs and targets (chunk, length)."""
        for part in mine:
            rows = part_rows(batch_size, parts, part)
            places = range(offset + rows.start, offset + rows.stop)
            yield self._train.take(self.stream.at(places).numpy())
