"""Tokens of a source, and how those that name no splits are split: by document, or in contiguous blocks."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Splits", "Tokens", "drawn_splits"]

SHARE = 0.05  # of the tokens, for validation and again for the test
MOST_HELD_OUT = 2**18  # tokens of each at most: those of 2,048 sequences of 128
MIN_DOCUMENTS = 20  # with fewer the held-out ones would say little, and contiguous blocks are taken


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """Tokens in line.

    Args:
        blocks: (tokens,) of unsigned integers, in memory or mapped from files.
        ends: where each document ends in the only block, (documents,); None where documents are not known.
        sizes: bytes of each document's text, or of each block's where ``ends`` is None; None if not known.
        known_sum: their :attr:`checksum`, where it is known already.
    """

    blocks: Sequence[np.ndarray]
    ends: np.ndarray | None = None
    sizes: np.ndarray | None = None
    known_sum: str | None = None

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    @property
    def size(self) -> int | None:
        """Bytes of all the text."""
        return None if self.sizes is None else int(self.sizes.sum())

    @property
    def checksum(self) -> str:
        """What differs where any token does, or the borders."""
        if self.known_sum is not None:
            return self.known_sum
        return " ".join(
            f"{len(block)}:{zlib.crc32(np.ascontiguousarray(block).data):08x}" for block in self.blocks
        )

    def documents(self, which: np.ndarray) -> "Tokens":
        """Return some of the documents, in their order."""
        assert self.ends is not None
        (block,) = self.blocks
        starts = np.concatenate([[0], self.ends[:-1]])
        pieces = [block[starts[each] : self.ends[each]] for each in which]
        joined = np.concatenate(pieces) if pieces else block[:0]
        return Tokens(
            blocks=(joined,),
            ends=np.cumsum([len(piece) for piece in pieces]),
            sizes=None if self.sizes is None else self.sizes[which],
        )

    def cut(self, count: int) -> "tuple[Tokens, Tokens]":
        """Return all but the last ``count`` tokens, and these, as blocks."""
        left, right = list(self.blocks), list[np.ndarray]()
        while count > 0 and left:
            block = left.pop()
            taken = min(count, len(block))
            right.insert(0, block[len(block) - taken :])
            if taken < len(block):
                left.append(block[: len(block) - taken])
            count -= taken
        return self._like(left), self._like(right)

    def _like(self, blocks: Sequence[np.ndarray]) -> "Tokens":
        """Return blocks whose bytes are known where each token is a byte."""
        known = self.size is not None and self.size == len(self)
        return Tokens(blocks=blocks, sizes=np.array([len(block) for block in blocks]) if known else None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Splits:
    """The splits of a source; ``drawn`` says how those that it does not have were made."""

    train: Tokens
    val: Tokens
    test: Tokens
    drawn: str = ""


def drawn_splits(train: Tokens, val: Tokens | None, test: Tokens | None, *, seed: int, length: int) -> Splits:
    """Return the three splits of a source, drawing from the training tokens those that it lacks.

    A twentieth each, at most ``MOST_HELD_OUT`` tokens and at least a sequence: whole documents in an order
    drawn from the seed, none longer than that, or where documents are few or long the tokens at the end.
    """
    wanted = [held_out for held_out in (test, val) if held_out is None]
    target = max(min(round(SHARE * len(train)), MOST_HELD_OUT), length + 1)
    drawn = ""
    found = _documents(train, len(wanted), target, seed) if wanted else []
    if found:
        rest = np.setdiff1d(
            np.arange(len(train.ends) if train.ends is not None else 0), np.concatenate(found)
        )
        parts = [train.documents(each) for each in found]
        train, drawn = train.documents(rest), "held-out documents are drawn"
    elif wanted:
        parts = []
        for _ in wanted:
            train, part = train.cut(target)
            parts.append(part)
        drawn = "held-out tokens are those at the end"
    test = parts.pop(0) if test is None else test
    val = parts.pop(0) if val is None else val
    return Splits(train=train, val=val, test=test, drawn=drawn)


def _documents(tokens: Tokens, parts: int, target: int, seed: int) -> list[np.ndarray]:
    """Return the documents of each held-out part, sorted; none where they are too few or too long."""
    if tokens.ends is None or len(tokens.ends) < MIN_DOCUMENTS:
        return []
    lengths = np.diff(tokens.ends, prepend=0)
    order = np.random.default_rng(seed).permutation(len(lengths))
    order = order[lengths[order] <= target]
    reached = np.cumsum(lengths[order])
    found, start = [], 0
    for _ in range(parts):
        wanted = target + (reached[start - 1] if start else 0)
        stop = int(np.searchsorted(reached, wanted)) + 1
        found.append(np.sort(order[start:stop]))
        start = stop
    return found if start < len(order) else []
