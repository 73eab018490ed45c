"""adasearch: find the adaptive batch-size schedule that suits your network.

The names below are loaded on first use, so that ``import adasearch`` costs next to nothing.
"""

from importlib import import_module

from adasearch._version import __version__

TYPE_CHECKING = False  # that of typing, which `python -m` would take from the current folder; see __main__

if TYPE_CHECKING:
    from adasearch.controller import BatchSizeController
    from adasearch.records import Limits
    from adasearch.schedule_file import load_schedule
    from adasearch.schedulers import SCHEDULERS

__all__ = ["SCHEDULERS", "BatchSizeController", "Limits", "__version__", "load_schedule"]

_HOME = {
    "BatchSizeController": "adasearch.controller.controller",
    "Limits": "adasearch.records",
    "SCHEDULERS": "adasearch.schedulers",
    "load_schedule": "adasearch.schedule_file",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'adasearch' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
