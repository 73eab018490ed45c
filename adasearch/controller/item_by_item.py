"""A step of a controller in pieces, for frameworks that call backward and the optimiser themselves."""

from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from adasearch.controller.arguments import check_loss
from adasearch.controller.batch_gradient import BatchGradient
from adasearch.controller.loaders import check_processes
from adasearch.controller.micro_batch import MicroBatch
from adasearch.controller.random_numbers import RandomNumbers
from adasearch.controller.readings import Readings
from adasearch.controller.trained import Trained
from adasearch.errors import InputError
from adasearch.training.optimizer import Update

__all__ = ["ItemByItem"]


class ItemByItem(Readings):
    """The part of a controller that knows what became of each item; see ``BatchSizeController``."""

    _gradient: BatchGradient
    _random: RandomNumbers
    _trained: Trained
    _update: Update
    _scaler: GradScaler | None
    _unscaled: bool  # whether it divided gradients of which no update came
    _measured: bool  # whether the batch at hand left a gradient
    _last_lr: Any  # at the part before
    _settled: bool  # whether the item at hand went backward or was left out
    _updates_itself: bool  # whether the loop calls step(), and not backward() and update()

    def update(self) -> None:
        """Step the optimiser at the coupled learning rate, and decide if it is time."""
        if not (self.part.last and self._settled):
            raise RuntimeError(
                "the batch is not complete: call update() where controller.backward(loss) is true"
            )
        if self._measured and not self._update.any_gradient():
            self._watch.say(
                "the gradients were cleared behind controller.backward(), so controller.update() changes "
                "nothing: the controller clears them itself"
            )
        self.before_update()
        try:
            updated = self._update.step()
            if updated:
                self._watch.check_made()
        except BaseException:
            self._update.end()
            self._watch.step_ended()
            raise
        self.after_update(updated=updated)

    def begin(self) -> MicroBatch:
        """Begin with the next item that the loader handed out, and return what it is.

        For frameworks that call backward and the optimiser's step themselves: this, :meth:`record`,
        :meth:`measure`, :meth:`before_update` and :meth:`after_update` are :meth:`step` in pieces. An item
        for which :meth:`record` was not called counts as left out.

        Raises:
            RuntimeError: the last part of a batch was recorded and :meth:`after_update` did not follow.
        """
        if self.sampler.restarted():
            self._part = None
        if self._part is not None and self._part.last and not self._settled:
            self._watch.passed_over()
            self._end_batch(updated=False, ends=True)
        elif self._part is not None and self._part.last:
            raise RuntimeError(
                "a batch had no after_update(), updated or not; a framework must not accumulate by itself: "
                "the controller makes the batches as large as they are to be"
            )
        self._random.restore()
        check_processes(self.sampler.num_replicas)
        part = self._part = self.sampler.take()
        self._settled = False
        if part.first:
            self._intervals.begin(part)
        self._gradient.begin(part)
        if name := self._trained.forgotten(self._watch.others_update):
            self._watch.say(
                f"parameter {name!r} was thawed, added or replaced, but no optimizer updates it: give it "
                "to the controller's with add_param_group(), or build a new controller with the new optimizer"
            )
        return part

    def record(self, loss: Tensor) -> None:
        """Count the mean loss of the part at hand.

        Raises:
            InputError: several processes have unequal shares of the batch, which DDP averages as equal ones.
        """
        part, processes = self._unsettled(), self.sampler.num_replicas
        if part.batch_size % processes:
            raise InputError(
                f"a framework weighs all {processes} processes alike, so they cannot share a batch of "
                f"{part.batch_size}: give limits=Limits(..., multiple_of={processes})"
            )
        check_loss(loss, backward=False)
        self._watch.used()
        self._watch.look_at(loss, part)
        self._gradient.record(loss, part)
        self._look_at_rate(part)
        self._settled = True

    def measure(self) -> None:
        """Measure the gradient of the whole batch, once it is complete and before anything changes it."""
        part = self.part
        if not part.last:
            raise InputError(
                f"no update is due with part {part.number + 1} of {part.passes} of a batch: what makes every "
                "item an update, as Lightning does, needs whole_batches=True"
            )
        self._gradient.complete(part.batch_size)
        self._measured = self._update.any_gradient()
        self._unscaled = self._scaler is not None

    def before_update(self) -> None:
        """Set the coupled learning rate, and what follows it; call it right before the update."""
        self._watch.step_begins(self._optimizer, self.epoch)
        scale = self.part.batch_size / self._intervals.initial_batch_size
        self._update.begin(self._intervals.lr_scale, scale)

    def after_update(self, *, updated: bool = True) -> None:
        """Give the learning rate back as it was, count the batch, and decide if the interval is over.

        ``updated`` is False where a scaler of the loss skipped the update.
        """
        if not isinstance(updated, (bool, np.bool_)):
            raise InputError(f"updated must be True or False but is of type {type(updated).__name__}")
        self._update.end()
        self._watch.step_ended()
        self._unscaled = False
        self._end_batch(updated=updated, ends=updated)

    def _end_batch(self, *, updated: bool, ends: bool) -> None:
        """Count the batch; ``ends`` tells whether the interval may end with it."""
        batch_size = self.part.batch_size
        self._part = None
        self.sampler.finish()
        shown = 0 if ends and not updated else self._gradient.shown  # nor does what was left out tell a loss
        self._intervals.end(batch_size, updated=updated, ends=ends, shown=shown)
        if self.steps:  # before the first update torch takes a schedule's step for a mistake
            for curve in self._curves:
                if wrong := curve.follow(self._constantly(self.examples_seen)):
                    self._watch.say(wrong)

    def _leave_out(self) -> bool:
        part = self._unsettled()
        self._gradient.leave_out(part)
        whole = self._settle(part)
        if whole and self._updates_itself:
            self.update()
        return whole

    def _unsettled(self) -> MicroBatch:
        if self._settled and self._part is not None:
            raise RuntimeError("the item at hand went backward already: give the sum of its losses at once")
        return self.part

    def _settle(self, part: MicroBatch) -> bool:
        """Go on after a part that was taken in or left out; tell whether an update is due."""
        self._look_at_rate(part)
        self._settled = True
        if part.last and self._gradient.sound:
            self.measure()
            return True
        if part.last:
            self._end_batch(updated=False, ends=True)
        return False

    def _look_at_rate(self, part: MicroBatch) -> None:
        """Compare the learning rate that the loop has by now set for a part with that of the part before."""
        if part.passes > 1:
            rate = self._optimizer.param_groups[0]["lr"]
            if not part.first:
                self._watch.moved_within(self._last_lr, rate)
            self._last_lr = rate

    def _pass_over(self) -> None:
        """Settle what a loop made of the item at hand, if it is not."""
        if self._part is not None and not self._settled:
            self._watch.passed_over()
            if self._leave_out() and not self._updates_itself:
                self._watch.say(
                    "the last part of a batch was passed over, so its update was dropped: call "
                    "controller.skip(), which tells whether controller.update() is due"
                )
        if self._part is not None and self._part.last:
            if self._gradient.sound:
                self._watch.update_dropped()
            self._drop_update()
            self._end_batch(updated=False, ends=True)

    def _drop_update(self) -> None:
        """Make the scaler of the loss ready for the next batch if the loop left out the update of one."""
        if self._unscaled and self._scaler is not None:
            self._unscaled = False
            with suppress(AssertionError):  # that it saw no gradient
                self._scaler.update()
