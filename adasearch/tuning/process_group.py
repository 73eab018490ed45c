"""Joins the workers of a gang into one torch process group.

Ray Train's own ``TorchConfig`` does the same, but imports torch wherever it is read: in the slot's actor and
in Ray Train's controller, which compute nothing. Here torch is imported on the workers alone.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ray
from ray.train._internal.utils import get_address_and_port
from ray.train.backend import Backend, BackendConfig

__all__ = ["ProcessGroupConfig"]

LEAVE_SECONDS = 10  # a rank whose peers died may wait for them in vain


@dataclass
class ProcessGroupConfig(BackendConfig):
    """Which collective backend of torch, "gloo" or "nccl", and how long a collective may take."""

    backend: str = "gloo"
    timeout_s: int = 1800

    @property
    def backend_cls(self) -> type[Backend]:
        """Return what sets the group up."""
        return _ProcessGroup


class _ProcessGroup(Backend):
    share_cuda_visible_devices = True  # as for Ray's own: NCCL wants to see its peers

    def on_start(self, worker_group: Any, backend_config: ProcessGroupConfig) -> None:
        address, port = worker_group.execute_single(0, get_address_and_port)
        host = f"[{address}]" if ":" in address else address
        world = len(worker_group)
        wish = (f"tcp://{host}:{port}", backend_config, world)
        ray.get([worker_group.execute_single_async(rank, _join, rank, *wish) for rank in range(world)])

    def on_shutdown(self, worker_group: Any, backend_config: ProcessGroupConfig) -> None:
        ray.wait(worker_group.execute_async(_leave), num_returns=len(worker_group), timeout=LEAVE_SECONDS)


def _join(rank: int, url: str, config: ProcessGroupConfig, world: int) -> None:
    from ray.train import get_context
    from torch import distributed as dist

    context = get_context()
    # Of what torchrun sets, what code of the user's may ask for.
    os.environ["RANK"], os.environ["WORLD_SIZE"] = str(rank), str(world)
    os.environ["LOCAL_RANK"] = str(context.get_local_rank())
    os.environ["LOCAL_WORLD_SIZE"] = str(context.get_local_world_size())
    dist.init_process_group(
        config.backend,
        init_method=url,
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=config.timeout_s),
    )


def _leave() -> None:
    from torch import distributed as dist

    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.destroy_process_group()
