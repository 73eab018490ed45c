"""An optimiser's update at a coupled learning rate, behind a scaler of the loss or without one."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import SGD, AdamW, Optimizer

from adasearch.errors import InputError
from adasearch.schedulers.follow import NOTHING, Followed
from adasearch.training.config import Hyperparameters
from adasearch.training.muon import MuonWithAdamW

__all__ = ["Update", "make_optimizer"]

MOVED = ("lr", "betas", "weight_decay")


def make_optimizer(
    hyper: Hyperparameters,
    parameters: Sequence[nn.Parameter],
    *,
    matrices: Collection[nn.Parameter] = (),
    scaled: bool = False,
) -> Optimizer:
    """Return the optimiser that is asked for, fused where the device has such a kernel.

    Args:
        hyper: which, and its settings.
        parameters: to train.
        matrices: those of them that Muon takes, see :func:`adasearch.training.muon.hidden_matrices`.
        scaled: whether it is stepped behind a scaler of the loss.

    Raises:
        InputError: Muon without matrices.
    """
    fused = True if parameters[0].device.type in ("cpu", "cuda") else None  # None leaves it to PyTorch
    betas = (hyper.beta1, hyper.beta2)
    if hyper.optimizer == "muon":
        taken = set(matrices)
        return MuonWithAdamW(
            [p for p in parameters if p in taken],
            [p for p in parameters if p not in taken],
            lr=hyper.lr,
            weight_decay=hyper.weight_decay,
            momentum=hyper.muon_momentum,
            betas=betas,
            eps=hyper.eps,
            fused=fused,
        )
    if hyper.optimizer == "adamw":
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
        followed: what follows the batch size beside the learning rate.
    """

    def __init__(self, optimizer: Optimizer, scaler: GradScaler | None, followed: Followed = NOTHING) -> None:
        self._optimizer = optimizer
        self._scaler = scaler
        self._followed = followed
        self._former: list[dict[str, Any]] = []  # settings of before, while others are set
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

    def begin(self, factor: float, scale: float) -> None:
        """Multiply the learning rates, and set what follows the size.

        Args:
            factor: on the learning rates.
            scale: the batch size over the initial one.

        Raises:
            RuntimeError: the update before was not ended.
        """
        if self._former:
            raise RuntimeError("before_update() was not followed by after_update(), updated or not")
        groups = self._optimizer.param_groups
        self._former = [{name: group[name] for name in MOVED if name in group} for group in groups]
        for group in groups:
            group["lr"] = group["lr"] * factor
            if self._followed.beta2 and "betas" in group:
                first, second = group["betas"]
                group["betas"] = (first, self._followed.beta2_at(second, scale))
            if self._followed.weight_decay and "weight_decay" in group:
                decay = group["weight_decay"]
                group["weight_decay"] = self._followed.weight_decay_at(decay, scale=scale, factor=factor)
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
        return 0 < scale <= self._scaler.get_scale()  # it falls where a step was skipped, down to 0

    def any_gradient(self) -> bool:
        """Tell whether any of the optimiser's parameters has a gradient."""
        for group in self._optimizer.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    return True
        return False

    def end(self) -> None:
        """Give the learning rates, and what followed, back as they were."""
        for group, former in zip(self._optimizer.param_groups, self._former, strict=True):
            group.update(former)
        self._former = []
