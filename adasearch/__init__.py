"""adasearch: find the adaptive batch-size schedule that suits your network.

The names below are loaded on first use, so that ``import adasearch`` costs next to nothing.
"""

from adasearch._version import __version__
from adasearch.lazy import lazily

TYPE_CHECKING = False  # that of typing, which `python -m` would take from the current folder; see __main__

if TYPE_CHECKING:
    from adasearch.api.reading import compare, predict
    from adasearch.api.results import Results, load
    from adasearch.api.running import advise, confirm, profile, search, train
    from adasearch.api.stored import StoredTrial, Study
    from adasearch.controller import BatchSizeController
    from adasearch.functions.trial import Trial
    from adasearch.limits import Limits
    from adasearch.schedule_file import load_schedule
    from adasearch.schedulers import SCHEDULERS, make_scheduler

__all__ = [
    "SCHEDULERS",
    "BatchSizeController",
    "Limits",
    "Results",
    "StoredTrial",
    "Study",
    "Trial",
    "__version__",
    "advise",
    "compare",
    "confirm",
    "load",
    "load_schedule",
    "make_scheduler",
    "predict",
    "profile",
    "search",
    "train",
]

__getattr__ = lazily(
    __name__,
    {
        "BatchSizeController": "adasearch.controller.controller",
        "Limits": "adasearch.limits",
        "SCHEDULERS": "adasearch.schedulers",
        "make_scheduler": "adasearch.schedulers",
        **dict.fromkeys(["Results", "load"], "adasearch.api.results"),
        **dict.fromkeys(["compare", "predict"], "adasearch.api.reading"),
        **dict.fromkeys(["StoredTrial", "Study"], "adasearch.api.stored"),
        **dict.fromkeys(["advise", "confirm", "profile", "search", "train"], "adasearch.api.running"),
        "Trial": "adasearch.functions.trial",
        "load_schedule": "adasearch.schedule_file",
    },
)
