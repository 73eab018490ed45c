"""What this process trains on, by name: profiles are of a device."""

import platform
import subprocess
from contextlib import suppress
from functools import cache

__all__ = ["device_name", "driver_version", "local_device"]


@cache
def device_name(device: str) -> str:
    """Return what the maker calls the device that "cuda" or "cpu" stands for here; "unknown" if not known."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "unknown"
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine() or "unknown"


@cache
def driver_version(device: str) -> str | None:
    """Return the version of a GPU's driver; None on a CPU, or where nvidia-smi does not say."""
    if device != "cuda":
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return said.splitlines()[0].strip() if said.strip() else None
    return None


def local_device() -> str:
    """Return what this process trains on."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
