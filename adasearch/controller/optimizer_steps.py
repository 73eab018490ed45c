"""An optimiser's steps, and those that are made beside the controller."""

import warnings
from weakref import ReferenceType, WeakKeyDictionary

from torch.optim import Optimizer

from adasearch.errors import LoopWarning

__all__ = ["OptimizerSteps"]


class OptimizerSteps:
    """Counts an optimiser's steps; leads to nothing, so that the optimiser holds no controller.

    A step is the controller's if it begins or ends in an update of the controller's, or has one within, in
    its closure: frameworks go backward there.
    """

    def __init__(self) -> None:
        self.made = 0
        self.updates = 0  # that the controller began
        self.ours = False
        self._known: int | None = None  # of these when the step began, None if it began in one
        self.said = False
        self.in_loop = False
        self.own: ReferenceType[object] | None = None
        self.others: set[int] = set()  # parameters that other optimisers update, by id
        self._known_others: WeakKeyDictionary[Optimizer, int] = WeakKeyDictionary()

    def __enter__(self) -> None:
        self.in_loop = True

    def __exit__(self, *_: object) -> None:
        self.in_loop = False

    def note_begin(self, *_: object) -> None:
        """Note that a step of the optimiser begins."""
        self._known = None if self.ours else self.updates

    def note_end(self, *_: object) -> None:
        """Note that it ended; warn, once, if it was not the controller's."""
        self.made += 1
        if self._known == self.updates:
            self._say_beside("optimizer.step() is")

    def note_other(self, optimizer: Optimizer, *_: object) -> None:
        """Note a step of any optimiser of the program."""
        own = None if self.own is None else self.own()
        if own is None or optimizer is own or self.ours or not self.in_loop:
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if self._known_others.get(optimizer) == len(parameters):
            return
        self._known_others[optimizer] = len(parameters)
        self.others.update(map(id, parameters))
        groups = getattr(own, "param_groups", ())
        if not self.others.isdisjoint(id(p) for group in groups for p in group["params"]):
            self._say_beside(f"step() of another {type(optimizer).__name__} with the same parameters is")

    def _say_beside(self, what: str) -> None:
        if not self.said:
            self.said = True
            warnings.warn(
                f"{what} called beside the controller, whose step() or update() does it: such an update is "
                "not counted, measured or coupled",
                LoopWarning,
                stacklevel=4,
            )
