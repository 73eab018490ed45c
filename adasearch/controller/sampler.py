"""Batches of any size for a torch ``DataLoader``, from an endless stream of permutations.

A size change takes effect on the next batch not yet drawn. A loader with worker processes draws ahead
(``num_workers * prefetch_factor`` items), so the batches already on their way keep the size they were drawn
with; :meth:`ResizableBatchSampler.take` says, in order, what each item that arrives really is.

Epochs. One pass over the loader is one permutation, and the first batch that reaches its end is the pass's
last. With ``drop_last=False`` that batch is completed from the next permutation, so it is never short and
every example comes exactly once per permutation, whatever the sizes. With ``drop_last=True`` the rest of a
permutation that no longer fills a batch is left out, as torch's ``BatchSampler`` does; it is passed with the
batch before it, so that the epoch is over even where a smaller batch would fit from then on.

Whoever else reads the loader gets the rest of the epoch as it would be drawn now, and changes nothing.
"""

import hashlib
import math
import random
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar
from weakref import ref

import torch
from torch import Tensor
from torch import distributed as dist
from torch.utils.data import Sampler

from adasearch.controller.arguments import whole_number
from adasearch.controller.drawing import MOVED, Drawing, Drawings
from adasearch.controller.halves import Halves
from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.state import SamplerState, check_place
from adasearch.data.permutations import PermutationStream, part_rows
from adasearch.data.weighted_draws import weighted_draws
from adasearch.errors import InputError, require

__all__ = ["ResizableBatchSampler"]

T = TypeVar("T")

FEWEST = 4  # examples of a batch that is halved, since BatchNorm needs two in each


