"""Where results are made: versions, the git commit, and the device by name."""

import platform
import re
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from adasearch._version import __version__
from adasearch.records import Value

__all__ = ["device_name", "driver_version", "git_commit", "local_device", "versions"]

GIT_SECONDS = 2.0


def versions(threads: int | None = None, hardware: str | None = None) -> dict[str, Value]:
    """Return what results depend on beside their settings: versions, and the working folder's git commit.

    ``threads`` is what a worker computes with, ``hardware`` the name of its device; told where known.
    """
    found: dict[str, Value] = {"adasearch": __version__, "python": platform.python_version()}
    for package in ("torch", "torchvision", "ray", "optuna"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    commit = git_commit()
    if commit is not None:
        found["git_commit"] = commit
    if threads is not None:
        found["threads"] = threads
    if hardware is not None:
        found["hardware"] = hardware
    return found


@cache
def git_commit() -> str | None:
    """Return the commit of the working folder; None where there is no repository, no git, or no answer."""
    command = ["git", "rev-parse", "--verify", "HEAD"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    said = done.stdout.strip()
    return said if done.returncode == 0 and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", said) else None


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
