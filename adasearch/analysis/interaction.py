"""How two parameters go together: the median outcome of the trials in each cell of their two ranges."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from adasearch.analysis.selection import complete
from adasearch.errors import InputError, unknown
from adasearch.records import TrialRecord, Value

__all__ = ["BINS", "interaction"]

BINS = 5
LOG_BINS_FROM = 10  # greatest over least value from which on bins have equal ratios rather than equal widths


def interaction(
    trials: Sequence[TrialRecord], first: str, second: str, *, clock: str = "measured", bins: int = BINS
) -> pd.DataFrame:
    """Return a row per cell: both parameters, trials, and the medians of val_error and seconds.

    A parameter of at most ``bins`` different values has a cell for each of them, another one ``bins`` ranges
    between its least and greatest value. Every cell is there; an empty one has 0 trials and NaN. Only
    complete trials of phase search count; give those of one study, since medians over networks say nothing.

    Raises:
        InputError: the same parameter twice, or one that no complete trial has.
    """
    if first == second:
        raise InputError(f"an interaction needs two parameters but got {first} twice")
    ended = [trial for trial in complete(trials) if first in trial.params and second in trial.params]
    for name in (first, second):
        if not any(name in trial.params for trial in complete(trials)):
            raise unknown("parameter", name, {key for trial in complete(trials) for key in trial.params})
    spent = [trial.seconds(clock) for trial in ended]
    rows, row_names = _binned([trial.params[first] for trial in ended], bins)
    columns, column_names = _binned([trial.params[second] for trial in ended], bins)
    table = pd.DataFrame(
        {
            first: rows,
            second: columns,
            "val_error": [trial.val_error for trial in ended],
            "seconds": [value if math.isfinite(value) else math.nan for value in spent],
        }
    ).astype(
        {
            first: pd.CategoricalDtype(row_names, ordered=True),
            second: pd.CategoricalDtype(column_names, ordered=True),
        }
    )
    groups = table.groupby([first, second], observed=False)
    cells = groups[["val_error", "seconds"]].median()
    cells.insert(0, "trials", groups.size())
    return cells.reset_index()


def _binned(values: Sequence[Value], bins: int) -> tuple[list[Value], list[Value]]:
    """Return the bin of each value, and all bins in order: the values themselves, or ranges in words."""
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(distinct) <= bins or any(isinstance(value, str) for value in distinct):
        return list(values), distinct
    low, high = float(distinct[0]), float(distinct[-1])
    whole = all(isinstance(value, int) for value in distinct)
    end = high + 1 if whole else high  # of whole numbers a range holds both its ends
    wide = low > 0 and high / low > LOG_BINS_FROM
    edges = np.geomspace(low, end, bins + 1) if wide else np.linspace(low, end, bins + 1)
    if whole:
        step = math.ceil((end - low) / bins)
        edges = np.unique(np.ceil(edges)) if wide else np.arange(low, end + step, step)
    labels: list[Value] = []
    for digits in range(3, 18):  # as many as tell the ranges apart
        labels = [
            _whole_range(left, right) if whole else f"{left:.{digits}g} to {right:.{digits}g}"
            for left, right in pairwise(edges)
        ]
        if len(set(labels)) == len(labels):
            break
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(labels) - 1)
    return [labels[place] for place in places], labels


def _whole_range(low: float, end: float) -> str:
    """Write the whole numbers from ``low`` up to below ``end``.

    >>> _whole_range(3, 5), _whole_range(3, 4)
    ('3 to 4', '3')
    """
    return f"{low:g}" if end - low == 1 else f"{low:g} to {end - 1:g}"
