"""DEBA's thresholds by replay: those whose path on stored signals comes nearest to one that is wanted.

Not the paper's calibration, which is not known. On a run at a fixed batch every pair of quantiles of its own
indicators is replayed (:mod:`adasearch.analysis.replay`), by both readings of the rule. The signals are
those at the fixed batch, so the gradient is the interval's mean, whose statistics hardly follow the size.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adasearch.analysis.replay import virtual_decisions
from adasearch.profiles.quantiles import indicators
from adasearch.records import Limits, Signals
from adasearch.schedulers.deba import Deba

__all__ = ["deba_along"]

QUANTILES = (0.05, 0.15, 0.25, 0.35, 0.5, 0.65, 0.75, 0.85, 0.95)
WINDOW, COOLDOWN = 8, 2  # intervals, as in the space for short runs


def deba_along(history: Sequence[Signals], wanted: Sequence[int], limits: Limits) -> Deba | None:
    """Return DEBA with the thresholds whose sizes on ``history`` are nearest to the ``wanted`` ones.

    Args:
        history: of a run at a fixed batch, with the statistics of mean gradients.
        wanted: the size of each interval, the first of which DEBA begins with; distance is the mean of
            ``|log(size / wanted)|``.
        limits: of the sizes.

    Returns:
        None where the signals are not finite or too few, or where no thresholds come nearer than staying at
        the first size does.
    """
    rows = [replace(row, initial_batch_size=wanted[0]) for row in history]
    plain = Deba(gradient="mean_gradient", window=WINDOW, cooldown=COOLDOWN)
    if any(getattr(row, name) is None for row in rows for name in plain.needs):
        return None
    found = [each for each in indicators(rows, plain) if all(map(math.isfinite, each))]
    if not found:
        return None
    confidence = np.quantile([each.c for each in found], QUANTILES)
    stability = np.quantile([value for each in found for value in (each.dg, each.dl)], QUANTILES)
    best, least = None, _distance([wanted[0]] * len(rows), wanted)
    for rule in ("settle", "noise"):
        for c in confidence:
            for change in stability:
                deba = replace(
                    plain,
                    rule=rule,
                    confidence_threshold=max(float(c), plain.eps),
                    stability_threshold=max(float(change), plain.eps),
                )
                decisions = virtual_decisions(rows[:-1], deba, limits)
                sizes = [wanted[0], *(each.batch_size for each in decisions)]
                distance = _distance(sizes, wanted)
                if distance < least - 1e-9:
                    best, least = deba, distance
    return best


def _distance(sizes: Sequence[int], wanted: Sequence[int]) -> float:
    return sum(abs(math.log(one / other)) for one, other in zip(sizes, wanted, strict=True))
