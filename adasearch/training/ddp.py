"""A network on several processes, whose own gradients are seen before they are reduced."""

import warnings

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from adasearch.errors import InputError
from adasearch.signals.interval import IntervalMeter

__all__ = ["in_parallel", "show_gradients"]


def in_parallel(network: nn.Module) -> DistributedDataParallel:
    """Return a network with reduced gradients; its buffers are averaged before each evaluation instead."""
    # torch 2.14 renames broadcast_buffers; the former name works with every version that we admit.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)


def show_gradients(parallel: DistributedDataParallel, meter: IntervalMeter) -> None:
    """Do what DDP does without a hook, and before show the meter this process's own gradient.

    The meter must not lead back to DDP: a cycle through DDP, which holds the hook, would never be freed.

    Raises:
        InputError: it has a hook already.
    """

    # DDP refuses another annotation than this one, whose type mypy does not know.
    def hook(
        group: dist.ProcessGroup,
        bucket: dist.GradBucket,  # type: ignore[name-defined]
    ) -> torch.futures.Future[Tensor]:
        meter.take_bucket(bucket)
        return allreduce_hook(group, bucket)

    try:
        parallel.register_comm_hook(dist.group.WORLD, hook)
    except RuntimeError as error:
        raise InputError(
            "the DistributedDataParallel has a communication hook already, and takes one: wrap the model anew"
        ) from error
