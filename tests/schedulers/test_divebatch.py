import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.divebatch import DiveBatch
from tests.schedulers.rows import WIDE, row, run

AtOnePlace = partial(DiveBatch, diversity="noise_scale")


def seen(noise: float, square: float, batch_size: int = 32) -> list[Signals]:
    return [row(0, noise=noise, square=square, batch_size=batch_size)]


def test_diversity_is_that_of_the_paper() -> None:
    # Three examples with gradients (2, 0), (0, 2), (1, 1): sum |g_i|^2 = 10, |sum|^2 = 18, N Delta = 30/18.
    # G = (1, 1), |G|^2 = 2; tr(Sigma) = mean |g_i - G|^2 = (2 + 2 + 0)/3; 1 + (4/3)/2 = 5/3.
    gradients = [(2.0, 0.0), (0.0, 2.0), (1.0, 1.0)]
    paper = 3 * sum(x * x + y * y for x, y in gradients) / 18
    decision = AtOnePlace(delta=60).decide(seen(4 / 3, 2.0), WIDE)
    assert decision.batch_size == pytest.approx(60 * paper) == 100


# B = delta * (1 + tr / |G|^2)
@pytest.mark.parametrize(
    ("delta", "noise", "square", "expected"),
    [
        (1.0, 99.0, 1.0, 100),
        (2.0, 99.0, 1.0, 200),
        (1.0, 99.0, 0.5, 199),
        (1.0, 31.0, 1.0, 32),
        (1.0, 31.9, 1.0, 32),  # 32.9 is rounded down: no larger size
        (1.0, 32.0, 1.0, 33),
        (1.0, 1.0, 1.0, 32),  # never smaller
        (1.0, 0.0, 1.0, 32),
        (0.1, 999.0, 1.0, 100),
        (1.0, 1e300, 1e-300, 2048),
    ],
)
def test_follows_the_formula(delta: float, noise: float, square: float, expected: int) -> None:
    decision = AtOnePlace(delta=delta).decide(seen(noise, square), WIDE)
    assert (decision.batch_size, decision.lr_scale) == (expected, 1.0)


@pytest.mark.parametrize("square", [0.0, -1.0])
def test_an_undefined_diversity_means_hold(square: float) -> None:
    decision = AtOnePlace(delta=1).decide(seen(99.0, square), WIDE)
    assert (decision.action, decision.reason[:12]) == ("hold", "no diversity")


# Intervals of half an epoch: the epoch's two count alike, those before it do not.
def test_averages_over_the_period_that_has_just_ended() -> None:
    history = [
        row(0, epoch=0.5, noise=1e6, square=1e-6),
        row(1, epoch=1.0, noise=1e6, square=1e-6),
        row(2, epoch=1.5, noise=50.0, square=3.0),
        row(3, epoch=2.0, noise=150.0, square=-1.0),
    ]
    # means 100 and 1
    assert AtOnePlace(delta=1).decide(history, WIDE).batch_size == 101
    assert AtOnePlace(delta=1).decide(history[:3], WIDE).reason == "period 2 of 1 epochs not over"
    # 3 steps were measured in the first half, 1 in the second: means 75 and 2
    counted = [
        *history[:2],
        row(2, epoch=1.5, noise=50.0, square=3.0, count=3),
        row(3, epoch=2.0, noise=150.0, square=-1.0, count=1),
    ]
    assert AtOnePlace(delta=2).decide(counted, WIDE).batch_size == 77  # 2 * (1 + 37.5)


def test_averages_over_100_intervals_of_a_longer_period() -> None:
    history = [row(n, epoch=(n + 1) / 150, noise=1e6 if n < 50 else 99.0, square=1.0) for n in range(150)]
    assert AtOnePlace(delta=1).decide(history, WIDE).batch_size == 100


def test_decides_once_a_period() -> None:
    history = run(AtOnePlace(delta=1, period=3), 7, signals=lambda size: {"noise": 99.0, "square": 1.0})
    assert [row.batch_size for row in history] == [32, 32, 32, 100, 100, 100, 100]


def test_growth_does_not_change_its_own_signal() -> None:
    history = run(AtOnePlace(delta=1), 4, signals=lambda size: {"noise": 99.0, "square": 1.0})
    assert [row.batch_size for row in history] == [32, 100, 100, 100]


def test_grows_to_a_multiple_only_if_it_is_reached() -> None:
    limits = Limits(smallest=24, largest=240, multiple_of=24)
    assert AtOnePlace(delta=1).decide(seen(70.0, 1.0, 48), limits).action == "hold"  # 71 < 72
    assert AtOnePlace(delta=1).decide(seen(71.0, 1.0, 48), limits).batch_size == 72