class ResizableBatchSampler(Sampler[list[int]]):
    """A batch sampler whose batch size may change at any time, between any two batches.

    For each item that the loader hands out call :meth:`take`, once the batch it completes has been used
    :meth:`finish`, and after each pass :meth:`end_epoch`; :class:`~adasearch.BatchSizeController` does all
    three. Iterators of which nothing is taken leave no trace. What was taken and not finished comes again: on
    the next pass over the loader if a loop was left early, or after loading a checkpoint. So nothing is
    skipped or repeated, however far the loader was ahead.

    Args:
        examples: length of the data set, at least 1.
        batch_size: to begin with; examples per optimiser step over all processes, at least one each.
        device_batch: greatest number of examples in one item; larger shares are cut into parts whose sizes
            differ by at most one. At least 4 (so that no part of a batch of two or more examples a process
            has fewer than two, which BatchNorm needs); None never cuts.
        halves: which batches are cut in two where they are in one part and have four examples or more; None
            for none. Of one process.
        seed: of the permutations.
        weights: draw each epoch with replacement, in proportion to these, one for each example; None draws
            permutations.
        drop_last: leave out the rest of a permutation that does not fill a batch.
        num_replicas: processes that share each batch; None asks ``torch.distributed``.
        rank: of this process among them; None asks ``torch.distributed``.

    >>> sampler = ResizableBatchSampler(10, batch_size=4)
    >>> drawing = iter(sampler)
    >>> len(next(drawing)), sampler.take().batch_size
    (4, 4)
    >>> sampler.finish()
    >>> sampler.resize(6)
    >>> len(next(drawing)), sampler.take().batch_size
    (6, 6)
    """

    def __init__(
        self,
        examples: int,
        batch_size: int,
        *,
        device_batch: int | None = None,
        halves: Halves | None = None,
        seed: int = 0,
        weights: Tensor | None = None,
        drop_last: bool = False,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.num_replicas = (
            (dist.get_world_size() if together else 1) if num_replicas is None else num_replicas
        )
        self.rank = (dist.get_rank() if together else 0) if rank is None else rank
        require(examples >= 1, "examples must be at least 1", examples=examples)
        inside = 0 <= self.rank < self.num_replicas
        require(inside, "rank must lie in [0, num_replicas)", rank=self.rank, num_replicas=self.num_replicas)
        fits = device_batch is None or device_batch >= 4
        require(fits, "device_batch must be at least 4", device_batch=device_batch)
        self._examples = examples
        self._device_batch = device_batch
        self._halves = halves
        self._seed = seed
        self._drop_last = drop_last
        self._epoch = 0
        self._offset = 0  # in the stream, of the first batch that was not finished
        self._drawings = Drawings()
        self._taken: MicroBatch | None = None
        self.evaluating = False  # nobody may draw meanwhile
        self.controlled = False  # a controller puts it where it was, with restore(); no loader does
        draw, self._digest = None, None
        if weights is not None:
            fits = weights.shape == (examples,)
            require(fits, f"weights must be {examples}, one for each example", shape=tuple(weights.shape))
            exact = weights.detach().to("cpu", torch.float64)
            draw = partial(weighted_draws, exact, seed)
            draw(0)  # refuses weights that cannot be
            self._digest = hashlib.blake2b(exact.numpy().tobytes(), digest_size=8).hexdigest()
        self._stream = PermutationStream(examples, partial(_seed_of, seed), draw)
        self.resize(batch_size)

    @property
    def batch_size(self) -> int:
        """Size of the next batch not yet drawn."""
        return self._batch_size

    @property
    def epoch(self) -> int:
        """Passes over the loader that were completed."""
        return self._epoch

    @property
    def position(self) -> int:
        """Examples of the stream that were passed: finished, or left out by ``drop_last``."""
        return self._offset

    @property
    def drawn(self) -> int:
        """Batches drawn so far, finished or still on their way."""
        return self._drawings.finished + len(self._drawings.live.sizes)

    def resize(self, batch_size: int) -> None:
        """Draw all further batches with this size.

        Raises:
            InputError: a process would get no example or, with ``drop_last``, an epoch no batch.
        """
        batch_size, least = whole_number(batch_size, "batch_size"), self.num_replicas
        require(batch_size >= least, "batch_size must be at least 1 per process", batch_size=batch_size)
        full = not self._drop_last or batch_size <= self._examples
        require(full, f"with drop_last batch_size must be at most {self._examples}", batch_size=batch_size)
        self._batch_size = batch_size
        self._pass_rest()

    def passes(self, batch_size: int) -> int:
        """Return into how many parts each process's share of a batch is cut, if it is none of ``halves``."""
        return math.ceil(batch_size / (self.num_replicas * (self._device_batch or batch_size)))

    def _halved(self, offset: int, batch_size: int) -> bool:
        return self._halvable(batch_size) and self._halves is not None and self._halves.of(offset, batch_size)

    def _halvable(self, batch_size: int) -> bool:
        return self._halves is not None and batch_size >= FEWEST and self.passes(batch_size) == 1

    def halved_by(self, batch_size: int) -> int:
        """Return by which place in the stream a batch of this size will have come in halves; 0 for none."""
        if self._halves is None or not self._halvable(batch_size):
            return 0
        return self._halves.next_end(self._offset, batch_size)

    def __len__(self) -> int:
        """Return how many items are left of the epoch, if all batches not yet drawn have the present size.

        Items are batches, or parts of them where a batch comes in several. What was handed out and not
        finished counts as left. A progress bar takes it for a guess: it is right while the size stays.
        """
        offset, end, size = self._offset, (self._epoch + 1) * self._examples, self._batch_size
        items = 0
        for drawn in self._drawings.live.sizes:
            items += self.passes(drawn) + self._halved(offset, drawn)
            offset += drawn
        places = range(offset, end - size + 1 if self._drop_last else end, size)
        halved = sum(self._halved(place, size) for place in places) if self._halvable(size) else 0
        return items + len(places) * self.passes(size) + halved

    def __iter__(self) -> Iterator[list[int]]:
        """Draw the rest of the epoch, from the first batch that was not finished."""
        if self.evaluating:
            raise InputError(
                "evaluate= reads the training's loader, which hands out an epoch's rest: give it its own"
            )
        drawing = self._drawings.begin(self._epoch, self._offset)
        iterator = self._draw(drawing)
        drawing.iterator = ref(iterator)
        return iterator

    def _draw(self, drawing: Drawing) -> Iterator[list[int]]:
        """Yield the example numbers of this process's parts, batch after batch."""
        end = (drawing.epoch + 1) * self._examples
        offset, batch = drawing.offset, 0
        while offset < end:
            if drawing.replaced:
                raise RuntimeError(MOVED)
            if self._drop_last and self._offset >= end:
                break
            ahead = batch - drawing.finished
            size = drawing.sizes[ahead] if ahead < len(drawing.sizes) else self._batch_size
            if self._drop_last and offset + size > end:
                break
            if ahead == len(drawing.sizes):
                drawing.sizes.append(size)
            indices = self._stream.indices(offset, size).tolist()  # at once: each call on a tensor takes long
            halved = self._halved(offset, size)
            passes = 2 if halved else self.passes(size)
            for number in range(passes):
                rows = part_rows(size, self.num_replicas * passes, self.rank * passes + number)
                mine = indices[rows]
                drawing.parts.append(
                    MicroBatch(
                        batch_size=size, examples=len(mine), number=number, passes=passes, halved=halved
                    )
                )
                self._drawings.latest = drawing
                yield mine
            offset += size
            batch += 1
        drawing.exhausted = True
        self._drawings.latest = drawing

    def handed_out(self, loader: Iterable[T]) -> Iterator[T]:
        """Yield what a loader hands out in the loop's own pass; see :meth:`Drawings.handed_out`."""
        return self._drawings.handed_out(loader)

    def restarted(self) -> bool:
        """Go on with a new iterator, outside of :meth:`handed_out`, if one was begun; tell whether it was."""
        return self._drawings.restarted()

    def take(self) -> MicroBatch:
        """Return what the item is that the loader handed out; call it once for each item, in order."""
        if self.restarted():
            self._taken = None
        parts = self._drawings.live.parts
        if not parts:
            raise RuntimeError(
                "take() was called more often than the loader handed out items of controller.sampler: "
                "a framework may have replaced the loader's batch_sampler"
            )
        self._taken = parts.popleft()
        return self._taken

    def finish(self) -> None:
        """Count the batch whose last part was taken as used."""
        if self._taken is None or not self._taken.last:
            raise RuntimeError("finish() needs the last part of a batch to be taken first")
        self._offset += self._drawings.finish()
        self._taken = None
        self._pass_rest()

    def _pass_rest(self) -> None:
        """Pass what ``drop_last`` leaves out once no further batch was drawn and none fits."""
        live, end = self._drawings.live, (self._epoch + 1) * self._examples
        ended = live.exhausted and live.epoch == self._epoch
        if self._drop_last and not live.sizes and (ended or self._offset + self._batch_size > end):
            self._offset = end

    def end_epoch(self) -> bool:
        """Begin the next epoch if all batches of this one were finished; tell whether they were."""
        end = (self._epoch + 1) * self._examples
        if not self._drawings.over(self._epoch, full=self._offset >= end):
            return False
        self._epoch += 1
        if self._drop_last:
            self._offset = end  # a framework's iterator may end before, too
        return True

    def state_dict(self) -> SamplerState:
        """Return the position after the last finished batch, and the sizes of those drawn beyond it."""
        state: SamplerState = {
            "examples": self._examples,
            "seed": self._seed,
            "drop_last": self._drop_last,
            "epoch": self._epoch,
            "offset": self._offset,
            "batch_size": self._batch_size,
            "drawn": list(self._drawings.live.sizes),
        }
        return state if self._digest is None else {**state, "weights": self._digest}

    def load_state_dict(self, state: SamplerState) -> None:
        """Go on where another sampler was, as :meth:`restore` does; of a controller's the place is checked.

        torchdata's loaders call this with the state of when an item was *drawn*: what was finished and
        decided since is not in it, so the controller's own state holds.

        Raises:
            InputError: the other sampler's stream was another one, or it was further than the controller's.
        """
        if not self.controlled:
            self.restore(state)
            return
        check_place(state)
        at_hand = next(iter(self._drawings.live.sizes), self._batch_size)
        if state["offset"] + sum(state["drawn"]) > self._offset + at_hand:
            raise InputError(
                "the loader's state is of a later place than the controller's: load the state that "
                "controller.state_dict() gave with it, before the loop"
            )

    def restore(self, state: SamplerState) -> None:
        """Go on where another sampler of the same data, seed and ``drop_last`` was.

        The number of processes and ``device_batch`` may differ.

        Raises:
            InputError: the other sampler's stream was another one.
        """
        check_place(state)
        for name, theirs, mine in (
            ("examples", state["examples"], self._examples),
            ("seed", state["seed"], self._seed),
            ("drop_last", state["drop_last"], self._drop_last),
            ("weights", state.get("weights"), self._digest),
        ):
            require(theirs == mine, f"the checkpoint has {name}={theirs}", **{name: mine})
        for size in (*state["drawn"], state["batch_size"]):
            self.resize(size)
        self._epoch, self._offset = state["epoch"], state["offset"]
        self._taken = None
        self._drawings.move(self._epoch, self._offset, state["drawn"])
        self._pass_rest()  # which earlier versions did at the epoch's end


def _seed_of(seed: int, number: int) -> int:
    """Return the seed of one permutation, so that any can be drawn alone.

    Another one than that of :mod:`adasearch.data.batches`: stored results and checkpoints hang on both.
    """
    return random.Random(f"{seed}/{number}").getrandbits(63)
