"""The gradient of a batch, put together from those parts of it that a loop went backward on."""

import math

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.trained import Trained
from adasearch.errors import InputError, require
from adasearch.signals.interval import IntervalMeter
from adasearch.training.optimizer import Update
from adasearch.training.processes import Processes

__all__ = ["BatchGradient"]


class BatchGradient:
    """Adds up what the parts of a batch give: their gradients and their losses.

    Per batch: for each part :meth:`add` or :meth:`leave_out`, after the last :meth:`complete`. A part that
    was left out has no share in the gradient, as if its loss were 0.

    Parts are weighed by their examples or, where a loss is the mean over something else (such as tokens, or
    weights of classes), by what the loop says; the sum of such weights is known with the last part only.

    Between two parts the sum is kept aside, so nothing else that goes backward through the network, such as
    the loss of another one that is trained against it, gets into it.

    Attributes:
        shown: examples of this process whose loss is in.

    Args:
        update: of the optimiser whose gradients these are.
        meter: of the interval under way.
        processes: that share the batch.
        trained: the parameters that the optimiser updates.
        ddp: the network, if there are several processes.
    """

    def __init__(
        self,
        update: Update,
        meter: IntervalMeter,
        processes: Processes,
        trained: Trained,
        ddp: DistributedDataParallel | None,
    ) -> None:
        self._update, self._meter, self._processes = update, meter, processes
        self._trained = trained
        self._forward = _Forward()
        if ddp is not None:
            ddp.register_forward_hook(self._forward.note)
        self._together = ddp is not None
        self.shown = 0
        self._cleared = False
        self._weighted = False  # whether the loop weighs the parts
        self._told = False  # whether it said so for this batch
        self._agreed = not self._together  # whether all processes know
        self._weight = 0.0  # of this process's parts so far
        self._weighted_loss: Tensor | float | None = None
        self._kept: dict[nn.Parameter, Tensor | None] = {}
        self._broken = False

    def begin(self, part: MicroBatch) -> None:
        """Begin with a part that was handed out."""
        self._forward.ran = self._cleared = False
        if not part.first:
            self._trained()  # the loop may have changed it
        else:
            self._trained.clear_others()
            self.shown = 0
            self._broken = False
            self._kept = {}
            self._told = False
            self._weight, self._weighted_loss = 0.0, None

    def clear(self) -> None:
        """Forget all gradients, so that those of what goes backward beside the controller can be told."""
        for p in self._trained.reached:
            p.grad = None
        self._cleared = True

    @property
    def disturbed(self) -> bool:
        """Whether something went backward since :meth:`clear`; it gets lost."""
        self._trained()  # the loop may have changed it
        return self._cleared and any(p.grad is not None for p in self._trained.reached)

    def add(self, loss: Tensor, part: MicroBatch, weight: float | None) -> None:
        """Go backward from a part's mean loss; the sum over all parts is the gradient of the batch's.

        ``weight`` is that of what the loss is the mean over; None for the part's examples.

        Raises:
            InputError: it is negative or not finite, or given for some parts of a batch only.
        """
        whole = part.passes == 1 and not self._together
        if weight is not None:
            require(0 <= weight < math.inf, "weight must be finite and at least 0", weight=weight)
        if not part.first and self.shown:
            same = self._weighted == (weight is not None and not whole)
            require(same, "weight= belongs to all parts of a batch or to none", weight=weight)
        elif self._together and self._agreed:
            same = self._weighted == (weight is not None)
            require(same, "on several processes weight= belongs to all batches or to none", weight=weight)
        self._weighted, self._told = weight is not None and not whole, True
        if weight == 0:  # the mean over nothing
            self.leave_out(part)
            return
        self._give_back()
        # DDP averages over processes: with this weight the sum over parts is the mean over the batch.
        counted = part.examples if weight is None or whole else weight
        share = self._processes.count * counted / part.batch_size
        try:
            self._update.scaled(loss if share == 1 else loss * share).backward()
        except BaseException as error:  # what it added to the sum of the parts before cannot be taken back
            self._broken = self._broken or any(kept is not None for kept in self._kept.values())
            self._forward.ran = False
            if isinstance(error, RuntimeError) and "through the graph a second time" in str(error):
                raise InputError(
                    "what the loss was computed from went backward already: leave loss.backward() to the "
                    "controller, and detach what is carried over from the item before"
                ) from error
            raise
        if self._weighted:
            self._weight += counted
            heavy = self._meter.number(loss) * counted
            self._weighted_loss = heavy if self._weighted_loss is None else self._weighted_loss + heavy
            self.shown += part.examples
        else:
            self.record(loss, part)
        self._meter.take(counted, self._trained.found)
        self._put_aside(part)

    def record(self, loss: Tensor, part: MicroBatch) -> None:
        """Count a part's mean loss."""
        self._meter.add_loss(self._meter.number(loss) * part.examples)
        self.shown += part.examples

    def leave_out(self, part: MicroBatch) -> None:
        """Go on without a part."""
        self._trained()
        self._give_back()
        if part.last and self._together:
            self._join_the_others()
        self._put_aside(part)

    def complete(self, batch_size: int) -> None:
        """Measure the gradient, once all parts are through and before anything changes it."""
        if not self._agreed:
            self._agree()
        if not self._weighted:
            self._meter.join()
            self._meter.observe(self._update.unscale())
            return
        total, shown = self._processes.sum(self._weight), self._processes.sum(self.shown)
        unit = total / batch_size
        self._meter.join(unit, self._weight)
        scale = self._update.unscale()
        for p in self._trained.reached:
            if p.grad is not None:
                p.grad.div_(unit)
        if self._weighted_loss is not None:
            self._meter.add_loss(self._weighted_loss * (shown / total))
        self._meter.observe(scale * unit)

    def _agree(self) -> None:
        """Learn whether parts are weighed, for a process that left out all of the first batches.

        Raises:
            InputError: some processes weigh them and some do not.
        """
        weighed = self._processes.sum(float(self._told and self._weighted))
        if self._processes.sum(float(self._told and not self._weighted)) and weighed:
            raise InputError("weight= belongs to the parts of all processes or to none")
        self._weighted, self._agreed = weighed > 0, True

    @property
    def sound(self) -> bool:
        """Whether there is a gradient to update with, once all parts are through; equal on all processes."""
        if self.shown or not self._together:
            return self.shown > 0 and not self._broken
        # Nothing of this process is in it. If nothing of any is, all of them find zeros.
        return any(p.grad is not None and bool(p.grad.any()) for p in self._trained())

    def _give_back(self) -> None:
        """Put the sum of the parts before back, or clear what is left of the batch before."""
        for p in self._trained.reached:
            p.grad = self._kept.get(p) if self._kept else None

    def _put_aside(self, part: MicroBatch) -> None:
        if not part.last:
            self._kept = {p: p.grad for p in self._trained.reached}
            for p in self._kept:
                p.grad = None

    def _join_the_others(self) -> None:
        """Take part in DDP's reduction with zeros, for which the other processes wait.

        Raises:
            InputError: the network's forward pass, which is to be joined in, too, was left out.
        """
        if not self._forward.ran:
            raise InputError(
                "under DDP a process cannot leave a batch out by itself before its forward pass: the others "
                "wait for it; call the model on it, then controller.skip()"
            )
        sums = [p.sum() for p in self._trained.with_others()]
        torch.autograd.backward(sums, [torch.zeros_like(each) for each in sums])


class _Forward:
    """Whether a forward pass was run; holds nothing, since DDP is never freed of what leads back to it."""

    def __init__(self) -> None:
        self.ran = False

    def note(self, *_: object) -> None:
        self.ran = self.ran or torch.is_grad_enabled()