def test_rests_at_the_cap_and_goes_on_after_it() -> None:
    limits = Limits(smallest=16, largest=64)
    decision = AtOnePlace(delta=1).decide(seen(99.0, 1.0, 64), limits)
    assert decision.action == "hold"
    assert decision.reason == "wanted 100, but 64 is the largest size; 1 * diversity 100 = 100"
    assert AtOnePlace(delta=1).decide(seen(99.0, 1.0, 64), WIDE).batch_size == 100
    assert AtOnePlace(delta=1).decide(seen(9.0, 1.0, 64), limits).reason.endswith("which is no larger size")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_unusable_signal_means_hold_not_the_largest_size(bad: float) -> None:
    assert AtOnePlace(delta=1).decide(seen(bad, 1.0), WIDE).reason == f"grad_noise is {bad}"
    assert AtOnePlace(delta=1).decide(seen(1.0, bad), WIDE).reason == f"grad_sq_norm is {bad}"


def test_couples_the_rate() -> None:
    decision = AtOnePlace(delta=1, coupling="linear").decide(seen(127.0, 1.0), WIDE)
    assert (decision.batch_size, decision.lr_scale) == (128, 4.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AtOnePlace(delta=0), "delta must be greater than 0 but got delta=0"),
        (lambda: AtOnePlace(delta=math.inf), "but got delta=inf"),
        (lambda: DiveBatch(period=0), "period must be greater than 0 but got period=0"),
        (lambda: DiveBatch(coupling="cubic"), "but got coupling='cubic'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], DiveBatch], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


# --- along a period of training ------------------------------------------------------------------


def along(noise: float, square: float, norm: float, **more: Any) -> Signals:
    return row(0, noise=noise, square=square, mean_norm=norm, **more)


def test_two_steps_that_cancel_have_the_authors_diversity() -> None:
    # Steps of 32 with mean gradients (1, 0.1) and (-0.9, 0.1), tr(Sigma) 10. mean |G|^2 of the batches is
    # (1.01 + 0.82)/2 = 0.915, less tr/32 = 0.3125; their mean (0.05, 0.1) has the square 0.0125.
    history = [along(10.0, 0.915 - 10 / 32, math.sqrt(0.0125))]
    wanted = (10 + 0.915 - 0.3125) / 0.0125
    assert round(wanted) == 848
    assert DiveBatch(delta=1).decide(history, WIDE).batch_size == 848
    assert AtOnePlace(delta=10).decide(history, WIDE).batch_size == 175  # 10 * (1 + 10/0.6025)


def test_diversity_is_that_of_the_examples_gradients_along_the_way() -> None:
    # Four examples, two steps of two: (2, 0), (0, 2) at the first weights, (-1, 1), (1, 1) at the second.
    gradients = [(2.0, 0.0), (0.0, 2.0), (-1.0, 1.0), (1.0, 1.0)]
    squares = sum(x * x + y * y for x, y in gradients)
    total = (sum(x for x, _ in gradients), sum(y for _, y in gradients))
    authors = 4 * squares / (total[0] ** 2 + total[1] ** 2)
    # Means (1, 1) and (0, 1); |G|^2 + tr(Sigma) is the mean square of a step's gradients: 4 and 2.
    history = [along(noise=3.0 - 1.5, square=1.5, norm=math.hypot(0.5, 1.0))]
    assert DiveBatch(delta=100).decide(history, WIDE).batch_size == int(100 * authors + 1e-9) == 240


def test_a_period_of_several_intervals_takes_the_norms_by_their_examples() -> None:
    history = [
        row(0, epoch=0.5, examples=1000, noise=50.0, square=2.0, mean_norm=1.0),
        row(1, epoch=1.0, examples=4000, noise=50.0, square=2.0, mean_norm=0.2),
    ]
    # (1000 * 1 + 3000 * 0.2) / 4000 = 0.4; 52 / 0.16 = 325
    assert DiveBatch(delta=1).decide(history, WIDE).batch_size == 325


def test_reads_the_mean_gradient_only_along_a_period() -> None:
    assert DiveBatch().needs == {"grad_noise", "grad_sq_norm", "mean_grad_norm"}
    assert AtOnePlace().needs == {"grad_noise", "grad_sq_norm"}


def test_a_mean_gradient_of_0_means_hold() -> None:
    assert DiveBatch(delta=1).decide([along(10.0, 1.0, 0.0)], WIDE).reason[:12] == "no diversity"
