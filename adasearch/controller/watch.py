"""What a loop does beside its controller, or what cannot be meant, said once and in one line."""

import math
import warnings
import weakref
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from adasearch.controller.loss_graph import terms_of
from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.optimizer_steps import OptimizerSteps
from adasearch.errors import InputError, LoopWarning

__all__ = ["Watch", "check_optimizer"]

MOST_UNUSED = 20  # items that a loop may pass over before its first step
MOST_DROPPED = 8  # updates that were due and not made, before it is told from a choice
MOST_IDLE = 50  # batches without an update; a GradScaler's first scale needs some 20 to come down
MOST_UNMEASURED = 3  # intervals in a row without the noise; one may be of batches that overflowed
FEWEST_MOVES = 3  # updates in a row at another learning rate each
MOST_PARTS = 8  # of a batch that are looked at, for which the device is waited for
LOOKED_AT = frozenset({1, 2, 3, *(2**n for n in range(2, 40))})  # batches


def check_optimizer(optimizer: Optimizer, model: nn.Module) -> None:
    """Refuse an optimiser that updates no parameter of the model, or scales losses by itself.

    Raises:
        InputError: it is such.
    """
    if getattr(optimizer, "optimizer", None) is not None and getattr(optimizer, "scaler", None) is not None:
        raise InputError(
            "accelerate's optimizer scales the loss by itself, and the controller does, too: give "
            "optimizer.optimizer, and scaler=accelerator.scaler"
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if held.isdisjoint(id(p) for p in model.parameters()):
        raise InputError("the optimizer has no parameter of the model: build it from model.parameters()")


class Watch:
    """Looks at what a loop does; costs next to nothing where it does what it should.

    Attributes:
        follows: whether the learning rate follows the controller's progress.

    Args:
        optimizer: whose steps are counted.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._said: set[str] = set()
        self._steps = OptimizerSteps()
        inner = getattr(optimizer, "optimizer", optimizer)  # of accelerate's wrapper
        try:
            handles = [
                inner.register_step_pre_hook(self._steps.note_begin),
                inner.register_step_post_hook(self._steps.note_end),
            ]
        except AttributeError:  # a wrapper that is no Optimizer, or does not call its initialiser
            handles = []
        self._counted = bool(handles)
        for handle in handles:
            weakref.finalize(self, handle.remove)
        shared = register_optimizer_step_post_hook(self._steps.note_other)
        weakref.finalize(self, shared.remove)
        self._steps.own = weakref.ref(inner)
        self._made = 0  # steps before the update under way
        self._unused: int | None = 0  # items passed over; None once one was used
        self._looked = False  # at a loss
        self._looks = 0  # batches whose parts are weighed by their examples
        self._over: list[tuple[tuple[float, ...], int]] = []  # of parts, and their examples
        self._idle = 0
        self._batches = self._dropped = 0
        self._last_loss = math.nan  # of the interval before
        self._rate: float | None = None  # of the update before
        self._moves = 0
        self._epoch = -1
        self._unmeasured = 0  # intervals in a row
        self.follows = False

    def say(self, line: str) -> None:
        """Warn, unless this was said before."""
        if line not in self._said:
            self._said.add(line)
            warnings.warn(line, LoopWarning, stacklevel=4)

    @property
    def in_loop(self) -> AbstractContextManager[None]:
        """Holds for as long as the loop has an item at hand."""
        return self._steps

    def others_update(self, p: nn.Parameter) -> bool:
        """Tell whether another optimiser of the loop was seen to update a parameter."""
        return id(p) in self._steps.others

    def used(self) -> None:
        """Note that the loop used an item."""
        self._unused = None

    def passed_over(self, *, pass_ended: bool = False) -> None:
        """Note an item that the loop did nothing with, or the end of a pass."""
        if self._unused is None:
            return
        self._unused += not pass_ended
        if self._unused >= MOST_UNUSED or (pass_ended and self._unused):
            self.say(
                "nothing is trained: the loop did not call controller.step(loss) for any item (where that is "
                "meant, controller.skip() says so)"
            )
            self._unused = None

    def step_begins(self, optimizer: Optimizer, epoch: int) -> None:
        """Note that the controller's own update begins."""
        rate = optimizer.param_groups[0]["lr"]
        if isinstance(rate, float):
            if rate == self._rate:
                self._moves = 0
            elif epoch == self._epoch:  # between two epochs it may well
                self._moves += 1
            self._rate, self._epoch = rate, epoch
        self._steps.ours = True
        self._steps.updates += 1
        self._made = self._steps.made

    def step_ended(self) -> None:
        """Note that it is over."""
        self._steps.ours = False

    def check_made(self) -> None:
        """Refuse an optimiser whose ``step`` did nothing.

        Raises:
            RuntimeError: it did not.
        """
        if self._counted and self._steps.made == self._made:
            raise RuntimeError(
                "optimizer.step() made no update: a framework accumulates by itself (accelerate's "
                "accumulate), but the controller does that: leave it out, and give device_batch="
            )

    def look_at(self, loss: Tensor, part: MicroBatch, *, weighed_by_examples: bool = False) -> None:
        """Look what some of the losses are means over: the first ones, and others ever more rarely."""
        if part.first:
            self._looks += weighed_by_examples
            self._over = self._over if part.passes == 1 else []
        look = weighed_by_examples and part.number < MOST_PARTS and self._looks in LOOKED_AT
        first, self._looked = not self._looked and part.examples > 1, self._looked or part.examples > 1
        if not (first or look):
            return
        terms = terms_of(loss, part.examples, products=part.passes > 1)
        if first and terms.summed:
            self.say(
                f"the loss looks like the sum over the {part.examples} examples at hand, but the controller "
                "takes it for their mean"
            )
        if not look or terms.summed:
            return
        unequal = any(_unequal(terms.over, part.examples, *other) for other in self._over)
        self._over.append((terms.over, part.examples))
        if terms.class_weights or unequal:
            self.say(
                "the loss is a mean over tokens or class weights, but the parts of a batch are weighed by "
                "their examples: give controller.step(loss, weight=...), or whole_batches=True"
            )

    def batch_ended(self, *, updated: bool) -> None:
        """Note a batch."""
        self._batches += 1
        self._idle = 0 if updated else self._idle + 1
        if self._idle == MOST_IDLE:
            self.say(f"no update was made in {MOST_IDLE} batches: gradients overflow, or all are left out")

    def update_dropped(self) -> None:
        """Note a batch that was complete and had no update; some loops mean that now and then."""
        self._dropped += not self._steps.said  # else it is told already where they are made
        if self._dropped == MOST_DROPPED and self._dropped >= self._batches / 3:
            self.say(
                f"controller.update() was not called for {self._dropped} of {self._batches + 1} batches that "
                "were complete, and their gradients are dropped: to accumulate give a larger batch_size and "
                "device_batch=, do not count batches in the loop"
            )

    def interval_ended(
        self, rows: Iterable[tuple[int, float]], ends: Sequence[float], *, resized: bool
    ) -> None:
        """Look at the last intervals' sizes and losses, and at the learning rate where the size changes.

        ``ends`` are the losses of the interval's first and last batch. A sum jumps with the size, from one
        batch to the next; what diverges does not.
        """
        *before, (size, loss) = rows
        if not math.isfinite(loss):
            self.say(f"the loss of an interval is {loss}: the weights may be lost for good")
        for former, other in before[-1:]:
            grown = math.log(size / former)
            if (
                abs(grown) > 0.4
                and min(loss, other, self._last_loss, *ends[:1]) > 0
                and (
                    abs(math.log(loss / other) - grown) < 0.1
                    and math.log(ends[0] / self._last_loss) / grown > 0.5
                )
            ):
                self.say(
                    f"the loss went from {other:.4g} to {loss:.4g} as the batch went from {former} to "
                    f"{size}: it looks like a sum, but the controller takes it for the mean"
                )
        self._last_loss = ends[-1] if ends else math.nan
        if resized and self._moves >= FEWEST_MOVES and not self.follows:
            self.say(
                "the learning rate is changed at each update, and now the batch size, too: a schedule that "
                "counts updates ends at the wrong rate; use controller.curve() or controller.progress"
            )

    def noise_measured(self, batches: int) -> None:
        """Note of how many batches of an interval the noise between examples was measured."""
        self._unmeasured = 0 if batches else self._unmeasured + 1
        if self._unmeasured == MOST_UNMEASURED:
            self.say(
                f"the noise between examples was not measured in {MOST_UNMEASURED} intervals: batches have "
                "fewer than 4 examples, or the loop leaves out parts of them (shorter items are no mistake)"
            )

    def moved_within(self, before: object, now: object) -> None:
        """Look at the learning rate of two parts of a batch."""
        if before != now:
            self.say(
                "the learning rate was changed between two parts of a batch: step its schedule where "
                "controller.step(loss) is true, or use controller.curve()"
            )


def _unequal(mine: Sequence[float], examples: int, theirs: Sequence[float], others: int) -> bool:
    """Tell whether two losses of the same form are means over something else than their examples."""
    return len(mine) == len(theirs) and any(
        a != b and abs(a * others - b * examples) > 1e-5 * abs(a * others)
        for a, b in zip(mine, theirs, strict=True)
    )
