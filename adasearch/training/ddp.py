"""A network on several processes, whose own gradients are seen before they are reduced."""

import warnings

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from adasearch.signals.noise import Bucket, NoiseMeter
from adasearch.training.stopwatch import Stopwatch

__all__ = ["in_parallel", "show_gradients"]


def in_parallel(network: nn.Module) -> DistributedDataParallel:
    """Return a network with reduced gradients; its buffers are averaged before each evaluation instead."""
    # torch 2.14 renames broadcast_buffers; the former name works with every version that we admit.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)


def show_gradients(parallel: DistributedDataParallel, noise: NoiseMeter, clock: Stopwatch) -> None:
    """Do what DDP does without a hook, and before show the meter this process's own gradient.

    The hook holds neither the run nor DDP: a cycle through DDP would never be freed.
    """

    def hook(group: dist.ProcessGroup, bucket: Bucket) -> torch.futures.Future[Tensor]:
        if noise.sampling:
            with clock.section("measure"):
                noise.take_bucket(bucket)
        return allreduce_hook(group, bucket)

    parallel.register_comm_hook(dist.group.WORLD, hook)
