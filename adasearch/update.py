"""An optimiser's update at a coupled learning rate, behind a scaler of the loss or without one."""

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

__all__ = ["Update"]


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
        """Forget the gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss to go backward from."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def unscale(self) -> float:
        """Divide the gradients by what the loss was multiplied by, and return that."""
        if self._scaler is None:
            return 1.0
        scale = self._scaler.get_scale()
        self._scaler.unscale_(self._optimizer)
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
        """Step the optimiser, unless a gradient overflowed; tell whether the weights were updated."""
        if self._scaler is None:
            self._optimizer.step()
            return True
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return self._scaler.get_scale() >= scale  # it falls where a step was skipped, and only there

    def end(self) -> None:
        """Give the learning rates back as they were."""
        for group, lr in zip(self._optimizer.param_groups, self._lrs, strict=True):
            group["lr"] = lr
        self._lrs = []
