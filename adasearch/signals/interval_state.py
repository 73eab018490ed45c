"""An interval under way, in plain numbers."""

from collections.abc import Sequence
from typing import TypedDict

from torch import Tensor

__all__ = ["IntervalState"]


class IntervalState(TypedDict):
    """An interval under way in plain numbers; ``mean_gradient`` is empty unless a scheduler needs it.

    ``steps`` are those whose update was made, ``sums`` those of the signals: of norms over ``measured``
    steps, of the noise over as many as its ``noise_count``.
    """

    stride: int
    steps: int
    examples: int
    loss: float
    measured: int
    sums: dict[str, float]
    mean_gradient: Sequence[Tensor | None]
