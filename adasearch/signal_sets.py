"""The signals that must be measured: one table by what they cost, from which all lists of them follow."""

from collections.abc import Mapping
from itertools import chain

__all__ = [
    "GROUPED",
    "MEAN_GRADIENT",
    "MEASURED",
    "MOMENTS",
    "NOISE",
    "PER_STEP",
    "PRECONDITIONED",
    "SIGNAL_SETS",
]

SIGNAL_SETS: Mapping[str, tuple[str, ...]] = {
    "per_step": ("grad_norm", "grad_component_variance"),
    "mean_gradient": ("mean_grad_norm", "mean_grad_component_variance"),
    "noise": ("grad_noise", "grad_sq_norm"),
    "products": ("batch_grad_sq_norm", "half_cosine", "inner_product_variance"),
}
"""Signals that cost about the same, and are profiled together: DEBA's two kinds, the noise scale's, and those
that also take products of gradients."""

PRECONDITIONED = frozenset({"preconditioned_noise", "preconditioned_sq_norm"})
"""``tr(Sigma)`` and ``|G|^2`` of gradients over Adam's ``sqrt(v_hat) + eps``, for optimisers that have it;
they cost what "noise" does and a division, and are counted with it."""

MEASURED = tuple(chain.from_iterable(SIGNAL_SETS.values()))
"""All that any optimiser allows; the others (losses, sizes) are there for nothing, or by an evaluation."""

PER_STEP = frozenset(SIGNAL_SETS["per_step"])
"""Of the gradients of single steps."""

MEAN_GRADIENT = frozenset(SIGNAL_SETS["mean_gradient"])
"""Of the mean of an interval's gradients."""

MOMENTS = frozenset(SIGNAL_SETS["noise"])
"""``tr(Sigma)`` and ``|G|^2``."""

NOISE = MOMENTS | frozenset(SIGNAL_SETS["products"])
"""Of the noise between examples."""

GROUPED = (NOISE | PRECONDITIONED) - {"batch_grad_sq_norm"}
"""Those that compare the gradients of parts of a batch."""
