"""An adaptive batch size for a loop of one's own, without Ray."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adasearch.controller.controller import BatchSizeController

__all__ = ["BatchSizeController"]

_HOME = {
    "BatchSizeController": "adasearch.controller.controller",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
