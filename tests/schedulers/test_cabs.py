import math
from collections.abc import Callable

import pytest

from adasearch.records import Limits
from adasearch.schedulers.cabs import Cabs
from tests.schedulers.rows import WIDE, row, run


# B = c * lr * xi / L
@pytest.mark.parametrize(
    ("scale", "lr", "noise", "loss", "expected"),
    [
        (1.0, 0.25, 512.0, 2.0, 64),
        (2.0, 0.25, 512.0, 2.0, 128),
        (1.0, 0.5, 512.0, 2.0, 128),
        (1.0, 0.25, 1024.0, 2.0, 128),
        (1.0, 0.25, 512.0, 4.0, 32),
        (1.0, 0.25, 201.0, 1.0, 50),  # 50.25
        (1.0, 0.25, 202.0, 1.0, 51),  # 50.5: halves are rounded up
        (1.0, 0.25, 80.0, 1.0, 20),
        (1.0, 0.25, 0.0, 1.0, 16),  # no noise: the smallest
        (1.0, 0.25, 1e9, 1.0, 2048),
        (1.0, 0.25, -4.0, 1.0, 16),
    ],
)
def test_follows_the_formula(scale: float, lr: float, noise: float, loss: float, expected: int) -> None:
    decision = Cabs(scale=scale).decide([row(0, lr=lr, noise=noise, loss=loss)], WIDE)
    assert decision.batch_size == expected
    assert decision.lr_scale == 1.0


# Weights 1/2 and 1: xi = (256 * 0.5 + 1024) / 1.5 = 768, L = (4 * 0.5 + 1) / 1.5 = 2. 0.25 * 768 / 2 = 96.
def test_smooths_noise_and_loss_apart() -> None:
    history = [row(0, lr=0.25, noise=256.0, loss=4.0), row(1, lr=0.25, noise=1024.0, loss=1.0)]
    assert Cabs(decay=0.5).decide(history, WIDE).batch_size == 96
    # the last interval alone: 0.25 * 1024 / 1
    assert Cabs(decay=0).decide(history, WIDE).batch_size == 256


# The first interval's means are over three steps, the second's over one: weights 3/2 and 1.
# xi = (256 * 1.5 + 1024) / 2.5 = 563.2, L = (4 * 1.5 + 1) / 2.5 = 2.8; 0.25 * 563.2 / 2.8 = 50.29
def test_an_interval_counts_for_as_many_steps_as_were_measured() -> None:
    history = [row(0, lr=0.25, noise=256.0, loss=4.0, count=3), row(1, lr=0.25, noise=1024.0, count=1)]
    assert Cabs(decay=0.5).decide(history, WIDE).batch_size == 50


def test_takes_the_rate_in_force() -> None:
    history = [row(0, lr=0.5, lr_scale=0.5, noise=512.0, loss=2.0)]
    decision = Cabs().decide(history, WIDE)
    assert (decision.batch_size, decision.lr_scale) == (64, 0.5)


def test_rounds_to_the_nearest_multiple_and_does_not_swing_about_it() -> None:
    limits = Limits(smallest=24, largest=240, multiple_of=24)

    def wants_50(size: int) -> dict[str, float]:
        return {"lr": 0.25, "noise": 200.0, "loss": 1.0}

    sizes = [seen.batch_size for seen in run(Cabs(), 4, start=24, limits=limits, signals=wants_50)]
    assert sizes == [24, 48, 48, 48]
    assert [seen.batch_size for seen in run(Cabs(), 3, start=72, limits=limits, signals=wants_50)] == [
        72,
        48,
        48,
    ]


def test_unbiased_noise_does_not_answer_to_growth_and_a_falling_loss_grows() -> None:
    sizes = [seen.batch_size for seen in run(Cabs(), 4, signals=lambda size: {"lr": 0.25, "noise": 512.0})]
    assert sizes == [32, 128, 128, 128]
    history = [row(0, lr=0.25, noise=512.0), row(1, lr=0.25, noise=512.0, loss=0.5, batch_size=128)]
    assert Cabs(decay=0).decide(history, WIDE).batch_size == 256


def test_rests_at_the_cap_and_recovers_after_it() -> None:
    at_cap = row(0, lr=0.25, noise=1e6, batch_size=2048)
    decision = Cabs(decay=0).decide([at_cap], WIDE)
    assert decision.action == "hold"
    assert decision.reason.startswith("wanted 250000, but 2048 is the largest size; 1 * lr 0.25 * noise")
    back = [at_cap, row(1, lr=0.25, noise=512.0, batch_size=2048)]
    assert Cabs(decay=0).decide(back, WIDE).batch_size == 128


@pytest.mark.parametrize("loss", [0.0, -1.0])
def test_holds_where_the_loss_is_not_greater_than_0(loss: float) -> None:
    decision = Cabs().decide([row(0, noise=512.0, loss=loss)], WIDE)
    assert (decision.action, decision.reason.split(",")[0]) == (
        "hold",
        "the rule needs a loss greater than 0",
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_holds_on_the_newest_unusable_signal_and_leaves_out_older_ones(bad: float) -> None:
    assert Cabs().decide([row(0, noise=bad)], WIDE).reason == f"grad_noise is {bad}"
    assert Cabs().decide([row(0, noise=1.0, loss=bad)], WIDE).reason == f"train_loss is {bad}"
    history = [row(0, noise=bad, lr=0.25), row(1, noise=512.0, lr=0.25)]
    assert Cabs().decide(history, WIDE).batch_size == 128


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Cabs(scale=0), "scale must be greater than 0 but got scale=0"),
        (lambda: Cabs(scale=math.inf), "but got scale=inf"),
        (lambda: Cabs(decay=-0.1), r"decay must lie in \[0, 1\) but got decay=-0.1"),
        (lambda: Cabs(decay=1), "but got decay=1"),
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], Cabs], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
