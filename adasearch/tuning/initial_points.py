"""The points that a study tries before any is drawn."""

import math
from collections.abc import Mapping

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from adasearch.records import Params

__all__ = ["initial_points"]

SIZE, RATE, OPTIMIZER = "train/batch_size", "train/lr", "train/optimizer"


def initial_points(
    default: Params, distributions: Mapping[str, BaseDistribution], fixed: Params
) -> list[Params]:
    """Return the default point, and the default at larger batches: the largest, and half way there.

    Half way is the geometric mean. The three span what a study is about, error against seconds, from its
    first trials on. The learning rate follows the size as far as its range goes: in proportion with SGD
    (Goyal et al., arXiv 1706.02677), by the square root with AdamW (Malladi et al., arXiv 2205.10287). A
    space without a range of sizes above its default has the default alone.

    Args:
        default: the first value of all that is searched, by prefixed name.
        distributions: what is searched.
        fixed: what is not.

    >>> sizes = {"train/batch_size": IntDistribution(16, 128), "train/lr": FloatDistribution(0.01, 0.3)}
    >>> initial_points({"train/batch_size": 32, "train/lr": 0.1}, sizes, {"train/optimizer": "sgd"})[1:]
    [{'train/batch_size': 128, 'train/lr': 0.3}, {'train/batch_size': 64, 'train/lr': 0.2}]
    """
    sizes, rates = distributions.get(SIZE), distributions.get(RATE)
    small = default.get(SIZE)
    if not isinstance(sizes, IntDistribution) or not isinstance(small, int):
        return [default]
    power = 1.0 if {**fixed, **default}.get(OPTIMIZER) == "sgd" else 0.5
    points = [default]
    for size in (sizes.high, round(math.sqrt(small * sizes.high))):
        point = {**default, SIZE: size}
        rate = default.get(RATE)
        if isinstance(rates, FloatDistribution) and isinstance(rate, int | float):
            point[RATE] = min(max(rate * (size / small) ** power, rates.low), rates.high)
        if point not in points:
            points.append(point)
    return points
