"""What a training function's evaluation finds: figures by name, and which of them is minimised."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from adasearch.controller.arguments import number_of
from adasearch.errors import InputError, few
from adasearch.objective import is_fraction
from adasearch.training.checkpoint import gathered
from adasearch.training.processes import Processes

__all__ = ["LOSS", "Evaluate", "figures_of", "objective_in"]

Evaluate = Callable[[], float | Mapping[str, float]]
"""Returns the objective, or several figures by name."""

LOSS = "loss"
"""What a function's only figure is called, and which of several is the validation loss."""


def figures_of(
    evaluate: Evaluate, objective: str | None, model: nn.Module, processes: Processes
) -> dict[str, float]:
    """Return what an evaluation finds by name, averaged over the processes; the model trains on as before.

    Args:
        evaluate: the function's own.
        objective: what is minimised; None where the figures are to tell.
        model: which evaluation may leave in another mode.
        processes: all of which evaluate.

    Raises:
        InputError: no figure, one that is no number, none of the objective, a fraction outside 0 to 1, or
            others in another process.
    """
    modes = [(module, module.training) for module in model.modules()]
    with torch.set_grad_enabled(torch.is_grad_enabled()):  # it may leave gradients switched off
        returned = evaluate()
    for module, mode in modes:
        module.training = mode
    if not isinstance(returned, Mapping):
        returned = {objective or LOSS: returned}
    if not returned:
        raise InputError("evaluate returns no figure")
    figures = {str(name): number_of(each, f"evaluate's {name}") for name, each in returned.items()}
    _check_names(figures)
    mean = {name: processes.sum(each) / processes.count for name, each in sorted(figures.items())}
    mean = {name: mean[name] for name in figures}
    name = objective_in(objective, mean)
    if is_fraction(name) and math.isfinite(mean[name]) and not 0 <= mean[name] <= 1:
        raise InputError(
            f"evaluate's {name} must be a fraction in 0 to 1, as its name says, but is {mean[name]:g}"
        )
    return mean


def _check_names(figures: Mapping[str, float]) -> None:
    """Refuse figures that are others in another process: it would wait, or take them for its own."""
    names = [sorted(each["figures"]) for each in gathered({"figures": list(figures)})]
    for other in names:
        if other != names[0]:
            raise InputError(
                f"evaluate returns {few(names[0])} in one process and {few(other)} in another: return the "
                "same figures in every process, which are averaged"
            )


def objective_in(objective: str | None, figures: Mapping[str, float]) -> str:
    """Return which of the figures is minimised.

    Raises:
        InputError: the objective is none of them.
    """
    if objective is None:
        return LOSS if LOSS in figures else next(iter(figures))
    if objective in figures:
        return objective
    raise InputError(f"evaluate returns {few(list(figures))}, and not the objective {objective!r}")
