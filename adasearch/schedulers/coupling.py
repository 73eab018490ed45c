"""How the learning rate follows the batch size, for methods that have no rule of their own.

With ``S = B/B0``, B the size really reached and B0 the initial one, the factor on the learning rate is::

    none           unchanged
    linear         S                               (the ratio of learning rate to batch is kept)
    sqrt           sqrt(S)                         (common with Adam)
    power          S ** coupling_exponent          (0 to 1: sqrt at 0.5, linear at 1)
    adascale       r = (v + m) / (v/S + m)         (AdaScale SGD's gain, Johnson et al., arXiv 2007.05105)
    adascale_root  sqrt(r)                         (AdaptDL's rule for Adam and AdamW)

with ``v = tr(Sigma)/B0``, the variance of a gradient at the initial size, and ``m = |G|^2``. The gain lies
between 1 and S: S where noise dominates, 1 where there is none. Exponents between 0.5 and 1 are what speed
runs of GPT-2 take (modded-nanogpt: 0.5 and 0.6).

The field ``noise`` says of which gradients v and m are. "raw": of gradients as they are. "preconditioned": of
gradients over ``sqrt(v_hat) + eps``, Adam's denominator before the step, as AdaptDL's code measures them for
Adam and AdamW (ones for a parameter's first five updates); that needs such an optimiser. "auto", the default,
does as AdaptDL does: with Adam or AdamW the noise is preconditioned and "adascale" takes the root, with other
optimisers neither.

Where we differ from AdaScale: it also stretches the timetable (progress counts r per step) and averages over
steps; here progress is counted in examples, and the smoothing runs over intervals. |G|^2 is unbiased, so its
average may be negative; it then counts as 0. AdaptDL's code keeps v at 1e-6 or more, which caps the gain of
gradients that small; ours has no floor. Below the initial size (S < 1) the gain lies between S and 1. AdaptDL
has a gain for each of the optimiser's groups, and sets Adam's averages back when the size changes; here one
serves all, and the averages go on.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, Protocol

from adasearch.errors import require
from adasearch.records import Decision, Signals
from adasearch.schedulers.base import smooth
from adasearch.signal_sets import MOMENTS, PRECONDITIONED

__all__ = [
    "Coupled",
    "Coupling",
    "Noise",
    "couple",
    "coupled",
    "coupling_needs",
    "gain",
    "moments_of",
    "needs_of",
    "require_coupling",
    "require_of",
]

Coupling = Literal["none", "linear", "sqrt", "power", "adascale", "adascale_root"]
COUPLINGS = ("none", "linear", "sqrt", "power", "adascale", "adascale_root")
Noise = Literal["auto", "raw", "preconditioned"]
NOISES = ("auto", "raw", "preconditioned")
MEASURED_BY = ("adascale", "adascale_root")
DECAY = 0.8  # of the averages over intervals in the gain: about five intervals count


class Coupled(Protocol):
    """The fields of a method whose learning rate follows its size."""

    @property
    def coupling(self) -> Coupling:
        """By which rule."""
        ...

    @property
    def coupling_exponent(self) -> float:
        """Of "power"."""
        ...

    @property
    def noise(self) -> Noise:
        """Of which gradients the noise is."""
        ...


def require_coupling(coupling: str, exponent: float = 0.5, noise: str = "auto") -> None:
    """Refuse a coupling or a noise that does not exist, and an exponent outside [0, 1]."""
    require(coupling in COUPLINGS, f"coupling must be one of {[*COUPLINGS]}", coupling=coupling)
    require(0 <= exponent <= 1, "coupling_exponent must lie in [0, 1]", coupling_exponent=exponent)
    require(noise in NOISES, f"noise must be one of {[*NOISES]}", noise=noise)


def require_of(rule: Coupled) -> None:
    """Refuse what :func:`require_coupling` does in a method's fields."""
    require_coupling(rule.coupling, rule.coupling_exponent, rule.noise)


def moments_of(noise: Noise) -> tuple[str, str]:
    """Return the names of such gradients' ``tr(Sigma)`` and ``|G|^2``; "auto" is raw until it is settled."""
    if noise == "preconditioned":
        return "preconditioned_noise", "preconditioned_sq_norm"
    return "grad_noise", "grad_sq_norm"


def coupling_needs(coupling: Coupling, noise: Noise = "auto") -> frozenset[str]:
    """Return the signals that the coupling reads."""
    if coupling not in MEASURED_BY:
        return frozenset()
    return PRECONDITIONED if noise == "preconditioned" else MOMENTS


def needs_of(rule: Coupled) -> frozenset[str]:
    """Return the signals that a method's coupling reads."""
    return coupling_needs(rule.coupling, rule.noise)


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
    coupling: Coupling,
    history: Sequence[Signals],
    decision: Decision,
    *,
    decay: float = DECAY,
    exponent: float = 0.5,
    noise: Noise = "auto",
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
    elif coupling == "power":
        factor = scale**exponent
    else:
        variance, square = moments_of(noise)
        v = max(smooth(history, variance, decay), 0.0) / last.initial_batch_size
        factor = gain(v, max(smooth(history, square, decay), 0.0), scale)
        factor = math.sqrt(factor) if coupling == "adascale_root" else factor
    return dataclasses.replace(decision, lr_scale=factor)


def coupled(
    rule: Coupled, history: Sequence[Signals], decision: Decision, *, decay: float = DECAY
) -> Decision:
    """Return a method's decision with the factor that its fields ask for, see :func:`couple`."""
    return couple(
        rule.coupling,
        history,
        decision,
        decay=decay,
        exponent=rule.coupling_exponent,
        noise=rule.noise,
    )
