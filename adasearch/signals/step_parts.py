"""What is kept of the passes of one step: its gradient so far, and parts of it."""

from collections.abc import Sequence

from torch import Tensor, nn

from adasearch.errors import InputError
from adasearch.signals.flat_gradient import accumulated, added

__all__ = ["StepParts"]


class StepParts:
    """The parts of a step's gradient; sums of them are gradients, and those are lists of tensors.

    Attributes:
        taken: passes, or examples, that were taken so far.
        half: the sum of the first half's.
        groups: the sum of each group's, and how many examples each has, or their weight.
        local: this worker's, by parameter.
        divisors: what preconditioned gradients are divided by, in the same parts; empty until asked for.
    """

    def __init__(self) -> None:
        self._total: list[Tensor | None] = []  # the gradient so far, by parameter
        self.taken = 0
        self.half: list[Tensor] = []
        self.groups: list[tuple[float, list[Tensor]]] = []
        self.local: dict[Tensor, Tensor] = {}
        self.divisors: list[Tensor] = []

    def add_to_half(self, parts: list[Tensor]) -> None:
        """Count a part to the first half."""
        self.half = added(self.half, parts)

    def add_to_group(self, group: int, examples: float, parts: list[Tensor]) -> None:
        """Count a part, of so many examples or such a weight, to the last group or to a new one."""
        if group == len(self.groups):
            self.groups.append((examples, added([], parts)))
        else:
            count, total = self.groups[group]
            self.groups[group] = (count + examples, added(total, parts))

    def set_aside(self, parameters: Sequence[nn.Parameter]) -> None:
        """Move a pass's gradients into the step's, by the additions that accumulation would have made."""
        self._total = self._total or [None] * len(parameters)
        for number, p in enumerate(parameters):
            so_far, gradient = self._total[number], p.grad
            if gradient is not None:
                self._total[number] = gradient if so_far is None else accumulated(so_far, gradient)
                p.grad = None
        self.taken += 1

    def give_back(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give the parameters the step's gradient.

        Raises:
            InputError: no part of it was set aside, so that it is still there.
        """
        if not self.taken:
            raise InputError(
                "the noise between examples needs the parts of a batch, of which none was taken: call "
                "controller.backward(loss), or use a scheduler that does not need it"
            )
        for p, total in zip(parameters, self._total, strict=True):
            p.grad = total
