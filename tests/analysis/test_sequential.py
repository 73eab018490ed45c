"""Looks before all pairs are made: what is clear, and how seldom it is wrong."""

import random

import pytest

from adasearch.analysis.paired_tests import paired
from adasearch.analysis.sequential import answer, level_at, looks

MARGIN = 0.01


def row(
    errors: list[float], speeds: list[float]
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Pairs of (candidate, reference) from differences of error and from speed-ups."""
    return [(0.2 + each, 0.2) for each in errors], [(1.0 / each, 1.0) for each in speeds]


@pytest.mark.parametrize(
    ("errors", "speeds", "expected"),
    [
        ([0.000, 0.001, -0.001, 0.000], [1.30, 1.31, 1.29, 1.30], "gain"),
        ([-0.040, -0.041, -0.039, -0.040], [1.30, 1.31, 1.29, 1.30], "gain"),
        ([-0.040, -0.041, -0.039, -0.040], [1.00, 1.001, 0.999, 1.00], "gain"),
        ([0.000, 0.001, -0.001, 0.000], [1.00, 1.001, 0.999, 1.00], "no gain"),
        ([0.000, 0.001, -0.001, 0.000], [0.70, 0.71, 0.69, 0.70], "no gain"),
        ([0.050, 0.051, 0.049, 0.050], [1.30, 1.31, 1.29, 1.30], "worse"),
        ([0.050, -0.051, 0.009, 0.030], [1.30, 0.81, 1.09, 1.00], None),
        ([0.050, -0.051, -0.030, 0.030], [0.56, 0.57, 0.55, 0.56], "no gain"),  # slower, whatever the error
        ([0.050, -0.051, -0.030, 0.030], [0.97, 0.971, 0.969, 0.97], None),  # by less than five percent
        ([0.000, 0.001, -0.001], [1.30, 1.31, 1.29], None),  # too few pairs for a test
    ],
)
def test_what_is_clear(errors: list[float], speeds: list[float], expected: str | None) -> None:
    found = paired(*row(errors, speeds), margin=MARGIN)
    assert answer(found, level_at(4, 12)) == expected


@pytest.mark.parametrize(
    ("errors", "speeds", "expected"),
    [
        (
            [0.050, -0.051, 0.009, 0.080],
            [1.30, 1.81, 1.09, 1.60],
            "unlikely",
        ),  # 2.2 points higher on the mean
        ([0.020, -0.021, 0.009, 0.000], [0.90, 0.81, 1.09, 1.00], "unlikely"),  # slower, and no lower error
        ([0.020, -0.021, 0.009, 0.000], [1.30, 1.81, 1.09, 1.60], None),  # 0.2 points higher, but faster
        ([-0.020, 0.021, -0.009, 0.000], [0.90, 0.81, 1.09, 1.00], None),  # slower, but a lower error
        ([0.000, 0.001, -0.001, 0.000], [1.30, 1.31, 1.29, 1.30], "gain"),
        ([0.050, 0.051, 0.049, 0.050], [1.30, 1.31, 1.29, 1.30], "worse"),
    ],
)
def test_a_gain_is_given_up_where_the_mean_so_far_speaks_against_it(
    errors: list[float], speeds: list[float], expected: str | None
) -> None:
    found = paired(*row(errors, speeds), margin=MARGIN)
    assert answer(found, level_at(4, 12), give_up=True) == expected
    told = None if expected == "unlikely" else expected
    assert answer(found, level_at(4, 12)) == told


@pytest.mark.parametrize("most", [4, 5, 8, 12, 16, 40])
def test_the_levels_of_all_looks_make_the_whole(most: int) -> None:
    planned = looks(most)
    assert planned[-1] == most
    assert sum(level_at(pairs, most) for pairs in planned) == pytest.approx(0.05)


def test_a_gain_is_seldom_told_where_there_is_none() -> None:
    draw = random.Random(0)
    gains = 0
    runs, most = 300, 12
    for _ in range(runs):
        errors = [draw.gauss(0.0, 0.0005) for _ in range(most)]  # surely equal: time alone can tell a gain
        speeds = [1.0 + draw.gauss(0.0, 0.2) for _ in range(most)]
        speeds = [max(each, 0.2) for each in speeds]
        for pairs in looks(most):
            made = paired(*row(errors[:pairs], speeds[:pairs]), margin=MARGIN)
            if (found := answer(made, level_at(pairs, most))) is not None:
                gains += found == "gain"
                break
    assert gains <= 0.05 * runs
