"""What a loss is a mean over, as far as autograd's graph shows it.

The graph is followed from the loss through numbers (sums, products and quotients of terms) down to the
reductions that made them, and no further. What autograd saves is there to be looked at, and may be called
otherwise in another version: nothing is then found.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["LossTerms", "terms_of"]

MOST_NODES = 64
MEAN, SUM = 1, 2  # of the kinds of reduction in torch's autograd
SUMS = frozenset({"SumBackward0", "SumBackward1", "NansumBackward", "DotBackward0"})
PRODUCTS = frozenset({"MulBackward0", "MulBackward1", "DivBackward0", "DivBackward1"})
PLAIN = frozenset({0.5, 1.0, 2.0})  # factors that make no mean of a sum
LISTS = frozenset({"StackBackward0", "CatBackward0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTerms:
    """What the terms of a loss are.

    Args:
        summed: whether they are sums over the examples.
        class_weights: whether one is a mean with unequal weights of classes.
        over: what each is the mean over, in the order of the graph: how many numbers, the sum of their
            weights, or what a sum was divided by.
    """

    summed: bool
    class_weights: bool
    over: tuple[float, ...]


def terms_of(loss: Tensor, examples: int, *, products: bool = True) -> LossTerms:
    """Return the terms of a loss of so many examples; waits for the device.

    ``products`` tells whether a sum may be divided by a product with the reciprocal, too, and not annealed.

    >>> scores = torch.zeros(4, 3, requires_grad=True)
    >>> each = torch.nn.functional.cross_entropy(scores, torch.arange(4) % 3, reduction="none")
    >>> terms_of((each * torch.tensor([1, 0, 1, 0])).sum() / 2 + scores.square().mean(), 4)
    LossTerms(summed=False, class_weights=False, over=(2.0, 12.0))
    """
    try:
        return _terms(loss, examples, products=products)
    except RuntimeError:  # the graph was freed, or written into: whoever goes backward will hear of it
        return LossTerms(summed=False, class_weights=False, over=())


def _terms(loss: Tensor, examples: int, *, products: bool) -> LossTerms:
    sums, others, explicit = 0, 0, False
    class_weights, over = False, []
    for node, scale, divided in _reductions(loss):
        name, kind = node.name(), getattr(node, "_saved_reduction", None)
        shape = getattr(node, "_saved_self_sym_sizes", None) or (None,)
        by_hand = name in SUMS and shape[0] == examples and scale == 1
        is_sum = by_hand or (kind == SUM and scale in PLAIN and scale * examples != 1)
        sums, others, explicit = sums + is_sum, others + (not is_sum), explicit or (is_sum and kind == SUM)
        total = getattr(node, "_saved_total_weight", None)
        if name == "MeanBackward0":
            over.append(float(getattr(node, "_saved_self_sym_numel", 0)))
        elif kind == MEAN and total is not None:
            weight = getattr(node, "_saved_weight", None)
            class_weights = class_weights or (weight is not None and bool((weight != weight[0]).any()))
            over.append(float(total))
        over += [each for each, quotient in divided if quotient or products]
    summed = explicit or (sums > 0 and not others)
    return LossTerms(summed=summed, class_weights=class_weights, over=tuple(over))


def _reductions(loss: Tensor) -> Iterator[tuple[Any, float, list[tuple[float, bool]]]]:
    """Yield the reductions that a loss is made of, with the factor on each, and what sums are divided by."""
    left: list[tuple[Any, int, float, list[tuple[float, bool]]]] = [(loss.grad_fn, loss.output_nr, 1.0, [])]
    for _ in range(MOST_NODES):
        if not left:
            return
        node, output, scale, divided = left.pop()
        name = "" if node is None else node.name()
        if name not in LISTS and not _is_number(node, output):
            continue
        inner = [(each, place) for each, place in getattr(node, "next_functions", ()) if each is not None]
        if name in PRODUCTS:
            factor = _factor(node)
            quotient = name.startswith("Div")
            scale *= 0 if quotient else factor  # what something is divided by may be any count
            if factor and (quotient or (len(inner) == 1 and inner[0][0].name() in SUMS)):
                divided = [*divided, (factor if quotient else 1 / factor, quotient)]
        numbers = [edge for edge in inner if edge[0].name() in LISTS or _is_number(*edge)]
        if not numbers:
            yield node, scale, divided
        left += [(*edge, scale, divided) for edge in reversed(numbers)]


def _factor(node: Any) -> float:
    """Return what a product or quotient was taken with; 0 if that is another term or a parameter."""
    other = getattr(node, "_saved_other", 0)
    if isinstance(other, Tensor):
        known = other.numel() == 1 and not (other.requires_grad or other.is_complex())
        return float(other) if known else 0.0
    return float(other) if isinstance(other, (int, float)) else 0.0


def _is_number(node: Any, output: int) -> bool:
    shapes = getattr(node, "_input_metadata", None) or ()
    return output < len(shapes) and torch.Size(shapes[output].shape).numel() == 1
