"""How the learning rate follows the batch size, for methods that have no rule of their own.

With ``S = B/B0``, B the size really reached and B0 the initial one, the factor on the learning rate is::

    none      unchanged
    linear    S                               (the ratio of learning rate to batch is kept)
    sqrt      sqrt(S)                         (common with Adam)
    adascale  r = (v + m) / (v/S + m)         (AdaScale SGD's gain, Johnson et al., arXiv 2007.05105)

with ``v = tr(Sigma)/B0``, the variance of a gradient at the initial size, and ``m = |G|^2``. The gain lies
between 1 and S: S where noise dominates, 1 where there is none.

Where we differ from AdaScale: it also stretches the timetable (progress counts r per step) and averages over
steps; here progress is counted in examples, and the smoothing runs over intervals. |G|^2 is unbiased, so its
average may be negative; it then counts as 0. AdaptDL's code keeps v at 1e-6 or more, which caps the gain of
gradients that small; ours has no floor. Below the initial size (S < 1) the gain lies between S and 1.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from adasearch.errors import require
from adasearch.records import Decision, Signals
from adasearch.schedulers.base import smooth
from adasearch.signal_sets import MOMENTS

__all__ = ["Coupling", "couple", "coupling_needs", "gain", "require_coupling"]

Coupling = Literal["none", "linear", "sqrt", "adascale"]
COUPLINGS = ("none", "linear", "sqrt", "adascale")
DECAY = 0.8  # of the averages over intervals in the gain: about five intervals count


def require_coupling(coupling: str) -> None:
    """Refuse a coupling that does not exist."""
    require(coupling in COUPLINGS, f"coupling must be one of {[*COUPLINGS]}", coupling=coupling)


def coupling_needs(coupling: Coupling) -> frozenset[str]:
    """Return the signals that the coupling reads."""
    return MOMENTS if coupling == "adascale" else frozenset()


def gain(v: float, m: float, scale: float) -> float:
    """Return AdaScale's ``(v + m) / (v/S + m)`` for variance v, squared norm m, both at least 0, and S.

    >>> gain(1.0, 0.0, 4.0), gain(0.0, 1.0, 4.0), gain(1.0, 1.0, 4.0)
    (4.0, 1.0, 1.6)
    """
    if v + m == 0:
        return 1.0
    share = v / (v + m)  # a tiny v divided by S could vanish and leave 0/0
    return 1 / (share / scale + (1 - share))


def couple(
    coupling: Coupling, history: Sequence[Signals], decision: Decision, *, decay: float = DECAY
) -> Decision:
    """Return ``decision`` with the learning-rate factor that fits its size; ``decay`` is of the averages.

    The factor is absolute: 1 stands for the initial size. With "adascale" it follows the noise, so it may
    change on a hold. The newest row's signals must be finite.
    """
    last = history[-1]
    scale = decision.batch_size / last.initial_batch_size
    if coupling == "none":
        return decision
    if coupling == "linear":
        factor = scale
    elif coupling == "sqrt":
        factor = math.sqrt(scale)
    else:
        v = max(smooth(history, "grad_noise", decay), 0.0) / last.initial_batch_size
        factor = gain(v, max(smooth(history, "grad_sq_norm", decay), 0.0), scale)
    return dataclasses.replace(decision, lr_scale=factor)
