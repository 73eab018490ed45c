import math
from collections.abc import Callable

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.norm_target import NormTarget
from tests.schedulers.rows import WIDE, row


def target(parameters: float, step: int) -> float:
    """Return the code's target as it stands there."""
    power = -0.677 * math.log(parameters) ** -0.2
    return float((math.log(parameters) * parameters * (step + 0.01)) ** power)


def seen(interval: int, times: float, parameters: float = 46e6, **more: float) -> Signals:
    """Return an interval whose norm per root of a parameter is so many times the target."""
    per_root = times * target(parameters, 100 * (interval + 1))
    return row(
        interval,
        norm=per_root * math.sqrt(parameters),
        variance=per_root**2,
        **more,  # type: ignore[arg-type]
    )


# B <- 32 * (1 + 0.5 * (x/target - 1))
@pytest.mark.parametrize(
    ("times", "size"), [(1.0, 32), (2.0, 48), (1.5, 40), (3.0, 64), (0.5, 24), (0.0625, 17), (1e-9, 16)]
)
@pytest.mark.parametrize("parameters", [1e3, 46e6, 1e9])
def test_corrects_half_of_the_relative_difference(times: float, size: int, parameters: float) -> None:
    assert NormTarget().decide([seen(0, times, parameters)], WIDE).batch_size == size


def test_follows_fractions_from_interval_to_interval() -> None:
    # 32 * 1.01 = 32.32, 32.32 * 1.01 = 32.64: the first correction counts although it moved nothing.
    history = [seen(0, 1.02), seen(1, 1.02)]
    assert NormTarget().decide(history[:1], WIDE).batch_size == 32
    assert NormTarget().decide(history, WIDE).batch_size == 33


def test_the_exact_size_does_not_run_away_beyond_the_limits() -> None:
    limits = Limits(smallest=16, largest=64)
    history = [seen(0, 1000.0), seen(1, 1000.0), seen(2, 0.5, batch_size=64)]
    assert NormTarget().decide(history[:2], limits).batch_size == 64
    assert NormTarget().decide(history, limits).batch_size == 48


def test_scale_moves_the_target_and_gain_the_step() -> None:
    assert NormTarget(scale=2.0).decide([seen(0, 2.0)], WIDE).batch_size == 32
    assert NormTarget(gain=0.25).decide([seen(0, 2.0)], WIDE).batch_size == 40


def test_no_gradient_is_no_reason_to_move() -> None:
    assert NormTarget().decide([row(0, norm=0.0, variance=0.0)], WIDE).action == "hold"


def test_the_reason_gives_ratio_step_and_size() -> None:
    assert NormTarget().decide([seen(0, 2.0)], WIDE).reason == "norm 2 of its target after step 100: 48"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_unusable_norm_means_hold(bad: float) -> None:
    assert NormTarget().decide([row(0, norm=bad)], WIDE).reason == f"grad_norm is {bad}"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NormTarget(gain=1.5), "gain must lie in .* but got gain=1.5"),
        (lambda: NormTarget(scale=0), "scale must be greater than 0 but got scale=0"),
        (lambda: NormTarget(coupling="cubic"), "but got coupling='cubic'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], NormTarget], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
