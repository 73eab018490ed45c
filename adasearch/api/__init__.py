"""The Python interface: what ``adasearch`` offers by name beside the controller.

Searches, confirmations and profiles start here as they do from the command line, and what they left in a
folder is read as frames, figures and objects. Everything here goes through :mod:`adasearch.commands`.
"""

import warnings

with warnings.catch_warnings():  # Optuna's progress bars, none of which is shown here, ask for widgets
    warnings.filterwarnings("ignore", message="IProgress not found")
    import tqdm.auto  # noqa: F401
