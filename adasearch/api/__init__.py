"""The Python interface: what ``adasearch`` offers by name beside the controller.

Searches, confirmations and profiles start here as they do from the command line, and what they left in a
folder is read as frames, figures and objects. Everything here goes through :mod:`adasearch.commands`.
"""

import warnings
from contextlib import suppress
from importlib import import_module

with warnings.catch_warnings(), suppress(ImportError):  # Optuna's progress bars, none of which is shown, ask
    warnings.filterwarnings("ignore", message="IProgress not found")  # for widgets when they are imported
    import_module("tqdm.auto")
