"""Joins the workers of a group into one torch process group.

Ray Train's own ``TorchConfig`` does the same, but imports torch wherever it is read: in the slot's actor and
in Ray Train's controller, which compute nothing. Here torch is imported on the workers alone.
"""

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ray

from adasearch.tuning.ray_patches import Backend, BackendConfig

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
        world, seconds = len(worker_group), backend_config.timeout_s
        wish = (*worker_group.execute_single(0, _open_store, world, seconds), backend_config, world)
        ray.get([worker_group.execute_single_async(rank, _join, rank, *wish) for rank in range(world)])

    def on_shutdown(self, worker_group: Any, backend_config: ProcessGroupConfig) -> None:
        ray.wait(worker_group.execute_async(_leave), num_returns=len(worker_group), timeout=LEAVE_SECONDS)


_opened: Any = None  # on rank 0: the store through which the ranks find each other


def _open_store(world: int, seconds: int) -> tuple[str, int]:
    """Open rank 0's store on this node's own address; left to itself, torch listens on all interfaces.

    Raises:
        OSError: the address by which Ray knows this node is none of its own.
    """
    global _opened
    from torch.distributed import HashStore, TCPStore  # type: ignore[attr-defined]

    address = ray.util.get_node_ip_address()
    if world == 1:  # nobody has to be found
        _opened = HashStore()
        return address, 0
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listening = socket.create_server((address, 0), family=family)
    except OSError as error:
        raise OSError(f"workers cannot meet at {address}, Ray's address of their node: {error}") from error
    port = int(listening.getsockname()[1])
    _opened = TCPStore(
        address,
        port,
        world,
        is_master=True,
        timeout=timedelta(seconds=seconds),
        wait_for_workers=False,
        master_listen_fd=listening.detach(),
    )
    return address, port


def _join(rank: int, address: str, port: int, config: ProcessGroupConfig, world: int) -> None:
    from ray.train import get_context
    from torch import distributed as dist
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    context = get_context()
    # Of what torchrun sets, what code of the user's may ask for.
    os.environ["RANK"], os.environ["WORLD_SIZE"] = str(rank), str(world)
    os.environ["LOCAL_RANK"] = str(context.get_local_rank())
    os.environ["LOCAL_WORLD_SIZE"] = str(context.get_local_world_size())
    seconds = timedelta(seconds=config.timeout_s)
    store = _opened if rank == 0 else TCPStore(address, port, world, timeout=seconds)
    dist.init_process_group(config.backend, store=store, rank=rank, world_size=world, timeout=seconds)


def _leave() -> None:
    global _opened
    from torch import distributed as dist

    _opened = None
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.destroy_process_group()
