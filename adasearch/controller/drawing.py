"""What the iterators over a sampler drew, and which of them the loop takes from."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar
from weakref import ReferenceType

from adasearch.controller.micro_batch import MicroBatch

__all__ = ["MOVED", "Drawing", "Drawings"]

MOVED = "another iterator over the sampler was begun by a loop, or a checkpoint was loaded, in mid-epoch"

T = TypeVar("T")


class Drawing:
    """The batches that one iterator drew, from where its sampler was when it was begun.

    Attributes:
        epoch: that it is a pass of.
        offset: of its first batch in the stream.
        begun: batches that the sampler had finished then.
        finished: batches of it that were finished since.
        sizes: of its batches that are not finished; the first may be fixed before they are drawn.
        parts: drawn and not taken.
        exhausted: whether it reached the epoch's end.
        replaced: whether the loop goes on with another one.
        iterator: the iterator, as long as a loader holds it.
    """

    def __init__(self, epoch: int, offset: int, begun: int, sizes: Iterable[int]) -> None:
        self.epoch, self.offset, self.begun = epoch, offset, begun
        self.finished = 0
        self.sizes = deque(sizes)
        self.parts: deque[MicroBatch] = deque()
        self.exhausted = self.replaced = False
        self.iterator: ReferenceType[object] | None = None

    @property
    def held(self) -> bool:
        """Whether a loader may still hand out from it."""
        return self.iterator is not None and self.iterator() is not None


class Drawings:
    """Which drawing is the loop's: that of :meth:`handed_out` or, in a framework's loop, the latest.

    Attributes:
        live: the one that the loop takes from.
        latest: the one that was drawn from last.
        finished: batches that were finished.
    """

    def __init__(self) -> None:
        self.finished = 0
        self.live = Drawing(0, 0, 0, ())
        self.latest: Drawing | None = None
        self._begun = 0
        self._claiming = self._claimed = False  # the next one, the live one, for handed_out()
        self._fetching = False  # a further item for handed_out()

    def begin(self, epoch: int, offset: int) -> Drawing:
        """Begin one, in the sizes that are fixed already.

        Raises:
            RuntimeError: the loop's own loader does so in mid-pass.
        """
        if self._fetching:
            raise RuntimeError(
                "the loader begins a second pass within one: give controller.batches() a loader that ends"
            )
        drawing = Drawing(epoch, offset, self.finished, self.live.sizes)
        self._begun += 1
        if self._claiming:
            self._go_on_with(drawing)
            self._claimed = True
        return drawing

    def move(self, epoch: int, offset: int, sizes: Iterable[int]) -> None:
        """Go on anew at another place."""
        self.finished, self.latest, self._claimed = 0, None, False
        self._go_on_with(Drawing(epoch, offset, 0, sizes))

    def finish(self) -> int:
        """Count the live one's first batch as used, and return its size."""
        self.live.finished += 1
        self.finished += 1
        return self.live.sizes.popleft()

    def over(self, epoch: int, *, full: bool) -> bool:
        """Tell whether all batches of an epoch were finished; ``full`` tells whether no other fits in.

        A loop that counts its items does not wait for the iterator's end.
        """
        latest = self.latest
        if latest is not None and not latest.parts and latest.begun == self.finished:
            self.restarted()  # an iterator that found nothing left
        return self.live.epoch == epoch and (self.live.exhausted or full) and not self.live.sizes

    def handed_out(self, loader: Iterable[T]) -> Iterator[T]:
        """Yield what a loader hands out in the loop's own pass; other iterators over it do not disturb it.

        Raises:
            RuntimeError: the loader does not hand out what it drew from here, each item once and in order.
        """
        self._claiming, self._claimed = True, False
        nothing = object()
        try:
            items = iter(loader)
            item = next(items, nothing)
        finally:
            self._claiming = False
        drew = None if self.latest is self.live else self.latest
        if not self._claimed and drew is not None and drew.held and drew.begun == self.finished:
            self._go_on_with(drew)  # an iterator that was begun before, as enumerate(loader) does
            self._claimed = True
        if not self._claimed and item is nothing and isinstance(loader, Iterator):
            raise RuntimeError(
                "the loader does not draw from controller.sampler: an iterator is gone over once only, so "
                "give what it is of"
            )
        if not self._claimed:
            raise RuntimeError("the loader does not draw from controller.sampler: give it batch_sampler=")
        mine, begun = self.live, self._begun
        try:
            while item is not nothing:
                if self.live is not mine:
                    raise RuntimeError(MOVED)
                if self._begun > begun and not mine.held:
                    raise RuntimeError(
                        "the loader was begun anew in mid-epoch, and with persistent_workers it has one "
                        "iterator only: look at the data through another loader"
                    )
                yield item  # type: ignore[misc]
                self._fetching = True
                try:
                    item = next(items, nothing)
                finally:
                    self._fetching = False
            if mine.parts and self.live is mine:
                raise RuntimeError(
                    f"{len(mine.parts)} items were drawn and not handed out: leave items out in the loop, "
                    "with controller.skip(), and not on their way to it"
                )
        finally:
            if self.live is mine:
                self._claimed = False

    def restarted(self) -> bool:
        """Go on with the latest one if it is new, outside of :meth:`handed_out`; tell whether it is.

        Raises:
            RuntimeError: it is not known whose an item is, or it is one of before.
        """
        new, live = self.latest, self.live
        if self._claimed or new is None or new is live:
            return False
        if live.exhausted and live.parts and live.held:
            raise RuntimeError("the loader has two iterators, and it is not known whose this item is")
        if new.begun != self.finished:
            raise RuntimeError("the iterator was begun before a batch that was used since: begin a new one")
        self._go_on_with(new)
        return True

    def _go_on_with(self, drawing: Drawing) -> None:
        self.live.replaced = True
        self.live = drawing
