"""Draws by weight: their shares, that each epoch is drawn alone, and which weights are refused."""

import math

import pytest
import torch

from adasearch.data.weighted_draws import weighted_draws
from adasearch.errors import InputError


def test_draws_are_as_many_as_examples_and_of_their_numbers() -> None:
    drawn = weighted_draws(torch.rand(50), 0, 0)
    assert drawn.dtype == torch.int64
    assert drawn.shape == (50,)
    assert 0 <= drawn.min() <= drawn.max() < 50


def test_shares_are_those_of_the_weights() -> None:
    weights = torch.tensor([1.0, 0.0, 2.0, 5.0])
    many = torch.cat([weighted_draws(weights.repeat(1000), 3, epoch) % 4 for epoch in range(5)])
    counts = torch.bincount(many, minlength=4)
    expected = weights / weights.sum() * len(many)
    assert counts[1] == 0
    held = weights > 0
    assert ((counts - expected)[held].square() / expected[held]).sum() < 13.8  # 99.9 % with 2 degrees


def test_an_epoch_depends_on_seed_and_number_and_on_nothing_before_it() -> None:
    weights = torch.rand(40)
    draws = [weighted_draws(weights, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    torch.rand(7)
    assert torch.equal(weighted_draws(weights, seed=1, epoch=0), draws[2])
    assert len({tuple(drawn.tolist()) for drawn in draws}) == 4


def test_the_global_generator_stays_as_it_is() -> None:
    before = torch.get_rng_state()
    weighted_draws(torch.ones(5), 0, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_may_be_integers_of_any_size() -> None:
    assert weighted_draws(torch.tensor([0, 2**60]), 0, 0).tolist() == [1, 1]


@pytest.mark.parametrize("scale", [1e308, 5e-324])
def test_weights_whose_sum_is_no_number_are_drawn_in_their_proportion(scale: float) -> None:
    weights = torch.tensor([scale, 0.0, scale, scale], dtype=torch.float64).repeat(50)
    assert torch.equal(weighted_draws(weights, 0, 0), weighted_draws((weights > 0).double(), 0, 0))


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([1.0, -1.0], r"but got -1\.0 at \[1\]"),
        ([math.nan, 1.0], r"but got nan at \[0\]"),
        ([1.0, math.inf], r"but got inf at \[1\]"),
        ([0.0, 0.0], r"but got sum 0 in shape \(2,\)"),
        ([], r"but got sum 0 in shape \(0,\)"),
        ([[1.0]], r"but got sum 1 in shape \(1, 1\)$"),
    ],
)
def test_other_weights_are_refused(weights: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        weighted_draws(torch.tensor(weights), 0, 0)
