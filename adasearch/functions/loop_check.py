"""What a training function's loop does that no trial could end by, or that is not what it looks like."""

import warnings
from collections.abc import Iterable, Iterator

from adasearch.controller.controller import BatchSizeController
from adasearch.errors import InputError, LoopWarning
from adasearch.training.task import FunctionTask

__all__ = ["LoopCheck"]

MOST_EMPTY = 100_000  # further loops over batches after the end; nobody means as many
MOST_LATE = 50  # batches beyond the budget; a GradScaler's first scale needs some 20 to come down
GONE_OVER_ONCE = frozenset({"builtins", "itertools", "torch.utils.data.dataloader"})  # the iterators of these


class LoopCheck:
    """Looks at the loops of one run.

    Args:
        budget: of the run, in examples.
        function: what it is told.
    """

    def __init__(self, budget: int, function: FunctionTask) -> None:
        self._budget, self._function = budget, function
        self._loops = self._empty = self._late = 0

    def begins(
        self, controller: BatchSizeController, loader: Iterable[object], *, over: bool, stopped: bool
    ) -> None:
        """Look at a loop that begins.

        Args:
            controller: of the run.
            loader: of the loop.
            over: whether it has no batch, since the run is over.
            stopped: whether that is before its end.

        Raises:
            InputError: its loader ends with the first epoch, and the run does not.
            RuntimeError: there were very many behind the run's end.
        """
        once = isinstance(loader, Iterator) and type(loader).__module__ in GONE_OVER_ONCE
        if once and self._function.epochs > controller.epoch + 1:
            raise InputError(
                "trial.batches() goes over the loader in each epoch, but an iterator "
                f"({type(loader).__name__}) ends with the first: give it the loader, and enumerate or change "
                "what trial.batches() yields"
            )
        self._loops += not over
        self._empty += over
        if self._empty == self._loops == 1 and not stopped and self._function.phase != "rehearsal":
            warnings.warn(
                "trial.batches(loader) goes over all epochs, so a loop over epochs around it runs once, and "
                "what that does after each epoch, such as stepping a schedule, is done once: use "
                "controller.curve()",
                LoopWarning,
                stacklevel=4,
            )
        if self._empty > MOST_EMPTY:
            raise RuntimeError("the function goes on although its trial is over: return after trial.batches")

    def goes_on(self, controller: BatchSizeController) -> None:
        """Look at a loop that takes an item.

        Raises:
            InputError: the budget is used, and for long nothing ended the interval that reaches it.
        """
        self._late += controller.part.first and controller.examples_seen >= self._budget
        if self._late <= MOST_LATE:
            return
        if not controller.steps:
            raise InputError(
                "the loop makes no update: call controller.step(loss) for what trial.batches(loader) yields"
            )
        raise InputError(
            f"none of the last {MOST_LATE} batches was used whole: the loop leaves out all or parts of each, "
            "or gradients overflow (is the loss finite?)"
        )
