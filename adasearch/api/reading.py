"""What a results folder tells in one call: comparisons, and guesses from profiles."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from adasearch.api.results import Results, load

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare", "path_of", "predict"]


def compare(results: "str | Results", *, study: str | Sequence[str] | None = None) -> "pd.DataFrame":
    """Return the rows of ``adasearch compare``: of each study the trial that counts, and why.

    Example::

        adasearch.compare("results")[["architecture", "scheduler", "val_error", "speedup", "verdict"]]
    """
    return load(path_of(results)).table(study=study)


def predict(
    results: "str | Results",
    *,
    network: str | Sequence[str] = (),
    scheduler: str | Sequence[str] = (),
) -> "pd.DataFrame":
    """Return guesses from profiles whether a growing batch will pay, a row for each network and scheduler.

    Args:
        results: folder with profiles.
        network: only these; all that are profiled by default.
        scheduler: only these.

    Raises:
        InputError: no profiles, or none of a network that was named.

    Example::

        adasearch.predict("results")
    """
    return load(path_of(results)).predict(network=network, scheduler=scheduler)


def path_of(results: "str | Results") -> str:
    """Return a results folder's path."""
    return results.path if isinstance(results, Results) else results
