"""Thresholds given as quantiles: from a network's stability profile to the value that a scheduler compares.

A quantile means the same on every network where an absolute threshold does not: "the indicator lies below the
threshold in three of four intervals of a run at a fixed batch". The indicators are those of the scheduler
itself, with this trial's own window, over every interval from which on the window is full. That the window
must be full, and linear interpolation between two values of the pool, are ours; the DEBA paper does not say
how its thresholds follow from its profile.
"""

import math
from collections.abc import Sequence

import numpy as np

from adasearch.errors import InputError
from adasearch.records import Params, Signals, Value
from adasearch.schedulers.deba import FIRST_DECISION, Deba, DebaIndicators

__all__ = ["AFTER_WINDOW", "CALIBRATED", "QUANTILE", "indicators", "thresholds"]

QUANTILE = "quantile"
"""Prefix of the parameters that hold quantiles: ``quantile/confidence_threshold``."""

CALIBRATED = {"deba": {"confidence_threshold": ("c",), "stability_threshold": ("dg", "dl")}}
"""By scheduler, the fields that may be a quantile, and the indicators that are compared with each."""

AFTER_WINDOW = 20
"""Intervals that a profile has at least beyond the longest window, so that no pool is smaller."""


def indicators(history: Sequence[Signals], scheduler: Deba) -> list[DebaIndicators]:
    """Return DEBA's indicators at every interval of a run at which the scheduler's window is full."""
    first = max(scheduler.window, FIRST_DECISION)
    return [scheduler.indicators(history[:count]) for count in range(first, len(history) + 1)]


def thresholds(scheduler: str, params: Params, histories: Sequence[Sequence[Signals]]) -> dict[str, float]:
    """Return the absolute value of every threshold that ``params`` give as a quantile.

    Args:
        scheduler: its name.
        params: of one trial, prefixed: ``quantile/...`` in [0, 1], and the scheduler's own fields.
        histories: one per seed of the profile; the indicators of all are pooled.

    Returns:
        By prefixed name (``scheduler/confidence_threshold``), in the units of the indicator.

    Raises:
        InputError: the profile is too short for this window.
    """
    quantiles = _under(QUANTILE, params)
    if not quantiles:
        return {}
    own = {name: value for name, value in _under("scheduler", params).items() if name in _SHAPING}
    deba = Deba(**own)  # type: ignore[arg-type]
    rows = [row for history in histories for row in indicators(history, deba)]
    if len(rows) < AFTER_WINDOW:
        raise InputError(
            f"a quantile needs at least {AFTER_WINDOW} intervals of a profile with a full window of "
            f"{deba.window} but got {len(rows)}; run 'adasearch profile' with more --intervals"
        )
    found = {}
    for name, quantile in quantiles.items():
        values = [getattr(row, part) for row in rows for part in CALIBRATED[scheduler][name]]
        finite = [value for value in values if math.isfinite(value)]
        # A threshold must be greater than 0, and an indicator may be 0 where nothing moves at all.
        found[f"scheduler/{name}"] = max(float(np.quantile(finite, float(quantile))), deba.eps)
    return found


_SHAPING = ("window", "gradient", "eps")  # fields that the indicators depend on


def _under(prefix: str, params: Params) -> dict[str, Value]:
    start = f"{prefix}/"
    return {name[len(start) :]: value for name, value in params.items() if name.startswith(start)}
