"""An optimiser's update at a coupled learning rate, behind a scaler of the loss or without one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import SGD, AdamW, Optimizer

from adasearch.errors import InputError
from adasearch.training.config import Hyperparameters

__all__ = ["Update", "make_optimizer"]


def make_optimizer(
    hyper: Hyperparameters, parameters: Sequence[nn.Parameter], *, scaled: bool = False
) -> Optimizer:
    """Return the optimiser that is asked for, fused where the device has such a kernel.

    ``scaled`` tells that it is stepped behind a scaler of the loss.
    """
    fused = True if parameters[0].device.type in ("cpu", "cuda") else None  # None leaves it to PyTorch
    if hyper.optimizer == "adamw":
        betas = (hyper.beta1, hyper.beta2)
        return AdamW(
            parameters, lr=hyper.lr, betas=betas, eps=hyper.eps, weight_decay=hyper.weight_decay, fused=fused
        )
    sgd = SGD(
        parameters,
        lr=hyper.lr,
        momentum=hyper.momentum,
        nesterov=hyper.nesterov,
        weight_decay=hyper.weight_decay,
        fused=fused,
    )
    if scaled and hyper.momentum:
        # The fused kernel makes them at its first step and, where that one overflows, leaves them at whatever
        # the memory held (torch 2.14). From zeros, the first step that counts sets them to its gradient.
        for p in parameters:
            sgd.state[p]["momentum_buffer"] = torch.zeros_like(p)
    return sgd


class Update:
    """What is done around ``optimizer.step``, in the order of the methods.

    Args:
        optimizer: whose learning rates and gradients these are.
        scaler: of the loss, for half precision; None leaves loss and gradients as they are.
    """

    def __init__(self, optimizer: Optimizer, scaler: GradScaler | None) -> None:
        self._optimizer = optimizer
        self._scaler = scaler
        self._lrs: list[float] = []  # of before, while others are set
        self.lr = float("nan")  # at the last update, of the first group

    def clear(self) -> None:
        """Forget the gradients; ``zero_grad`` does no more but takes twice as long."""
        for group in self._optimizer.param_groups:
            for p in group["params"]:
                p.grad = None

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss to go backward from."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def unscale(self) -> float:
        """Divide the gradients by what the loss was multiplied by, and return that.

        Raises:
            InputError: the loop did so already.
        """
        if self._scaler is None or not self.any_gradient():
            return 1.0
        scale = self._scaler.get_scale()
        try:
            self._scaler.unscale_(self._optimizer)
        except RuntimeError as error:  # once per update
            raise InputError(
                "scaler.unscale_() was called beside the controller, which does that itself: leave it out"
            ) from error
        return scale

    def begin(self, factor: float) -> None:
        """Multiply the learning rates.

        Raises:
            RuntimeError: the update before was not ended.
        """
        if self._lrs:
            raise RuntimeError("before_update() was not followed by after_update(), updated or not")
        groups = self._optimizer.param_groups
        self._lrs = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] = group["lr"] * factor
        self.lr = float(groups[0]["lr"])

    def step(self) -> bool:
        """Step the optimiser, unless a gradient overflowed; tell whether the weights were updated.

        Raises:
            InputError: the optimiser steps with a closure.
        """
        try:
            return self._step()
        except (AssertionError, TypeError) as error:
            if "closure" not in str(error):
                raise
            raise InputError(
                f"{type(self._optimizer).__name__} steps with a closure: where controller.backward(loss) is "
                "true, call controller.before_update(), optimizer.step(closure) and controller.after_update()"
            ) from error

    def _step(self) -> bool:
        if self._scaler is None or not self.any_gradient():  # a scaler refuses to step without one
            self._optimizer.step()
            return True
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return self._scaler.get_scale() >= scale  # it falls where a step was skipped, and only there

    def any_gradient(self) -> bool:
        """Tell whether any of the optimiser's parameters has a gradient."""
        groups = self._optimizer.param_groups
        return any(p.grad is not None for group in groups for p in group["params"])

    def end(self) -> None:
        """Give the learning rates back as they were."""
        for group, lr in zip(self._optimizer.param_groups, self._lrs, strict=True):
            group["lr"] = lr
        self._lrs = []
