import math
from collections.abc import Callable
from typing import cast

import pytest

from adasearch.records import Limits
from adasearch.schedulers.ramp import Ramp
from adasearch.schedulers.run_plan import LrCurve, RunPlan, planned
from tests.schedulers.rows import WIDE, row, run


# Steps at epochs 10, 20, 30, 40. Geometric, growth 16: 32 * 16^(j/4) = 32 * 2^j.
# Linear, growth 5: 32 * (1 + 4j/4) = 32 * (1 + j).
@pytest.mark.parametrize(
    ("epoch", "geometric", "linear"),
    [
        (1.0, 32, 32),
        (9.99, 32, 32),
        (10.0, 64, 64),
        (19.0, 64, 64),
        (20.0, 128, 96),
        (30.0, 256, 128),
        (39.99, 256, 128),
        (40.0, 512, 160),
        (500.0, 512, 160),
    ],
)
def test_follows_the_formula(epoch: float, geometric: int, linear: int) -> None:
    history = [row(0, epoch=epoch)]
    assert Ramp(growth=16).decide(history, WIDE).batch_size == geometric
    assert Ramp(growth=5, shape="linear").decide(history, WIDE).batch_size == linear


def test_one_step_comes_at_the_start() -> None:
    rule = Ramp(start=10, end=40, steps=1, growth=4)
    assert rule.decide([row(0, epoch=9.0)], WIDE).batch_size == 32
    assert rule.decide([row(0, epoch=10.0)], WIDE).batch_size == 128


def test_may_fall() -> None:
    # 64 * 0.25^(1/2) = 32
    decision = Ramp(start=1, end=2, steps=2, growth=0.25).decide([row(0, initial=64, batch_size=64)], WIDE)
    assert (decision.batch_size, decision.action) == (32, "shrink")


def test_a_step_inside_an_interval_takes_effect_at_its_end() -> None:
    history = run(Ramp(start=1, end=5, steps=3, growth=8), 4, epochs_per_interval=2.0)
    # steps at epochs 1, 3, 5, intervals end at 2, 4, 6
    assert [seen.batch_size for seen in history] == [32, 64, 128, 256]


# From 48 in multiples of 24, growth 2 in 4 linear steps: 60, 72, 84, 96; halves are rounded up.
def test_takes_the_nearest_size_that_the_limits_allow() -> None:
    limits = Limits(smallest=24, largest=240, multiple_of=24)
    rule = Ramp(start=1, end=4, steps=4, growth=2, shape="linear")
    assert [seen.batch_size for seen in run(rule, 6, start=48, limits=limits)] == [48, 72, 72, 96, 96, 96]


def test_rests_at_the_cap_and_says_what_was_wanted() -> None:
    limits = Limits(smallest=16, largest=100)
    history = run(Ramp(start=1, end=3, steps=3, growth=8), 6, limits=limits)
    assert [seen.batch_size for seen in history] == [32, 64, 100, 100, 100, 100]
    decision = Ramp(start=1, end=3, steps=3, growth=8).decide(history, limits)
    assert decision.reason == "wanted 256, but 100 is the largest size; 3 of 3 steps done at epoch 6"
    # after the cap, with wider limits, it takes its place at once
    assert Ramp(start=1, end=3, steps=3, growth=8).decide(history, WIDE).batch_size == 256


def test_rests_at_the_floor_and_says_what_was_wanted() -> None:
    decision = Ramp(start=1, end=1, steps=1, growth=0.1).decide([row(0, batch_size=16)], WIDE)
    assert (decision.action, decision.reason[:41]) == ("hold", "wanted 3.2, but 16 is the smallest size; ")


@pytest.mark.parametrize(
    ("examples", "size"),
    [(1, 32), (49_999, 32), (50_000, 64), (199_999, 64), (200_000, 48), (10**9, 48)],
)
def test_follows_a_list_of_points(examples: int, size: int) -> None:
    rule = Ramp(points="64@50000, 48@200000")
    # the formula's first step, at epoch 10, no longer counts
    decision = rule.decide([row(0, epoch=20.0, examples=examples)], WIDE)
    assert decision.batch_size == size
    assert decision.reason.endswith(f"points passed at {examples} examples")


def test_points_may_carry_the_learning_rate_along() -> None:
    limits = Limits(smallest=16, largest=128)
    history = run(Ramp(points="64*0.5@100000, 96@200000, 32*0.125@300000"), 4, limits=limits)
    assert [seen.batch_size for seen in history] == [32, 64, 96, 32]
    assert [seen.lr_scale for seen in history] == [1.0, 0.5, 0.5, 0.125]  # the second point keeps the first's


def test_a_point_at_0_counts_from_the_first_decision() -> None:
    assert Ramp(points="64@0").decide([row(0)], WIDE).batch_size == 64


