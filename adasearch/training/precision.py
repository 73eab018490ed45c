"""What a run's numbers are computed in: automatic mixed precision, TF32, and the kernels that cuDNN picks."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.amp.grad_scaler import GradScaler

from adasearch.records import Precision

__all__ = ["autocast", "let_cudnn_try", "loss_scaler", "set_tf32"]

MIXED = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of a forward pass; weights and gradients stay in single precision."""
    mixed = MIXED.get(precision)
    return nullcontext() if mixed is None else torch.autocast(device.type, mixed)


def loss_scaler(precision: Precision, device: torch.device) -> GradScaler | None:
    """Return what scales the loss, so that small gradients do not vanish in float16; None for the others."""
    return GradScaler(device.type) if precision == "float16" else None


def set_tf32(precision: Precision, device: torch.device) -> None:
    """Let single-precision matrix products and convolutions on a GPU round to TF32, or see that none does.

    PyTorch's own default rounds convolutions alone, so that "float32" would be neither.

    Raises:
        ValueError: TF32 was asked for on another device.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"
    elif precision == "tf32":
        raise ValueError(f"precision tf32 needs a GPU but the device is {device.type}")


def let_cudnn_try(device: torch.device, *, same_size: bool) -> None:
    """Let cuDNN time its kernels for the shapes to come, where they are those of the interval before.

    Timing costs some steps; a size that may change again after its first interval would not earn them back.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = same_size
