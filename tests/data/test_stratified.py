"""The rows of both parts are those that scikit-learn draws."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from adasearch.data.sources.digits import _values
from adasearch.data.stratified import stratified

DRAWS = np.random.default_rng(0)
LABELS = {
    "even": np.arange(100) % 10,
    "uneven": DRAWS.choice(7, size=400, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.03, 0.02]),
    "pairs": np.repeat(np.arange(50), 2),
    "two": np.array([5] * 3 + [2] * 900),
    "names": DRAWS.choice(["b", "a", "c"], size=60),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("second", [0.1, 0.2, 0.5, 1, 7, 50, 51, 59, 99])
def test_rows_are_those_of_scikit_learn(labels: np.ndarray, second: float) -> None:
    for seed in range(20):
        rows = np.arange(len(labels)) + 1000
        try:
            wanted = train_test_split(rows, test_size=second, stratify=labels, random_state=seed)
        except ValueError:
            with pytest.raises(ValueError, match=r"classes|rows"):
                stratified(labels, second, seed)
            continue
        for found, part in zip(stratified(labels, second, seed), wanted, strict=True):
            assert rows[found].tolist() == part.tolist()


def test_a_class_of_one_row_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        stratified(np.array([0, 0, 0, 1]), 2, 0)


def test_digits_are_those_of_scikit_learn() -> None:
    digits = load_digits()
    assert np.array_equal(_values(), np.column_stack([digits.data, digits.target]))


def test_what_a_worker_does_with_images_takes_no_scikit_learn() -> None:
    code = """
import sys
from adasearch.data.spec import DataSpec
from adasearch.tasks.registry import load_data
load_data(DataSpec(source="digits", subset=100))
assert not {"sklearn", "scipy"} & {*sys.modules}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
