import math
from collections.abc import Callable

import pytest

from adasearch.records import Limits
from adasearch.schedulers.noise_scale import NoiseScale
from tests.schedulers.rows import WIDE, row, run


# B = sqrt(r * tr / |G|^2)
@pytest.mark.parametrize(
    ("price", "noise", "square", "expected"),
    [
        (64.0, 400.0, 4.0, 80),  # sqrt(64 * 100)
        (256.0, 400.0, 4.0, 160),
        (100.0, 400.0, 4.0, 100),  # r = B_noise
        (64.0, 1600.0, 4.0, 160),
        (64.0, 400.0, 1.0, 160),
        (2.0, 5000.0, 1.0, 100),
        (1.0, 2550.25, 1.0, 51),  # sqrt = 50.5: halves are rounded up
        (1.0, 2540.0, 1.0, 50),  # 50.398
        (64.0, 0.0, 1.0, 16),
        (64.0, -3.0, 1.0, 16),
        (64.0, 1e300, 1e-300, 2048),
    ],
)
def test_follows_the_formula(price: float, noise: float, square: float, expected: int) -> None:
    decision = NoiseScale(time_price=price).decide([row(0, noise=noise, square=square)], WIDE)
    assert (decision.batch_size, decision.lr_scale) == (expected, 1.0)


# Weights 1/2 and 1: tr = (0.5 * 300 + 600) / 1.5 = 500, |G|^2 = (0.5 * 14 - 1) / 1.5 = 4; 64 * 125 = 8000,
# sqrt = 89.4. The mean of the ratios 300/14 and -600 would be nonsense.
def test_smooths_the_parts_before_it_divides() -> None:
    history = [row(0, noise=300.0, square=14.0), row(1, noise=600.0, square=-1.0)]
    decision = NoiseScale(time_price=64, decay=0.5).decide(history, WIDE)
    assert (decision.batch_size, decision.reason) == (89, "noise scale 500 / 4 = 125")
    held = NoiseScale(time_price=64, decay=0).decide(history, WIDE)
    assert (held.action, held.reason) == ("hold", "no noise scale: smoothed |G|^2 is -1")


def test_no_gradient_beneath_the_noise_means_hold() -> None:
    assert NoiseScale().decide([row(0, noise=1.0, square=0.0)], WIDE).action == "hold"


def test_growth_does_not_change_its_own_signal() -> None:
    rule = NoiseScale(time_price=64)
    history = run(rule, 4, signals=lambda size: {"noise": 400.0, "square": 4.0})
    assert [seen.batch_size for seen in history] == [32, 80, 80, 80]


def test_rests_at_the_cap_and_recovers_after_it() -> None:
    limits = Limits(smallest=16, largest=64)
    assert NoiseScale(time_price=64).decide([row(0, noise=400.0, square=4.0)], limits).batch_size == 64
    at_cap = row(0, noise=400.0, square=4.0, batch_size=64)
    decision = NoiseScale(time_price=64).decide([at_cap], limits)
    assert (decision.action, decision.reason[:40]) == ("hold", "wanted 80, but 64 is the largest size; n")
    calm = [at_cap, row(1, noise=64.0, square=4.0, batch_size=64)]
    assert NoiseScale(time_price=64, decay=0).decide(calm, limits).batch_size == 32  # sqrt(64 * 16)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_holds_on_the_newest_unusable_signal_and_leaves_out_older_ones(bad: float) -> None:
    rule = NoiseScale(time_price=64)
    assert rule.decide([row(0, noise=bad, square=1.0)], WIDE).reason == f"grad_noise is {bad}"
    assert rule.decide([row(0, noise=1.0, square=bad)], WIDE).reason == f"grad_sq_norm is {bad}"
    # each part leaves out its own bad values
    history = [
        row(0, noise=400.0, square=bad),
        row(1, noise=bad, square=4.0),
        row(2, noise=400.0, square=4.0),
    ]
    assert rule.decide(history, WIDE).batch_size == 80


def test_adascale_coupling_reads_the_same_signals() -> None:
    # v = 384/32 = 12, m = 4; sqrt(64 * 96) = 78.4 -> 78, S = 78/32: 16 / (12/S + 4)
    decision = NoiseScale(time_price=64, coupling="adascale").decide([row(0, noise=384.0, square=4.0)], WIDE)
    assert decision.batch_size == 78
    assert decision.lr_scale == pytest.approx(16 / (12 * 32 / 78 + 4))
    assert NoiseScale().needs == {"grad_noise", "grad_sq_norm"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NoiseScale(time_price=0), "time_price must be greater than 0 but got time_price=0"),
        (lambda: NoiseScale(time_price=math.nan), "but got time_price=nan"),
        (lambda: NoiseScale(decay=1), r"decay must lie in \[0, 1\) but got decay=1"),
        (lambda: NoiseScale(coupling="cubic"), "but got coupling='cubic'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], NoiseScale], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
