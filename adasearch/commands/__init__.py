"""One function per command; the command line, notebooks and tests call the same ones.

Those that read a results folder take its :class:`~adasearch.store.store.Store`, those that may make one its
name; ``adasearch list`` is :func:`catalogue`. They are loaded on first use. The files have an underscore,
since importing a module ``search`` of this package would put it in the place of the function.
"""

from typing import TYPE_CHECKING

from adasearch.lazy import lazily

if TYPE_CHECKING:
    from adasearch.commands._advice import Advice
    from adasearch.commands._advise import advise
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
    from adasearch.commands._train import train
    from adasearch.commands._watch import watch
    from adasearch.runtime import Runtime

__all__ = [
    "Advice",
    "ProfileWish",
    "Profiles",
    "Runtime",
    "advise",
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
    "watch",
]

__getattr__ = lazily(
    __name__,
    {name: f"{__name__}._{name}" for name in __all__}
    | dict.fromkeys(["ProfileWish", "Profiles", "export_profiles", "import_profiles"], f"{__name__}._profile")
    | {"Runtime": "adasearch.runtime", "Advice": f"{__name__}._advice"},
)
