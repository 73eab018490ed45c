"""Killed for memory: by the kernel, in a control group of its own, or by the monitor of Ray."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

CONTROL_GROUPS = (  # of version 1 and of version 2: folder, file of the limit, file that counts the kills
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.oom_control"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.events"),
)
LIMIT_BYTES = 2**17  # of what is taken from then on, by a process that needs little more than it has
HEADROOM_BYTES = 6 * 2**30  # between what is in use and where Ray's monitor begins to kill
STEP_BYTES = 256 * 2**20

BALLOON = """
import sys, time
held = []
while True:
    held.append(b"x" * int(sys.argv[1]))
    print(len(held), flush=True)
    time.sleep(0.05)
"""


def _groups() -> tuple[Path, str, str] | None:
    """Return where this process may make memory control groups; None for nowhere."""
    for root, limit, kills in CONTROL_GROUPS:
        group = root / "adasearch-probe"
        try:
            group.mkdir(exist_ok=True)
            found = (group / limit).exists()
            group.rmdir()
        except OSError:
            continue
        if found:
            return root, limit, kills
    return None


def kernel_may_kill() -> bool:
    """Tell whether :func:`kill_by_kernel` can work here."""
    return _groups() is not None


def kill_by_kernel(process: psutil.Process) -> bool:
    """Leave a process so little memory that the kernel kills it at its next allocations; tell whether it did.

    One that was about to end by itself may be faster.
    """
    found = _groups()
    assert found is not None
    root, limit, kills = found
    group = root / f"adasearch-{process.pid}"
    group.mkdir()
    try:
        (group / limit).write_text(str(LIMIT_BYTES))
        (group / "cgroup.procs").write_text(str(process.pid))
        psutil.wait_procs([process], timeout=60)
        counted = dict(line.split() for line in (group / kills).read_text().splitlines())
        return int(counted["oom_kill"]) >= 1
    finally:
        for _ in range(100):  # the kernel lets go of an empty group a little later
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.05)


def monitor_env() -> dict[str, str]:
    """Return what makes a Ray that is started now kill workers soon after memory runs short."""
    memory = psutil.virtual_memory()
    share = (memory.total - memory.available + HEADROOM_BYTES) / memory.total
    return {"RAY_memory_usage_threshold": f"{min(share, 0.95):.3f}", "RAY_memory_monitor_refresh_ms": "100"}


def fill_memory(until: Callable[[], bool]) -> None:
    """Take memory, beside Ray, until something happened."""
    most = int(psutil.virtual_memory().available * 0.9) // STEP_BYTES
    with subprocess.Popen(
        [sys.executable, "-c", BALLOON, str(STEP_BYTES)], stdout=subprocess.PIPE, text=True
    ) as balloon:
        assert balloon.stdout is not None
        try:
            for line in balloon.stdout:
                if until() or int(line) >= most:
                    break
            end = time.monotonic() + 10
            while not until() and time.monotonic() < end:
                time.sleep(0.1)
        finally:
            balloon.kill()
    assert until(), "nothing was killed"