def test_couples_the_rate_with_the_size_reached() -> None:
    limits = Limits(smallest=16, largest=128)
    history = run(Ramp(start=1, end=3, steps=3, growth=64, coupling="linear"), 5, limits=limits)
    # 32 * 64^(1/3) = 128, then the cap: 128 / 32 = 4
    assert [seen.batch_size for seen in history] == [32, 128, 128, 128, 128]
    assert [seen.lr_scale for seen in history] == [1.0, 4.0, 4.0, 4.0, 4.0]


def test_needs_only_what_its_coupling_reads() -> None:
    assert Ramp().needs == frozenset()
    assert Ramp(coupling="adascale").needs == {"grad_noise", "grad_sq_norm"}
    held = Ramp(start=1, coupling="adascale").decide([row(0, noise=math.nan, square=1.0)], WIDE)
    assert (held.action, held.reason) == ("hold", "grad_noise is nan")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Ramp(start=-1), "start must be at least 0 but got start=-1"),
        (lambda: Ramp(start=math.nan), "but got start=nan"),
        (lambda: Ramp(start=5, end=4), "end must be at least start but got start=5, end=4"),
        (lambda: Ramp(end=math.inf), "but got start=10.0, end=inf"),
        (lambda: Ramp(steps=0), r"steps must lie in \[1, 1000\] but got steps=0"),
        (lambda: Ramp(steps=cast(int, 2.5)), r"steps must lie in \[1, 1000\] but got steps=2.5"),
        (lambda: Ramp(shape="round"), "shape must be one of .* but got shape='round'"),  # type: ignore[arg-type]
        (lambda: Ramp(growth=0), r"growth must lie in \(0, 10000\] but got growth=0"),
        (lambda: Ramp(growth=math.nan), "but got growth=nan"),
        (lambda: Ramp(coupling="cubic"), "coupling must be one of .* but got coupling='cubic'"),  # type: ignore[arg-type]
        (lambda: Ramp(points="64"), "points must be sizes at rising marks"),
        (lambda: Ramp(points="64@x"), "but got points='64@x'"),
        (lambda: Ramp(points="64@9, 32@9"), "but got points="),
        (lambda: Ramp(points="64@9, 32@5"), "but got points="),
        (lambda: Ramp(points="0@9"), "but got points='0@9'"),
        (lambda: Ramp(points="64@-9"), "but got points='64@-9'"),
        (lambda: Ramp(points="64*0@9"), r"but got points='64\*0@9'"),
        (lambda: Ramp(points="64*nan@9"), "but got points="),
        (lambda: Ramp(points="64*x@9"), "but got points="),
        (
            lambda: Ramp(points="64*0.5@9", coupling="linear"),
            "factors on the learning rate need coupling 'none'",
        ),
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], Ramp], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


# --- powers, and points relative to the run --------------------------------------------------------


# Steps at epochs 4, 8, 12, 16, exponent 1/2: 32 * sqrt(t/4).
@pytest.mark.parametrize(
    ("epoch", "size"), [(3.9, 32), (4.0, 32), (8.0, 45), (11.9, 45), (12.0, 55), (16.0, 64), (40.0, 64)]
)
def test_a_power_of_the_examples_seen(epoch: float, size: int) -> None:
    rule = Ramp(shape="power", start=4, end=16, steps=4, exponent=0.5)
    assert rule.decide([row(0, epoch=epoch)], WIDE).batch_size == size


# A run of 1,000 examples that begins with 32: 2x from 25 %, 4x at 1.5 times the rate from half of it on.
@pytest.mark.parametrize(
    ("examples", "size", "lr_scale"), [(249, 32, 1.0), (250, 64, 1.0), (499, 64, 1.0), (500, 128, 1.5)]
)
def test_points_at_shares_of_the_run_in_multiples_of_the_initial_size(
    examples: int, size: int, lr_scale: float
) -> None:
    rule = Ramp(points="2x@25%, 4x*1.5@50%")
    plan = RunPlan(budget=1000, interval=10, curve=LrCurve(lr_schedule="constant"))
    decision = planned(rule, plan).decide([row(0, examples=examples)], WIDE)
    assert (decision.batch_size, decision.lr_scale) == (size, lr_scale)
    assert rule.decide([row(0, examples=examples)], WIDE).reason == "no plan of the run was given"


def test_multiples_of_the_initial_size_at_examples_need_no_plan() -> None:
    rule = Ramp(points="2.5x@300")
    assert not rule.needs_plan
    assert rule.decide([row(0, examples=300, initial=64, batch_size=64)], WIDE).batch_size == 160


@pytest.mark.parametrize(
    "points", ["2x@100%", "2x@25%, 64@500", "2x@50%, 4x@25%", "0x@5", "-1x@5", "nanx@5", "2x@-1%", "2@@5"]
)
def test_refuses_relative_points_of_another_form(points: str) -> None:
    with pytest.raises(ValueError, match="points must be sizes at rising marks"):
        Ramp(points=points)


def test_a_power_needs_a_start() -> None:
    with pytest.raises(ValueError, match="shape 'power' needs start greater than 0 but got start=0"):
        Ramp(shape="power", start=0)
