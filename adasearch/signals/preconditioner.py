"""What Adam divides a gradient by, as AdaptDL's code has it for the noise of preconditioned gradients.

For a parameter with second moments v after t updates, beta2 and eps of its group::

    sqrt(v / (1 - beta2 ** t)) + eps,    and 1 while t < 5

so it is the denominator of the update before the one that is measured, and does not depend on the batch at
hand. (AdaptDL: ``AdamGradientNoiseScale`` in adaptdl/torch/gradient_noise_scale.py of
github.com/petuum/adaptdl.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, NAdam, Optimizer

from adasearch.signals.flat_gradient import plain, sum_dtype

__all__ = ["Preconditioner", "has_second_moments", "preconditioner_of"]

Preconditioner = Callable[[Sequence[nn.Parameter | Tensor]], list[Tensor]]
"""From parameters to what their gradients are divided by, each in its parameter's shape."""

FIRST_STEPS = 5


def has_second_moments(optimizer: Optimizer) -> bool:
    """Tell whether an optimiser keeps Adam's second moments of all its parameters."""
    return isinstance(optimizer, Adam | NAdam)  # AdamW is an Adam


def preconditioner_of(optimizer: Optimizer) -> Preconditioner:
    """Return what tells Adam's denominators; asked anew at each step that is measured."""

    def divisors(parameters: Sequence[nn.Parameter | Tensor]) -> list[Tensor]:
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        return [_divisor(p, optimizer.state.get(p, {}), groups.get(id(p), {})) for p in parameters]

    return divisors


def _divisor(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """Return a parameter's denominator, of complex numbers for each component."""
    if "exp_avg_sq" not in state:
        return torch.ones_like(plain(parameter.detach()))
    moments = plain(state["exp_avg_sq"])
    # Where the number of steps is kept on the device it stays there: nothing is waited for.
    step = torch.as_tensor(state["step"], device=moments.device).to(sum_dtype(moments.device))
    correction = (1 - group["betas"][1] ** step).to(moments.dtype)
    root = (moments / correction).sqrt().add_(group["eps"])
    return torch.where(step < FIRST_STEPS, torch.ones((), dtype=root.dtype, device=root.device), root)
