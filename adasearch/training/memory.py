"""Memory of a training process: what it may take, what it took, and what to do when it was too much.

A GPU refuses by itself. A CPU does not (the kernel kills the process, or the machine swaps), so there a pass
of a size that was not tried before is watched: autograd tells of each tensor that it keeps for the backward
pass, and once these exceed what the process may still take the pass ends as it would on a GPU.
"""

import ctypes
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import psutil
import torch
from torch import Tensor
from torch import distributed as dist
from torch.autograd.graph import saved_tensors_hooks

__all__ = ["OutOfMemory", "PeakMemory", "default_limit", "is_out_of_memory", "room_for_passes", "watched"]

SHARE = 0.9  # of the machine's memory for all its workers together
QUOTAS = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
"""Where containers, of either kind, have their CPU time and per how much."""


class OutOfMemory(Exception):  # noqa: N818 - no error: the pass is made again in smaller ones
    """A pass needed more memory than there is; the message is the allocator's."""


def default_limit(threads: int | None = None) -> int:
    """Return the bytes that a process with so many of the machine's CPUs may take: their share of 90 %.

    A process that is alone, ``threads`` being None, may take all of it. What a container may take of memory
    and of CPUs counts as the machine's.
    """
    whole = psutil.virtual_memory().total
    for place in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError), open(place, encoding="ascii") as file:
            whole = min(whole, int(file.read()))
    share = 1.0 if threads is None else min(1.0, threads / _cpus())
    return int(whole * SHARE * share)


def _cpus() -> float:
    """Return how many CPUs this process may use: those of its container, not those of the machine."""
    pinned = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpus = float(pinned or 1)
    for places in QUOTAS:
        with suppress(OSError, ValueError):  # not there, or "max"
            quota, period = map(int, " ".join(Path(place).read_text() for place in places).split())
            cpus = min(cpus, quota / period) if quota > 0 else cpus
    return cpus


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a step failed for want of memory: on a GPU, under a cap, or refused by the allocator."""
    refused = "not enough memory" in str(error) or "can't allocate memory" in str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and refused
    )


def room_for_passes(limit: int | None, device: torch.device, parameters: Iterable[Tensor]) -> int | None:
    """Return the bytes that passes may keep beside what the process has and a gradient and momentum take.

    Read once, before the first pass: later the allocator holds memory that is free for the next pass.
    None without a limit, and for devices that watch themselves.

    Raises:
        torch.OutOfMemoryError: the limit leaves nothing.
    """
    if limit is None or device.type != "cpu":
        return None
    with suppress(OSError, AttributeError):  # glibc alone has it; it gives back what former trials freed
        ctypes.CDLL(None).malloc_trim(0)
    training = 2 * sum(p.numel() * p.element_size() for p in parameters)
    taken = psutil.Process().memory_info().rss + training
    if taken >= limit:
        raise torch.OutOfMemoryError(
            f"this worker may take {limit / 2**20:,.0f} MiB, but before its first pass it has "
            f"{taken / 2**20:,.0f} MiB (PyTorch, data, weights, gradient, momentum)"
        )
    return limit - taken


def watched(room: int | None) -> AbstractContextManager[None]:
    """Watch a forward pass: it may keep ``room`` bytes for its backward pass. Free where that is None.

    Raises:
        torch.OutOfMemoryError: from the forward pass, as soon as it keeps more.
    """
    return nullcontext() if room is None else _watched(room)


@contextmanager
def _watched(room: int) -> Iterator[None]:
    left = room
    seen: set[int] = set()

    def pack(tensor: Tensor) -> Tensor:
        nonlocal left
        storage = tensor.untyped_storage()
        if not isinstance(tensor, torch.nn.Parameter) and storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            left -= storage.nbytes()
        if left < 0:
            raise torch.OutOfMemoryError(
                f"a pass keeps more than the {room / 2**20:,.0f} MiB that this worker's memory leaves for it"
            )
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield


class PeakMemory:
    """The peak memory of this process since its making: a GPU's allocations, or on Linux resident memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        self._resettable = False
        with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # resets the peak of the resident set, see proc_pid_clear_refs(5)
            self._resettable = True

    def read_largest(self) -> int | None:
        """Return the largest peak over all processes of the group, which all call this."""
        own = self.read()
        if own is None or not dist.is_initialized() or dist.get_world_size() == 1:
            return own
        peak = torch.tensor(own, device=self._device)
        dist.all_reduce(peak, op=dist.ReduceOp.MAX)
        return int(peak)

    def read(self) -> int | None:
        """Return the peak in bytes; None where it cannot be reset, so that it would be another run's."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        if not self._resettable:
            return None
        with open("/proc/self/status", encoding="ascii") as file:
            found = re.search(r"VmHWM:\s+(\d+) kB", file.read())
        return int(found[1]) * 1024 if found else None
