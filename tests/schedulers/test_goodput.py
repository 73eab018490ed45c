import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.records import Limits, Signals
from adasearch.schedulers.goodput import Goodput
from tests.schedulers.rows import REPEATABLE, WIDE, row, run


def seen(noise: float, square: float, batch_size: int = 32) -> list[Signals]:
    return [row(0, noise=noise, square=square, batch_size=batch_size)]


def rule(a: float = 100.0, hysteresis: float = 0.05) -> Goodput:
    """b = 1: a step costs as much as ``a`` further examples."""
    return Goodput(seconds_per_step=a, seconds_per_example=1.0, hysteresis=hysteresis)


# From 32, a = 100, b = 1, v = phi/32, m = 1: throughput B/(100 + B), efficiency (phi + 32)/(phi + B).
@pytest.mark.parametrize(
    ("size", "phi", "expected"),
    [
        (32, 64.0, 32 / 132),  # efficiency 1 at the initial size
        (100, 100.0, 0.5 * 132 / 200),
        (300, 0.0, 0.75 * 32 / 300),  # no noise: further examples teach nothing
    ],
)
def test_goodput_follows_the_formula(size: int, phi: float, expected: float) -> None:
    assert rule().goodput(size, v=phi / 32, m=1.0, initial=32) == pytest.approx(expected, rel=1e-14)


# The derivative of B / ((a + B)(phi + B)) vanishes at B = sqrt(a * phi).
@pytest.mark.parametrize(("a", "phi"), [(100.0, 400.0), (400.0, 400.0), (1000.0, 900.0)])
def test_takes_nearly_the_size_of_the_greatest_goodput(a: float, phi: float) -> None:
    size = rule(a).decide(seen(phi, 1.0), WIDE).batch_size
    step = (2048 / 32) ** (1 / 49)  # between neighbours of the 50 candidates
    assert math.sqrt(a * phi) / step <= size <= math.sqrt(a * phi) * step


def test_candidates_are_50_in_equal_ratios() -> None:
    # sqrt(100 * 400) = 200; 32 * 64^(k/49) is 191.9 for k = 21.1: 190.2 (k = 21) and 207.1 (k = 22).
    # B / ((100 + B)(400 + B)): 190/(290 * 590) = 1.11046e-3, 207/(307 * 607) = 1.11082e-3
    assert rule().decide(seen(400.0, 1.0), WIDE).batch_size == 207


def test_never_goes_below_the_initial_size() -> None:
    # no noise: the smaller, the better, yet 32 is the least candidate
    assert rule().decide(seen(0.0, 1.0), WIDE).action == "hold"
    assert rule().decide(seen(0.0, 1.0, batch_size=256), WIDE).batch_size == 32


# With limits that leave 32 and 64 only (a = 100, phi): goodput(64)/goodput(32)
#   = 2 * (132/164) * (phi + 32)/(phi + 64).
@pytest.mark.parametrize(
    ("phi", "hysteresis", "expected"),
    [
        (20.0, 0.0, 32),  # 1.60976 * 52/84 = 0.9965
        (22.0, 0.0, 64),  # 1.60976 * 54/86 = 1.0108
        (22.0, 0.05, 32),
        (27.0, 0.05, 32),  # 1.60976 * 59/91 = 1.0437
        (29.0, 0.05, 64),  # 1.60976 * 61/93 = 1.0559
        (29.0, 0.06, 32),
    ],
)
def test_switches_only_for_a_clear_gain(phi: float, hysteresis: float, expected: int) -> None:
    limits = Limits(smallest=32, largest=64, multiple_of=32)
    assert rule(hysteresis=hysteresis).decide(seen(phi, 1.0), limits).batch_size == expected


def test_steps_back_where_the_noise_has_gone() -> None:
    limits = Limits(smallest=32, largest=64, multiple_of=32)
    # phi = 10: goodput(32)/goodput(64) = (164/264) * (74/42) = 1.0945
    assert rule().decide(seen(10.0, 1.0, batch_size=64), limits).batch_size == 32


def test_growth_does_not_change_its_own_signal() -> None:
    history = run(rule(), 4, signals=lambda size: {"noise": 400.0, "square": 1.0})
    assert [row.batch_size for row in history] == [32, 207, 207, 207]


def test_rests_at_the_cap_and_goes_on_after_it() -> None:
    limits = Limits(smallest=16, largest=128)
    assert rule().decide(seen(400.0, 1.0), limits).batch_size == 128
    decision = rule().decide(seen(400.0, 1.0, batch_size=128), limits)
    assert (decision.action, decision.reason) == (
        "hold",
        "128 has 1.000 times the goodput at noise scale 400",
    )
    # goodput(207)/goodput(128) = (207/128) * (228/307) * (528/607) = 1.0447 is not worth it, at 0.04 it is
    assert rule().decide(seen(400.0, 1.0, batch_size=128), WIDE).action == "hold"
    assert rule(hysteresis=0.04).decide(seen(400.0, 1.0, batch_size=128), WIDE).batch_size == 207


# At decay 0.8 the weights are 0.8 and 1: |G|^2 = (0.8 * 3.5 - 1) / 1.8 = 1, tr = 400.
def test_smooths_the_parts_before_it_divides() -> None:
    history = [row(0, noise=400.0, square=3.5), row(1, noise=400.0, square=-1.0)]
    assert rule().decide(history, WIDE).batch_size == 207


@pytest.mark.parametrize("square", [0.0, -1.0])
def test_no_gradient_beneath_the_noise_means_hold(square: float) -> None:
    decision = rule().decide(seen(400.0, square), WIDE)
    assert (decision.action, decision.reason) == ("hold", f"no efficiency: smoothed |G|^2 is {square:g}")


def test_learning_rate_is_the_gain_by_default() -> None:
    # v = 400/32 = 12.5, m = 1, S = 207/32
    decision = rule().decide(seen(400.0, 1.0), WIDE)
    assert decision.lr_scale == pytest.approx(13.5 / (12.5 * 32 / 207 + 1))
    assert Goodput(coupling="none").decide(seen(400.0, 1.0), WIDE).lr_scale == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_holds_on_an_unusable_signal(bad: float) -> None:
    assert rule().decide(seen(bad, 1.0), WIDE).reason == f"grad_noise is {bad}"
    assert rule().decide(seen(1.0, bad), WIDE).reason == f"grad_sq_norm is {bad}"


@REPEATABLE
@given(
    st.floats(min_value=0.0, max_value=1e6), st.floats(min_value=1e-6, max_value=1e6), st.integers(32, 4096)
)
def test_efficiency_lies_in_0_to_1_and_falls_with_the_size(v: float, m: float, size: int) -> None:
    free = Goodput(seconds_per_step=0.0, seconds_per_example=1.0)  # throughput 1: what is left is efficiency
    now, more = free.goodput(size, v=v, m=m, initial=32), free.goodput(2 * size, v=v, m=m, initial=32)
    assert 0 < more <= now <= 1 + 1e-9


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Goodput(seconds_per_step=-1), "seconds_per_step must be at least 0 but got"),
        (lambda: Goodput(seconds_per_example=0), "seconds_per_example must be greater than 0 but got"),
        (lambda: Goodput(hysteresis=-0.1), "hysteresis must be at least 0 but got hysteresis=-0.1"),
        (lambda: Goodput(decay=1), r"decay must lie in \[0, 1\) but got decay=1"),
        (lambda: Goodput(coupling="cubic"), "but got coupling='cubic'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], Goodput], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
