"""What a loop hands to its controller, refused in one line where it is of another kind."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from adasearch.errors import InputError, one_line, shortened
from adasearch.records import Limits

__all__ = ["check_arguments", "check_loss", "check_options", "number_of", "weights_of", "whole_number"]


def check_arguments(
    model: nn.Module,
    optimizer: Optimizer,
    *,
    batch_size: int,
    limits: Limits | None,
    interval: float,
    device_batch: int | None,
    seed: int,
    evaluate: Callable[[], float] | None,
) -> None:
    """Check the kinds of what a controller is built from; their ranges are checked where they matter.

    Raises:
        InputError: one of them is of another kind.
    """
    groups = getattr(optimizer, "param_groups", None)
    _check(
        ("model", model, isinstance(model, nn.Module), "a torch.nn.Module"),
        ("optimizer", optimizer, isinstance(groups, list) and bool(groups), "one torch.optim.Optimizer"),
        ("batch_size", batch_size, _whole(batch_size), "a whole number"),
        ("limits", limits, limits is None or isinstance(limits, Limits), "adasearch.Limits or None"),
        ("interval", interval, isinstance(interval, Real) and interval is not True, "a number of epochs"),
        (
            "device_batch",
            device_batch,
            device_batch is None or _whole(device_batch),
            "a whole number or None",
        ),
        ("seed", seed, _whole(seed), "a whole number"),
        ("evaluate", evaluate, evaluate is None or callable(evaluate), "a function or None"),
    )


def check_options(*, scaler: GradScaler | None, log: object, **flags: bool) -> None:
    """Check the kinds of what is beside them.

    Raises:
        InputError: one of them is of another kind.
    """
    scales = all(callable(getattr(scaler, name, None)) for name in ("scale", "unscale_", "step", "update"))
    _check(
        ("scaler", scaler, scaler is None or scales, "a torch.amp.GradScaler or None"),
        (
            "log",
            log,
            log is None or callable(log),
            "a function, such as adasearch.trackers.RunLog(...), or None",
        ),
        *((name, flag, isinstance(flag, (bool, np.bool_)), "True or False") for name, flag in flags.items()),
    )


def _check(*rows: tuple[str, object, bool, str]) -> None:
    for name, value, fits, wanted in rows:
        if not fits:
            raise InputError(f"{name} must be {wanted} but is {_held(value)}")


def whole_number(value: object, name: str) -> int:
    """Return a whole number that the loop handed over.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise InputError(f"{name} must be a whole number but is {_held(value)}")
    return int(value)


def _held(value: object) -> str:
    if isinstance(value, (Real, str)) and not isinstance(value, Tensor):
        return shortened(repr(value))
    return f"of type {type(value).__name__}"


def weights_of(weights: Tensor | Sequence[float]) -> Tensor:
    """Return weights of examples as a tensor of the controller's own.

    Raises:
        InputError: they are no numbers.
    """
    try:
        found = torch.as_tensor(weights)
        if found.is_complex():
            raise TypeError("they are complex")
        return found.detach().to("cpu", torch.float64, copy=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"weights must be numbers, one for each example, but are of type {type(weights).__name__} "
            f"({one_line(error)})"
        ) from error


def number_of(value: object, what: str) -> float:
    """Return a number that the loop handed over.

    Raises:
        InputError: it is none.
    """
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError("a text")
        return float(value.detach() if isinstance(value, Tensor) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"{what} must be one number but is of type {type(value).__name__}") from error


def check_loss(loss: Tensor, *, backward: bool = True) -> None:
    """Check that a loss is one, and with ``backward`` that one can go backward from it.

    Raises:
        InputError: it is not one number, or depends on nothing that is trained.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1 or loss.is_complex():
        if isinstance(loss, Tensor) and loss.is_complex():
            raise InputError("the loss must be a real number but is complex")
        held = f"has shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"is {type(loss).__name__}"
        raise InputError(
            f"the loss must be a tensor of one number, the mean over the examples at hand, but {held}"
        )
    if backward and not loss.requires_grad:
        raise InputError("the loss has no gradient: it depends on no parameter that requires one")


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
