"""The critical batch out of the losses of branches: by hand, and what holds of any."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adasearch.errors import InputError
from adasearch.limits import Limits
from adasearch.profiles.branch_plan import COST, PARTS, branch_plan
from adasearch.profiles.critical import CriticalProfile, ExcessLoss, excess_loss, smoothed
from adasearch.profiles.profile import here
from adasearch.profiles.profile_store import ProfileStore
from adasearch.schedulers.points import Point, points_of
from adasearch.schedulers.ramp import Ramp
from tests.rows import START, STUDY

WIDE = Limits(smallest=1, largest=4096)


def excess(mark: int, size: int, mean: float | None, half: float = 0.0) -> ExcessLoss:
    low, high = (None, None) if mean is None else (mean - half, mean + half)
    return ExcessLoss(mark=mark, batch_size=size, mean=mean, low=low, high=high)


def profile_of(*found: ExcessLoss, seeds: int = 1) -> CriticalProfile:
    return CriticalProfile(
        profile="resnet18-nano-critical-digits-f00d",
        setting=here(STUDY, 1),
        subset=None,
        seed=0,
        train_examples=400,
        budget=8000,
        interval=64,
        base_batch_size=16,
        coupling="sqrt",
        params={"train/batch_size": 16, "train/lr": 0.1},
        excess=found,
        seeds=seeds,
        diverged=0,
        created_at=START,
    )


@pytest.mark.parametrize("seed", range(200))
def test_any_plan_keeps_to_the_cost_and_compares_after_the_same_examples(seed: int) -> None:
    draw = random.Random(seed)
    base = draw.randint(1, 300)
    limits = Limits(smallest=base, largest=base * draw.randint(2, 100))
    budget = draw.randint(1000 * base, 100_000 * base)
    plan = branch_plan(base, limits, budget)
    assert plan.trainings <= COST
    assert plan.end * plan.interval <= budget
    assert all(plan.interval % size == 0 and limits.admit(size) for size in plan.sizes)
    assert plan.sizes == tuple(base << double for double in range(len(plan.sizes)))
    assert list(plan.marks) == sorted(set(plan.marks))
    assert all(mark % plan.marks[0] == 0 for mark in plan.marks)  # where the run has checkpoints
    assert plan.interval * PARTS // plan.sizes[-1] >= 8  # steps of the largest size
    assert len(plan.branches) == len(plan.marks) * (len(plan.sizes) - 1)


def test_a_shorter_run_has_fewer_sizes_and_one_that_is_too_short_says_what_it_takes() -> None:
    budgets = (1_800, 8_000, 100_000, 10**9)
    assert [len(branch_plan(16, WIDE, budget).sizes) for budget in budgets] == [2, 3, 5, 7]
    with pytest.raises(InputError, match="a run of at least 1707 examples at a batch of 16 but got 1706"):
        branch_plan(16, WIDE, 1706)
    assert branch_plan(16, WIDE, 1707).sizes == (16, 32)
    with pytest.raises(InputError, match="sizes of at least twice the batch of 16, but --largest is 31"):
        branch_plan(16, Limits(smallest=16, largest=31), 10**6)


def test_the_average_is_the_exponential_one_without_its_first_bias() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    average, weight = 0.0, 0.0
    for value in values:  # as an optimiser's: divided by what the weights come to
        average, weight = 0.5 * average + 0.5 * value, 0.5 * weight + 0.5
    assert smoothed(values) == pytest.approx(average / weight)
    assert smoothed([2.0] * 8) == pytest.approx(2.0)


def test_excess_is_over_the_best_smaller_size_and_its_interval_that_of_the_scatter() -> None:
    base, double, four = [1.0, 1.0, 1.0], [0.9, 0.9, 0.9], [1.0, 1.1, 1.0]
    found = excess_loss(100, [(16, [base]), (32, [double]), (64, [four])])
    assert [each.batch_size for each in found] == [32, 64]
    assert (found[0].mean, found[0].low, found[0].high) == pytest.approx((-0.1, -0.1, -0.1))
    # Of 64 to 32, the best smaller one: 0.1, 0.2, 0.1, with weights 1, 2, 4 of 7.
    assert found[1].mean == pytest.approx((0.1 + 2 * 0.2 + 4 * 0.1) / 7)
    variance = (0.1**2 + 0.1**2) / 2 / 2
    half = 4.302653 * math.sqrt(variance * (1 + 4 + 16) / 49)  # Student's t, 2 degrees of freedom
    assert found[1].high == pytest.approx((found[1].mean or 0) + half, rel=1e-6)


def test_excess_over_seeds_has_students_interval_of_them() -> None:
    (found,) = excess_loss(100, [(16, [[1.0], [1.0], [1.0]]), (32, [[1.1], [1.2], [1.3]])])
    assert found.mean == pytest.approx(0.2)
    assert found.high == pytest.approx(0.2 + 4.302653 * 0.1 / math.sqrt(3), rel=1e-6)


def test_branch_that_diverged_has_no_loss_and_is_nobodys_measure() -> None:
    found = excess_loss(100, [(16, [[1.0, 1.0]]), (32, [None]), (64, [[1.0, 1.0]])])
    assert [(each.batch_size, each.mean) for each in found] == [(32, None), (64, 0.0)]


# Excess at 32, 64, 128 with half an interval; then the critical batch, its low and its high end.
TABLE: list[tuple[Sequence[float | None], float, tuple[int, int, int, bool]]] = [
    ((0.0, 0.0, 0.0), 0.0, (128, 128, 128, True)),
    ((0.02, 0.05, 0.2), 0.0, (16, 16, 16, False)),
    ((0.01, 0.011, 0.2), 0.0, (32, 32, 32, False)),  # the tolerance itself is within
    ((0.0, 0.0, 0.05), 0.005, (64, 64, 64, False)),
    ((0.0, 0.0, 0.05), 0.02, (64, 16, 64, False)),  # not even 32 is sure to cost none
    ((0.0, 0.0, 0.05), 0.045, (64, 16, 128, True)),
    ((0.02, 0.0, 0.05), 0.0, (64, 16, 64, False)),  # the largest that costs none, whatever lies below
    ((0.0, None, None), 0.0, (32, 32, 32, False)),  # beyond it branches diverged
]


@pytest.mark.parametrize(("means", "half", "expected"), TABLE)
def test_critical_batch_is_that_of_a_table_by_hand(
    means: Sequence[float | None], half: float, expected: tuple[int, int, int, bool]
) -> None:
    rows = [excess(1000, size, mean, half) for size, mean in zip((32, 64, 128), means, strict=True)]
    (point,) = profile_of(*rows).points
    assert (point.batch_size, point.low, point.high, point.open_end) == expected


@pytest.mark.parametrize("seed", range(100))
def test_the_interval_holds_the_estimate_and_a_ramp_only_grows(seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        excess(mark, size, None if draw.random() < 0.1 else draw.gauss(0.01, 0.02), draw.random() / 50)
        for mark in (1000, 2000, 4000, 6000)
        for size in (32, 64, 128)
    ]
    profile = profile_of(*rows)
    points = profile.points
    assert all(each.low <= each.batch_size <= each.high for each in points)
    ramp = points_of(profile.ramp, initial=16, budget=8000)
    assert [each.batch_size for each in ramp] == sorted({each.batch_size for each in ramp})
    for turn in ramp:  # no later critical batch is below it
        assert all(each.batch_size >= turn.batch_size for each in points if each.mark >= turn.mark)


def test_ramp_leaves_out_what_a_later_mark_takes_back() -> None:
    def at(mark: int, critical: int) -> list[ExcessLoss]:
        return [excess(mark, size, 0.0 if size <= critical else 1.0) for size in (32, 64, 128)]

    profile = profile_of(*at(1000, 32), *at(2000, 128), *at(4000, 64), *at(6000, 64))
    assert profile.ramp == "2x@12.5%, 4x@25%"
    assert points_of(profile.ramp, initial=16, budget=8000) == [Point(1000, 32), Point(2000, 64)]
    # In tenths of the run: at 0.05, 0.15, 0.25 and so on of it.
    assert profile.sizes(10) == [16, 32, *[64] * 8]
    Ramp(points=profile.ramp, coupling="linear")  # takes it as it is
    assert profile_of(*at(1000, 128), *at(6000, 16)).ramp == ""
    assert profile_of().ramp == ""


def test_it_comes_back_from_the_store_as_it_was(tmp_path: object) -> None:
    store = ProfileStore(str(tmp_path))
    profile = profile_of(excess(1000, 32, 0.001, 0.01), excess(1000, 64, None))
    text = replace(
        profile,
        profile="text-f00d",
        setting=replace(profile.setting, sequence_length=64),
        excess=(),
        diverged=1,
    )
    store.write(profile)
    store.write(text)
    assert store.critical() == [profile, text]
    assert not store.stability()
    assert not store.speed()
    there = ProfileStore(f"{tmp_path}/there")
    assert store.export(f"{tmp_path}/out.parquet", profile.profile) == 1
    assert there.take_in(f"{tmp_path}/out.parquet") == 1
    assert there.critical() == [profile]
