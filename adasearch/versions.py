"""The versions that results depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

from adasearch import __version__
from adasearch.records import Value

__all__ = ["versions"]


def versions() -> dict[str, Value]:
    """Return the versions that results depend on."""
    found: dict[str, Value] = {"adasearch": __version__, "python": platform.python_version()}
    for package in ("torch", "torchvision", "ray", "optuna"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found
