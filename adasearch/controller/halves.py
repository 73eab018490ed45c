"""Which batches come in two halves, where the noise between examples is not to be had otherwise."""

import math
from dataclasses import dataclass

from adasearch.controller.curve import usable
from adasearch.signals.sampled_steps import costly_stride_of

__all__ = ["Halves"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """The batches of a stream that are measured: those of the built-in loop, by their place alone.

    So an interval has one of them in ten at most and four at most, evenly spaced, and at least one; a loader
    that draws ahead knows them, and so does a run that goes on from a checkpoint. Which they are does not
    depend on what is in them, so the estimates stay unbiased.

    Args:
        span: of an interval, in examples.
        budget: of the run, in examples, if it is known.
        whole: examples of an epoch whose rest that fills no batch is left out; None where it is not.

    >>> halves = Halves(span=128, budget=None)
    >>> [offset // 4 for offset in range(0, 128, 4) if halves.of(offset, 4)]
    [5, 15, 25]
    >>> [offset for offset in range(0, 300, 100) if halves.of(offset, 100)]
    [100, 200]
    """

    span: int
    budget: int | None
    whole: int | None = None

    def of(self, offset: int, batch_size: int) -> bool:
        """Tell whether the batch of this size at this place is one, if those before it had its size."""
        start = offset - offset % self.span
        end = start + self.span
        if self.budget is not None and offset < self.budget:
            end = min(end, self.budget)
        start, end, offset = (self._used(each, batch_size) for each in (start, end, offset))
        number, first = divmod(offset - start, batch_size)  # of it in its interval, and where that begins
        steps = math.ceil((end - start - first) / batch_size)
        stride = costly_stride_of(steps)
        return number % stride == min(stride, steps) // 2

    def next_end(self, offset: int, batch_size: int) -> int:
        """Return where the first one from here on ends, if all batches have this size."""
        while not self.of(offset, batch_size):
            offset += batch_size
            if self.whole is not None and offset % self.whole + batch_size > self.whole:
                offset += self.whole - offset % self.whole
        return offset + batch_size

    def _used(self, seen: int, batch_size: int) -> int:
        """Return how many of so many examples of the stream batches of this size use."""
        return seen if self.whole is None else usable(seen, self.whole, batch_size, drop_last=True)
