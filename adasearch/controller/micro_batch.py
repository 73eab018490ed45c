"""What one item of a loader is: a batch's share of a process, or a piece of that share."""

from dataclasses import dataclass

__all__ = ["MicroBatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """One item of the loader: a global batch's share of this process, or a piece of that share.

    Args:
        batch_size: of the global batch it belongs to, in examples.
        examples: how many examples this item holds.
        number: which of the ``passes`` pieces of this process's share it is, from 0.
        passes: into how many pieces the share was cut, at least 1.
        halved: whether it was cut in two only for the noise between examples to be measured.
    """

    batch_size: int
    examples: int
    number: int
    passes: int
    halved: bool = False

    @property
    def first(self) -> bool:
        """Whether a batch begins with this part."""
        return self.number == 0

    @property
    def last(self) -> bool:
        """Whether this part completes its batch."""
        return self.number == self.passes - 1
