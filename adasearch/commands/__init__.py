"""One function per command; the command line, notebooks and tests call the same ones.

Those that read a results folder take its :class:`~adasearch.store.store.Store`, those that may make one its
name; ``adasearch list`` is :func:`catalogue`. They are loaded on first use. The files have an underscore,
since importing a module ``search`` of this package would put it in the place of the function.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adasearch.commands._catalogue import catalogue
    from adasearch.commands._compact import compact
    from adasearch.commands._compare import compare
    from adasearch.commands._confirm import confirm
    from adasearch.commands._dashboard import dashboard
    from adasearch.commands._doctor import doctor
    from adasearch.commands._export import export
    from adasearch.commands._predict import predict
    from adasearch.commands._profile import Profiles, ProfileWish, export_profiles, import_profiles, profile
    from adasearch.commands._replay import replay
    from adasearch.commands._report import report
    from adasearch.commands._rerun import rerun
    from adasearch.commands._search import search
    from adasearch.commands._train import train, train_once
    from adasearch.runtime import Runtime

__all__ = [
    "ProfileWish",
    "Profiles",
    "Runtime",
    "catalogue",
    "compact",
    "compare",
    "confirm",
    "dashboard",
    "doctor",
    "export",
    "export_profiles",
    "import_profiles",
    "predict",
    "profile",
    "replay",
    "report",
    "rerun",
    "search",
    "train",
    "train_once",
]

_HOME = {
    "ProfileWish": "adasearch.commands._profile",
    "Profiles": "adasearch.commands._profile",
    "Runtime": "adasearch.runtime",
    "catalogue": "adasearch.commands._catalogue",
    "compact": "adasearch.commands._compact",
    "compare": "adasearch.commands._compare",
    "confirm": "adasearch.commands._confirm",
    "dashboard": "adasearch.commands._dashboard",
    "doctor": "adasearch.commands._doctor",
    "export": "adasearch.commands._export",
    "export_profiles": "adasearch.commands._profile",
    "import_profiles": "adasearch.commands._profile",
    "predict": "adasearch.commands._predict",
    "profile": "adasearch.commands._profile",
    "replay": "adasearch.commands._replay",
    "report": "adasearch.commands._report",
    "rerun": "adasearch.commands._rerun",
    "search": "adasearch.commands._search",
    "train": "adasearch.commands._train",
    "train_once": "adasearch.commands._train",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
