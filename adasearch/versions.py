"""The versions that results depend on."""

import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from adasearch._version import __version__
from adasearch.records import Value

__all__ = ["git_commit", "versions"]

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
