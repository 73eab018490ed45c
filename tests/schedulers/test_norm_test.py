import math
from collections.abc import Callable, Mapping
from typing import Literal

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.norm_test import NormTest
from tests.schedulers.rows import WIDE, row, run

Test = Literal["norm", "inner_product", "augmented"]
TESTS: tuple[Test, ...] = ("norm", "inner_product", "augmented")


def seen(
    noise: float | None, square: float, inner: float | None = None, batch_size: int = 32
) -> list[Signals]:
    return [row(0, noise=noise, batch_square=square, inner_variance=inner, batch_size=batch_size)]


# norm: tr / (eta^2 |g|^2), eta = 1/2: 4 tr / |g|^2
@pytest.mark.parametrize(
    ("noise", "square", "expected"),
    [
        (32.0, 2.0, 64),
        (32.0, 1.0, 128),
        (64.0, 2.0, 128),
        (16.0, 2.0, 32),  # needs 32: passed
        (16.25, 2.0, 33),  # 32.5 is rounded up
        (1.0, 2.0, 32),  # never smaller
        (0.0, 2.0, 32),
        (1e9, 2.0, 2048),
    ],
)
def test_norm_test_follows_the_formula(noise: float, square: float, expected: int) -> None:
    assert NormTest(eta=0.5).decide(seen(noise, square), WIDE).batch_size == expected


# inner product: Var / (theta^2 |g|^4), theta = 1/2: 4 Var / |g|^4
@pytest.mark.parametrize(
    ("inner", "square", "expected"),
    [(64.0, 2.0, 64), (64.0, 1.0, 256), (32.0, 2.0, 32), (33.0, 2.0, 33), (0.0, 2.0, 32)],
)
def test_inner_product_test_follows_the_formula(inner: float, square: float, expected: int) -> None:
    rule = NormTest(test="inner_product", theta=0.5)
    assert rule.decide(seen(None, square, inner), WIDE).batch_size == expected


# augmented: the larger of the inner product and (tr - Var/|g|^2) / (nu^2 |g|^2), nu = 1/2
@pytest.mark.parametrize(
    ("noise", "inner", "square", "expected"),
    [
        (32.0, 64.0, 2.0, 64),  # inner 4*64/4 = 64; orthogonal 4*(32 - 32)/2 = 0
        (82.0, 64.0, 2.0, 100),  # orthogonal 4*(82 - 32)/2 = 100
        (50.0, 0.0, 2.0, 100),
        (62.0, 64.0, 2.0, 64),  # orthogonal 60
        (1.0, 64.0, 2.0, 64),  # orthogonal negative, by chance of the estimates
        (1.0, 1.0, 2.0, 32),
    ],
)
def test_augmented_test_takes_the_larger(noise: float, inner: float, square: float, expected: int) -> None:
    rule = NormTest(test="augmented", theta=0.5, nu=0.5)
    assert rule.decide(seen(noise, square, inner), WIDE).batch_size == expected


@pytest.mark.parametrize("test", TESTS)
def test_a_batch_gradient_of_0_means_hold(test: Test) -> None:
    decision = NormTest(test=test).decide(seen(1.0, 0.0, 1.0), WIDE)
    assert (decision.action, decision.reason) == ("hold", "the batch gradient is 0: no test")


def test_a_tiny_gradient_does_not_overflow() -> None:
    for test in TESTS:
        rule = NormTest(test=test, eta=1e-3)
        assert rule.decide(seen(1e300, 5e-324, 1e300), WIDE).batch_size in (32, 2048)


def test_grows_to_a_multiple_that_suffices() -> None:
    limits = Limits(smallest=24, largest=240, multiple_of=24)
    # 4 * 25 / 2 = 50: 48 is too small
    assert NormTest(eta=0.5).decide(seen(25.0, 2.0, batch_size=48), limits).batch_size == 72
    assert NormTest(eta=0.5).decide(seen(24.0, 2.0, batch_size=48), limits).action == "hold"


def test_rests_at_the_cap_and_goes_on_after_it() -> None:
    limits = Limits(smallest=16, largest=64)
    decision = NormTest(eta=0.5).decide(seen(64.0, 2.0, batch_size=64), limits)
    assert decision.action == "hold"
    assert decision.reason == "wanted 128, but 64 is the largest size; norm test failed: needs 128 examples"
    assert NormTest(eta=0.5).decide(seen(64.0, 2.0, batch_size=64), WIDE).batch_size == 128
    passed = NormTest(eta=0.5).decide(seen(8.0, 2.0, batch_size=64), limits)
    assert passed.reason == "norm test passed: needs 16 examples"


# |g|^2 = |G|^2 + tr/B. With eta = 1/2, tr = 64, |G|^2 = 1 the test needs B = 4 * 64 / (1 + 64/B):
# at 32: 256/3 -> 86; at 86: 256/(1 + 64/86) = 146.8 -> 147; ... up to
# tr (1 - eta^2) / (eta^2 |G|^2) = 64 * 0.75 / 0.25 = 192.
def test_growth_raises_what_it_needs_up_to_its_fixed_point() -> None:
    def signals(size: int) -> Mapping[str, float]:
        return {"noise": 64.0, "batch_square": 1 + 64 / size}

    sizes = [seen.batch_size for seen in run(NormTest(eta=0.5), 20, signals=signals)]
    assert sizes[:3] == [32, 86, 147]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 192


def test_without_a_gradient_growth_runs_to_the_cap() -> None:
    def signals(size: int) -> Mapping[str, float]:
        return {"noise": 64.0, "batch_square": 64 / size}

    # needs B / eta^2 = 4 B at each size
    sizes = [seen.batch_size for seen in run(NormTest(eta=0.5), 5, signals=signals)]
    assert sizes == [32, 128, 512, 2048, 2048]


def test_needs_only_what_its_test_reads() -> None:
    assert NormTest().needs == {"grad_noise", "batch_grad_sq_norm"}
    assert NormTest(test="inner_product").needs == {"inner_product_variance", "batch_grad_sq_norm"}
    assert NormTest(test="augmented").needs == {"grad_noise", "inner_product_variance", "batch_grad_sq_norm"}
    assert NormTest(test="inner_product", coupling="adascale").needs >= {"grad_noise", "grad_sq_norm"}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_holds_on_an_unusable_signal(bad: float) -> None:
    assert NormTest().decide(seen(bad, 1.0), WIDE).reason == f"grad_noise is {bad}"
    assert NormTest().decide(seen(1.0, bad), WIDE).reason == f"batch_grad_sq_norm is {bad}"


def test_couples_the_rate() -> None:
    assert NormTest(eta=0.5, coupling="sqrt").decide(seen(64.0, 2.0), WIDE).lr_scale == 2.0
    assert NormTest(eta=0.5).decide(seen(64.0, 2.0), WIDE).lr_scale == 1.0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NormTest(test="t"), "test must be one of .* but got test='t'"),  # type: ignore[arg-type]
        (lambda: NormTest(eta=0), "eta must be greater than 0 but got eta=0"),
        (lambda: NormTest(theta=-1), "theta must be greater than 0 but got theta=-1"),
        (lambda: NormTest(nu=math.nan), "nu must be greater than 0 but got nu=nan"),
        (lambda: NormTest(coupling="cubic"), "but got coupling='cubic'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], NormTest], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
