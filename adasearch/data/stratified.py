"""Splits rows in two parts alike in labels, as scikit-learn's ``train_test_split(stratify=...)`` does.

The rows are the same to the last one; but each worker of a search splits its data anew, and scikit-learn,
with SciPy behind it, takes a second to import. Its way is kept, with NumPy's old generator, whose numbers
never change: of each class as many rows as its share; what rounding leaves goes to the largest remainders,
ties by lot.
"""

import math

import numpy as np

__all__ = ["stratified"]


def stratified(labels: np.ndarray, second: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the first and of the second part, each in random order.

    Args:
        labels: (rows,), of any kind that can be sorted.
        second: share, if below 1 and no whole number, or number of rows of the second part.
        seed: of the draws.

    Raises:
        ValueError: a class has one row, or a part would have fewer rows than there are classes.

    >>> first, second = stratified(np.array([0, 0, 1, 1]), 2, seed=0)
    >>> sorted(first.tolist()), sorted(second.tolist())
    ([1, 2], [0, 3])
    """
    rows = len(labels)
    count = second if isinstance(second, int) else math.ceil(second * rows)
    _, of_class, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if sizes.min() < 2:
        raise ValueError("each class needs at least 2 rows")
    if min(count, rows - count) < len(sizes):
        raise ValueError(f"{rows - count} and {count} rows cannot each hold all {len(sizes)} classes")
    generator = np.random.RandomState(seed)
    taken = _shares(sizes, rows - count, generator)
    rest = _shares(sizes - taken, count, generator)
    members = np.split(np.argsort(of_class, kind="stable"), np.cumsum(sizes)[:-1])
    drawn = [each[generator.permutation(len(each))] for each in members]
    parts = zip(drawn, taken, rest, strict=True)
    ones, others = zip(*((each[:one], each[one : one + two]) for each, one, two in parts), strict=True)
    return generator.permutation(np.concatenate(ones)), generator.permutation(np.concatenate(others))


def _shares(sizes: np.ndarray, draws: int, generator: np.random.RandomState) -> np.ndarray:
    """Return how many of ``draws`` rows each class (classes,) of these sizes gets."""
    exact = sizes / sizes.sum() * draws
    shares: np.ndarray = np.floor(exact).astype(np.int64)
    left = int(draws - shares.sum())
    remainders = exact - shares
    for value in np.unique(remainders)[::-1]:
        if left == 0:
            break
        (alike,) = np.where(remainders == value)
        chosen = generator.choice(alike, size=min(len(alike), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares
