"""Paired differences of a schedule to the constant batch sizes that take no more time, and their tests.

A gain is one over *every* such size: p is the greatest of the one-sided t tests, so that choosing the best
size by the same runs costs nothing. A loss is one to any of them: p is the least, times their number.
Of several networks together a seed's mean over them is one observation.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from adasearch.analysis.paired_tests import holm
from common import Row

SLACK = 1.001
"""Time that counts as no more: whole steps of the last interval differ by so much."""


def between(sizes: pd.DataFrame, times: pd.Series, wanted: float) -> pd.Series | None:
    """Return by seed the error of a constant size that takes so much time, None where none is between two.

    It lies between two neighbouring sizes that ran, one of which takes less and one more, its error linear in
    the logarithm of their time.

    Args:
        sizes: errors, a row per seed and a column per size.
        times: of each size; steps or seconds.
        wanted: the time.

    >>> sizes = pd.DataFrame({16: [0.2, 0.3], 64: [0.4, 0.7]})
    >>> found = between(sizes, pd.Series({16: 400.0, 64: 100.0}), 200.0)
    >>> [round(float(value), 3) for value in found]  # as a size of 32, in the middle of the two
    [0.3, 0.5]
    """
    for small, large in pairwise(sorted(sizes.columns)):
        (less, quick), (more, slow) = sorted([(times[small], small), (times[large], large)])
        if less * SLACK < wanted and wanted * SLACK < more:
            share = float(np.log(wanted / less) / np.log(more / less))
            return share * sizes[slow] + (1 - share) * sizes[quick]
    return None


def rivals(own: pd.DataFrame, constants: pd.DataFrame, device: str) -> dict[str, pd.Series]:
    """Return the constant sizes that take no more time than a schedule: their differences by seed.

    A difference is the schedule's error less the constant's. Sizes with other seeds are left out.
    """
    errors = own.set_index("seed")["test_error"]
    sizes = constants.pivot(index="seed", columns="size", values="test_error")
    sizes = sizes.loc[sizes.index.intersection(errors.index)].dropna(axis="columns")
    times = constants.groupby("size")[device].mean().loc[sizes.columns]
    taken = float(own[device].mean())
    found = {f"{size}": errors[sizes.index] - sizes[size] for size in times[times <= SLACK * taken].index}
    alike = between(sizes, times, taken)
    if found and alike is not None:
        found["as much time"] = errors[alike.index] - alike
    return found


def t_test(values: np.ndarray, side: Literal["less", "greater"]) -> float:
    """Return p of a mean that is not less, or not greater, than 0."""
    return float(stats.ttest_1samp(values, 0.0, alternative=side).pvalue)


def by_seed(networks: Sequence[pd.Series]) -> np.ndarray:
    """Return the mean over networks of each seed that all of them have.

    Seeds are the sample, the networks are given: runs of one seed go up and down together, so that networks
    times seeds are fewer independent pairs than they look.

    >>> one, other = pd.Series({7: 1.0, 8: 2.0, 9: 3.0}), pd.Series({8: 4.0, 7: 3.0})
    >>> [float(value) for value in by_seed([one, other])]
    [2.0, 3.0]
    """
    return pd.concat(networks, axis="columns").dropna().mean(axis="columns").to_numpy()


def pooled(networks: Sequence[Mapping[str, pd.Series]]) -> Row:
    """Return the difference to each network's best rival, p of a gain over all and of a loss to one.

    Args:
        networks: of each, by rival, the differences by seed.

    >>> one, other = pd.Series([-2.0, -2.1, -1.9, -2.0]), pd.Series([0.1, -0.1, 0.0, 0.05])
    >>> found = pooled([{"16": one, "32": other}])
    >>> found["beside"], round(found["mean"], 4), round(found["p_gain"], 2), found["p_loss"] > 0.5
    ('32', 0.0125, 0.61, True)
    >>> good, bad = pd.Series([-2.0, -2.1, -1.9, -2.0]), pd.Series([2.0, 1.9, 2.1, 2.4])
    >>> mixed = pooled([{"16": good, "32": bad}, {"16": good, "32": good}])
    >>> mixed["beside"], mixed["pairs"], round(mixed["mean"], 3), mixed["p_gain"] > 0.4
    ('32, 16', 8, 0.05, True)
    """
    best = [max(each, key=lambda name: each[name].mean()) for each in networks]
    pairs = np.concatenate([each[name] for each, name in zip(networks, best, strict=True)])
    values = by_seed([each[name] for each, name in zip(networks, best, strict=True)])
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    gains = [t_test(by_seed(choice), "less") for choice in product(*(each.values() for each in networks))]
    common = [name for name in networks[0] if all(name in each for each in networks)]
    losses = [t_test(by_seed([each[name] for each in networks]), "greater") for name in common]
    return {
        "beside": ", ".join(best),
        "pairs": len(pairs),
        "mean": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "better": int((pairs < 0).sum()),
        "p_gain": max(gains),
        "p_loss": min(1.0, len(losses) * min(losses, default=1.0)),
    }


def corrected(rows: Sequence[Row]) -> list[Row]:
    """Return rows with their p values corrected over all of one device and kind."""
    found = [dict(row) for row in rows]
    for key in {(row["device"], row["kind"]) for row in rows}:
        family = [row for row in found if (row["device"], row["kind"]) == key]
        for question in ("p_gain", "p_loss"):
            ps = holm([float(str(row[question])) for row in family])
            for row, p in zip(family, ps, strict=True):
                row[question] = p
    return found
