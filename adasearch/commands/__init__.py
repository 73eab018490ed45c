"""One function per command; the command line, notebooks and tests call the same ones.

They are loaded on first use. The files have an underscore, since importing a module ``search`` of this
package would put it in the place of the function.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adasearch.analysis.compare import compare
    from adasearch.commands._catalogue import catalogue
    from adasearch.commands._confirm import confirm
    from adasearch.commands._export import export
    from adasearch.commands._profile import ProfileWish, profile
    from adasearch.commands._replay import replay
    from adasearch.commands._rerun import rerun
    from adasearch.commands._search import search
    from adasearch.commands._train import train_once
    from adasearch.runtime import Runtime

__all__ = [
    "ProfileWish",
    "Runtime",
    "catalogue",
    "compare",
    "confirm",
    "export",
    "profile",
    "replay",
    "rerun",
    "search",
    "train_once",
]

_HOME = {
    "ProfileWish": "adasearch.commands._profile",
    "Runtime": "adasearch.runtime",
    "catalogue": "adasearch.commands._catalogue",
    "compare": "adasearch.analysis.compare",
    "confirm": "adasearch.commands._confirm",
    "export": "adasearch.commands._export",
    "profile": "adasearch.commands._profile",
    "replay": "adasearch.commands._replay",
    "rerun": "adasearch.commands._rerun",
    "search": "adasearch.commands._search",
    "train_once": "adasearch.commands._train",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
