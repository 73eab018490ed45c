"""Which parameters an optimiser updates now: they may be frozen, added or taken away in mid-run."""

import operator
from collections import Counter
from collections.abc import Callable
from itertools import chain

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from adasearch.errors import InputError

__all__ = ["Trained", "parallel_in"]

COMPLEX_SINCE = "2.14"  # of PyTorch, whose DDP measures complex parameters as it does real ones
MOST_LEFT = 8  # batches in which nobody updates what was thawed, before it is told from another's turn


def parallel_in(model: nn.Module) -> DistributedDataParallel | None:
    """Return the DDP in a model: itself, or what a wrapper such as ``torch.compile``'s holds.

    Raises:
        InputError: there are several.
    """
    found = [module for module in model.modules() if isinstance(module, DistributedDataParallel)]
    if len(found) > 1:
        raise InputError(
            f"the model must hold one DistributedDataParallel around all, but it holds {len(found)}"
        )
    return found[0] if found else None


class Trained:
    """The parameters that an optimiser updates, in the order of their model; those of no model come last.

    What the model had once and has no more is none of them: an optimiser keeps a head that was replaced.

    Attributes:
        found: these, as they were found last.
        reached: all that can have a gradient, as it was found last: the model's, and what else the optimiser
            holds.

    Args:
        optimizer: asked at each call.
        model: what is trained.
    """

    def __init__(self, optimizer: Optimizer, model: nn.Module) -> None:
        self._optimizer = optimizer
        self._model = model
        self._reduced: set[int] | None = None
        self._told: list[nn.Parameter] = []
        self._required: list[bool] = []  # whether each requires a gradient
        self._former: dict[int, nn.Parameter] = {}  # all that the model ever had, so that no id comes again
        self.found: list[nn.Parameter] = []
        self._others: list[nn.Parameter] = []  # of the model, and not the optimiser's
        self._outside: list[nn.Parameter] = []  # the optimiser's, and of no model
        self._idle: set[int] = set()  # of the others, what joins the training later, or may have been meant
        self._left: Counter[int] = Counter()  # batches in which these had a gradient
        self.look()

    @property
    def device(self) -> torch.device:
        """Where the first of them is, or the first that the optimiser holds."""
        held: list[nn.Parameter] = [p for group in self._optimizer.param_groups for p in group["params"]]
        return next(p.device for p in chain(self.found, held))

    def devices(self) -> set[torch.device]:
        """Return where they are."""
        return {p.device for p in self()}

    def __call__(self) -> list[nn.Parameter]:
        """Return the parameters.

        Raises:
            InputError: one of them is not averaged over the processes.
        """
        told = [p for group in self._optimizer.param_groups for p in group["params"]]
        same = len(told) == len(self._told) and all(map(operator.is_, told, self._told))
        if not (same and [p.requires_grad for p in told] == self._required):  # at each step: loops in C
            self.look()
        return self.found

    def with_others(self) -> list[nn.Parameter]:
        """Return them, and what else of the model a backward pass reaches."""
        return [*self(), *(p for p in self._others if p.requires_grad)]

    def look(self) -> None:
        """Look at model and optimiser anew."""
        self._told = [p for group in self._optimizer.param_groups for p in group["params"]]
        self._required = [p.requires_grad for p in self._told]
        held = {id(p): p for p in self._told}
        model = {id(p): p for p in self._model.parameters()}
        strange = [p for key, p in held.items() if key not in self._former and key not in model]
        # Of the first model none joins later, unless the optimiser was built for another one.
        known = self._former or ({} if strange else model)
        self._idle -= held.keys()
        self._idle |= {
            key for key, p in model.items() if key not in held and (not p.requires_grad or key not in known)
        }
        self._former |= model
        inside = [p for key, p in model.items() if key in held]
        self._outside = [p for key, p in held.items() if key not in self._former]
        self.found = [p for p in chain(inside, self._outside) if p.requires_grad]
        self._others = [p for key, p in model.items() if key not in held]
        self.reached = list((model | held).values())
        self._check_reduced()

    def reduce_by(self, parallel: DistributedDataParallel) -> None:
        """Refuse parameters from here on that DDP does not average.

        Raises:
            InputError: one of the present ones is such, or complex under a PyTorch not tried with it.
        """
        if torch.__version__ < COMPLEX_SINCE and any(p.is_complex() for p in self.found):
            raise InputError(
                "complex parameters in DistributedDataParallel need torch 2.14 but this is "
                f"{torch.__version__}: with 2.9 what was measured of them was wrong"
            )
        self._reduced = {id(p) for p in parallel.parameters() if p.requires_grad}
        self._check_reduced()

    def _check_reduced(self) -> None:
        if self._reduced is None:
            return
        names = {id(each): repr(name) for name, each in self._model.named_parameters()}
        for p in self.found:
            if id(p) not in self._reduced:
                name = names.get(id(p), f"of shape {tuple(p.shape)}")
                raise InputError(
                    f"parameter {name} is trained, but DistributedDataParallel does not average it: that "
                    "takes what was trainable when it was built, so wrap the model anew, for a new controller"
                )

    def clear_others(self) -> None:
        """Forget the gradients of the model's other parameters, or they would add up over all batches.

        Raises:
            InputError: a parameter is not averaged over the processes.
        """
        self()
        unmeant = all(p.grad is None for p in self._outside)  # parameters of a loss have one
        for p in self._others:
            if p.grad is not None and unmeant and id(p) in self._idle:
                self._left[id(p)] += 1
            p.grad = None

    def forgotten(self, updated: Callable[[nn.Parameter], bool]) -> str | None:
        """Return the name of a parameter that joined in mid-run, and that nobody updates."""
        if not self._left or max(self._left.values()) != MOST_LEFT:
            return None
        named = self._model.named_parameters()
        return next((name for name, p in named if self._left[id(p)] == MOST_LEFT and not updated(p)), None)
