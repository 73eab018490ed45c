"""What a loop can read of its controller, and let its learning rate follow."""

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from adasearch.controller.arguments import whole_number
from adasearch.controller.curve import Curve, check_builder, usable
from adasearch.controller.intervals import Intervals
from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.sampler import ResizableBatchSampler
from adasearch.controller.watch import Watch
from adasearch.errors import InputError, require
from adasearch.records import Decision, Signals

__all__ = ["Readings"]


class Readings:
    """The part of a controller that only tells; see :class:`~adasearch.BatchSizeController`."""

    sampler: ResizableBatchSampler
    _optimizer: Optimizer
    _intervals: Intervals
    _watch: Watch
    _part: MicroBatch | None
    _budget: int | None  # examples of the run
    _curves: list[Curve]
    _examples: int  # of an epoch
    _drop_last: bool

    @property
    def epoch(self) -> int:
        """Epochs that were completed."""
        return self.sampler.epoch

    @property
    def steps(self) -> int:
        """Updates of the weights that were made."""
        return self._intervals.steps

    @property
    def examples_seen(self) -> int:
        """Examples that the run has passed: used, or left out by the loop or by ``drop_last``."""
        return self._intervals.examples_seen

    @property
    def history(self) -> list[Signals]:
        """A row for each interval that ended."""
        return self._intervals.history

    @property
    def decision(self) -> Decision:
        """What was decided last, in force for batches not yet drawn."""
        return self._intervals.decision

    @property
    def lr_scale(self) -> float:
        """The factor on the learning rate of the batch at hand."""
        return self._intervals.lr_scale

    @property
    def batch_size(self) -> int:
        """The size of batches not yet drawn, in examples over all processes."""
        return self.sampler.batch_size

    @property
    def progress(self) -> float:
        """How much of the run is over, in [0, 1], in examples: what a learning rate can follow.

        Raises:
            InputError: the controller was built without ``epochs``.
        """
        self._watch.follows = True
        return min(self.examples_seen / self._length, 1.0)

    @property
    def _length(self) -> int:
        if self._budget is None:
            raise InputError("progress and curves need the length of the run: give the controller epochs=")
        return self._budget

    def curve(
        self, schedule: Callable[[Optimizer, int], LRScheduler], steps: int | None = None
    ) -> LRScheduler:
        """Build a schedule of ``torch.optim.lr_scheduler`` and step it by examples, after each batch.

        At a constant batch size it is at each update where a loop that steps it with each update has it, and
        ends as it would, whatever the sizes are. Its state belongs into the checkpoint, as always::

            curve = controller.curve(lambda optimizer, steps: OneCycleLR(optimizer, 0.1, total_steps=steps))

        Args:
            schedule: takes the optimiser and how many updates a run at the first batch size has.
            steps: another number of them.

        Raises:
            InputError: a schedule that follows a metric, or a controller built without ``epochs``.
        """
        budget = self._constantly(self._length)
        count = (
            -(-budget // self._intervals.initial_batch_size)
            if steps is None
            else whole_number(steps, "steps")
        )
        require(count >= 1, "steps must be at least 1", steps=count)
        check_builder(schedule)
        built = schedule(self._optimizer, count)
        self._curves.append(Curve(built, count, budget, self._constantly(self.examples_seen)))
        self._watch.follows = True
        return built

    def _constantly(self, examples: int) -> int:
        """Return how many of so many examples a run at the first batch size uses."""
        size = self._intervals.initial_batch_size
        return usable(examples, self._examples, size, drop_last=self._drop_last)

    @property
    def part(self) -> MicroBatch:
        """What the loop holds: the size of its batch, and which part of it this is."""
        if self._part is None:
            raise RuntimeError(
                "no batch was begun: iterate over controller.batches(loader), and use each item at once"
            )
        return self._part
