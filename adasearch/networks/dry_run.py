"""What a network makes of two images, without computing it: the check and the count before any training."""

import warnings
from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from adasearch.errors import InputError
from adasearch.signals.per_example import example_gradients

__all__ = ["check_built", "check_output", "dry_run", "dry_run_on", "multiply_adds"]


def dry_run(network: nn.Module, image_size: int) -> object:
    """Return what a network returns for two images (2, 3, image_size, image_size); see :func:`dry_run_on`."""
    return dry_run_on(network, (2, 3, image_size, image_size))


def dry_run_on(network: nn.Module, shape: Sequence[int], dtype: torch.dtype | None = None) -> object:
    """Return what a network returns for inputs of a shape, of two examples; the network is unchanged.

    Two, since that is the smallest pass of a training: BatchNorm needs it. The network's tensors are taken to
    the meta device, where shapes are worked out and nothing is computed. A network that cannot run there (one
    that looks at values) runs on zeros where it is, unless its own tensors are on the meta device.

    Raises:
        Exception: whatever the network raises.
    """
    tensors = dict(chain(network.named_parameters(), network.named_buffers()))
    with torch.no_grad():
        try:
            shadows = {name: tensor.to("meta") for name, tensor in tensors.items()}
            return functional_call(network, shadows, (torch.empty(shape, device="meta", dtype=dtype),))
        except Exception:
            if any(tensor.is_meta for tensor in tensors.values()):
                raise
        device = next(iter(tensors.values())).device if tensors else torch.device("cpu")
        kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
        with torch.random.fork_rng(devices=[]):
            return functional_call(network, kept, (torch.zeros(shape, device=device, dtype=dtype),))


def check_output(architecture: str, output: object, classes: int) -> None:
    """Refuse anything but two rows of one number per class.

    Raises:
        InputError: what was expected and what came.
    """
    wanted = f"architecture {architecture!r} must return a tensor (2, {classes}) of floats for two images"
    if not isinstance(output, Tensor):
        raise InputError(f"{wanted} and {classes} classes but returned type {type(output).__name__}")
    if output.shape != (2, classes):
        mismatch = output.ndim == 2 and len(output) == 2
        hint = f": it is built for {output.shape[1]} classes" if mismatch else ""
        raise InputError(f"{wanted} and {classes} classes but returned {tuple(output.shape)}{hint}")
    if not output.is_floating_point():
        raise InputError(f"{wanted} but returned {str(output.dtype).removeprefix('torch.')}")


def multiply_adds(network: nn.Module, image_size: int) -> int:
    """Return the multiplications with an addition that one image takes forward, as the papers count them.

    Convolutions, linear layers and attention; what works element by element (normalisation, activations) is
    not counted.

    >>> multiply_adds(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Flatten(), nn.Linear(8 * 4, 10)), image_size=2)
    416
    """
    with FlopCounterMode(display=False) as counter:
        dry_run(network, image_size)
    return int(counter.get_total_flops()) // 4  # two images, and two operations each


def check_built(name: str, build: Callable[[], nn.Module], *, ours: bool, per_example: bool) -> None:
    """Refuse a network that cannot be built; nothing is allocated where the network allows that.

    Raises:
        InputError: as ``build``, or a network without gradients per example with ``per_example``.
    """
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as those for loading weights into nothing
            network = build()
    except InputError:
        if ours:
            raise
        with torch.random.fork_rng(devices=[]):  # some look at their own weights, which meta tensors lack
            network = build()
    if per_example:
        try:
            example_gradients(network)
        except ValueError as error:
            raise InputError(f"architecture {name!r}: --{str(error).replace('_', '-', 1)}") from error
