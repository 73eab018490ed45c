"""A learning-rate schedule of ``torch.optim`` that counts examples, whatever the batch sizes are."""

import inspect
import warnings

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from adasearch.errors import InputError
from adasearch.schedulers.run_plan import unreached

__all__ = ["Curve", "budget_of", "check_builder", "usable"]

STEPS = ("T_max", "total_iters", "total_steps", "steps")  # what a schedule's class calls its length


def check_builder(schedule: object) -> None:
    """Refuse what does not build a schedule from an optimiser and a number of steps.

    Raises:
        InputError: no function, or one of other arguments; such as a class that takes something else second.
    """
    held, fits = f"a {type(schedule).__name__}", callable(schedule)
    if callable(schedule):
        try:
            second = [*inspect.signature(schedule).bind(None, 1).arguments][-1]
        except TypeError:
            held, fits = "one of other arguments", False
        except ValueError:  # a builtin may have no signature
            if not isinstance(schedule, type):
                return
            second = "unknown"
        if isinstance(schedule, type) and second not in STEPS:
            held, fits = f"the class {schedule.__name__}, whose second argument is {second}", False
    if not fits:
        raise InputError(
            f"curve() takes a function of optimiser and steps that builds a schedule, not {held}"
        )


def usable(seen: int, examples: int, batch_size: int, *, drop_last: bool) -> int:
    """Return how many of the first so many examples of a stream a run at a constant batch size uses.

    >>> [usable(seen, 100, 32, drop_last=True) for seen in (64, 98, 100, 164)]
    [64, 96, 96, 160]
    """
    if not drop_last:
        return seen
    full = examples // batch_size * batch_size
    epochs, rest = divmod(seen, examples)
    return epochs * full + min(rest, full)


def budget_of(epochs: float | None, examples: int, scheduler: object) -> int | None:
    """Return the examples of a run, if its length is known; warn of a timetable that goes beyond its end."""
    if epochs is None:
        return None
    budget = max(1, round(epochs * examples))
    if late := unreached(scheduler, budget, epochs):
        warnings.warn(late, stacklevel=3)
    return budget


class Curve:
    """Steps a schedule so that it is always where it would be in a run at a constant batch size.

    Such a run of ``budget`` examples has ``steps`` updates; the one that begins with example e is at step
    ``e * steps // budget``.

    Args:
        schedule: just built, or to be given the state of one that was followed.
        steps: that it was built for.
        budget: examples that such a run uses.
        examples_seen: of these, so far.

    Raises:
        InputError: the schedule does not count steps.
    """

    def __init__(self, schedule: LRScheduler, steps: int, budget: int, examples_seen: int) -> None:
        if not isinstance(schedule, LRScheduler) or isinstance(schedule, ReduceLROnPlateau):
            raise InputError(f"a curve must be a schedule of steps but got {type(schedule).__name__}")
        self._schedule, self._steps, self._budget = schedule, steps, budget
        self.move(examples_seen)

    def move(self, examples_seen: int) -> None:
        """Take the schedule to be where it belongs, after its state was loaded."""
        self._place = self._at(examples_seen)
        self._last: int | None = None  # step of the schedule, once the controller saw it

    def follow(self, examples_seen: int) -> str | None:
        """Step the schedule to where it belongs; say what is wrong if it was not where it was left."""
        found, left = self._step, self._place if self._last is None else self._last
        while self._place < self._at(examples_seen):
            self._schedule.step()
            self._place += 1
        self._last = self._step
        if found is None or found == left:
            return None
        if found < left:
            return (
                "a curve of controller.curve() begins anew where the run goes on, and ends at the wrong "
                "rate: its state_dict() belongs into the checkpoint, too"
            )
        return (
            "a curve of controller.curve() was stepped by the loop, too, and ends at the wrong rate: the "
            "controller steps it"
        )

    @property
    def _step(self) -> int | None:
        return getattr(self._schedule, "last_epoch", None)  # chained ones have none

    def _at(self, examples_seen: int) -> int:
        return min(examples_seen * self._steps // self._budget, self._steps - 1)
