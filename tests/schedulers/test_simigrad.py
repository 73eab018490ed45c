import math
from collections.abc import Callable

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.simigrad import SimiGrad
from tests.schedulers.rows import WIDE, row, run


def seen(cosine: float, batch_size: int = 100) -> list[Signals]:
    return [row(0, cosine=cosine, batch_size=batch_size, initial=100)]


# target 0.25
@pytest.mark.parametrize(
    ("cosine", "size", "expected"),
    [
        (0.0, 100, 110),
        (-1.0, 100, 110),
        (math.nextafter(0.25, 0.0), 100, 110),
        (0.25, 100, 100),
        (math.nextafter(0.25, 1.0), 100, 90),
        (1.0, 100, 90),
        (0.0, 105, 115),  # int(115.5)
        (1.0, 105, 94),  # int(94.5)
        (0.0, 9, 10),  # max(9 + 1, int(9.9))
        (1.0, 9, 8),  # min(9 - 1, int(8.1))
    ],
)
def test_moves_by_the_side_of_the_target(cosine: float, size: int, expected: int) -> None:
    rule = SimiGrad(target=0.25)
    assert rule.decide(seen(cosine, size), Limits(smallest=1, largest=2048)).batch_size == expected


@pytest.mark.parametrize(("cosine", "side"), [(0.0, "<"), (0.25, "="), (0.5, ">")])
def test_reason_shows_the_cosine_beside_its_target(cosine: float, side: str) -> None:
    assert SimiGrad(target=0.25).decide(seen(cosine), WIDE).reason == f"cosine {cosine:g} {side} 0.25"


def test_learning_rate_follows_the_root_of_the_size_reached() -> None:
    assert SimiGrad(target=0.5, growth=4).decide(seen(0.0), WIDE).lr_scale == 2.0
    # at the cap: sqrt(225 / 100)
    limits = Limits(smallest=16, largest=225)
    assert SimiGrad(target=0.5, growth=4).decide(seen(0.0), limits).lr_scale == 1.5
    assert SimiGrad(target=0.5, growth=4, coupling="none").decide(seen(0.0), WIDE).lr_scale == 1.0


def test_rests_at_the_limits_and_recovers() -> None:
    limits = Limits(smallest=100, largest=200)
    at_cap = SimiGrad().decide(seen(0.0, 200), limits)
    assert (at_cap.action, at_cap.reason) == (
        "hold",
        "wanted 220, but 200 is the largest size; cosine 0 < 0.2",
    )
    assert SimiGrad().decide(seen(0.5, 200), limits).batch_size == 180
    at_floor = SimiGrad().decide(seen(0.5, 100), limits)
    assert at_floor.reason.startswith("wanted 90, but 100 is the smallest size")
    assert SimiGrad().decide(seen(0.0, 100), limits).batch_size == 110


# E[c] = 1 / (1 + B_noise / (B/2)); with B_noise = 400 and target 0.2: B = 2 * 400 * 0.2 / 0.8 = 200.
def test_growth_raises_its_own_signal_and_settles_about_the_fixed_point() -> None:
    def signals(size: int) -> dict[str, float]:
        return {"cosine": 1 / (1 + 400 / (size / 2))}

    sizes = [seen.batch_size for seen in run(SimiGrad(), 60, signals=signals)]
    assert sizes[:4] == [32, 35, 38, 41]
    assert all(180 <= size <= 220 for size in sizes[-30:])
    assert [seen.batch_size for seen in run(SimiGrad(), 3, start=200, signals=signals)] == [200, 200, 200]


# Weights 1/2 and 1: (0.5 * 0.6 + 0.0) / 1.5 = 0.2
def test_smooths_the_cosine_if_asked() -> None:
    history = [*seen(0.6), row(1, cosine=0.0, batch_size=100, initial=100)]
    assert SimiGrad(target=0.25).decide(history, WIDE).action == "grow"
    assert SimiGrad(target=0.25, decay=0.5).decide(history, WIDE).reason == "cosine 0.2 < 0.25"
    assert SimiGrad(target=0.1, decay=0.5).decide(history, WIDE).action == "shrink"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_holds_on_the_newest_unusable_signal(bad: float) -> None:
    decision = SimiGrad().decide([*seen(0.0), row(1, cosine=bad, lr_scale=0.5)], WIDE)
    assert (decision.action, decision.reason) == ("hold", f"half_cosine is {bad}")
    assert decision.lr_scale == 0.5
    history = [*seen(bad), row(1, cosine=0.0, batch_size=100)]
    assert SimiGrad(decay=0.5).decide(history, WIDE).action == "grow"


def test_needs_the_cosine_and_what_its_coupling_reads() -> None:
    assert SimiGrad().needs == {"half_cosine"}
    assert SimiGrad(coupling="adascale").needs == {"half_cosine", "grad_noise", "grad_sq_norm"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SimiGrad(target=1), r"target must lie in \[0, 1\) but got target=1"),
        (lambda: SimiGrad(target=-0.1), "but got target=-0.1"),
        (lambda: SimiGrad(growth=1), "growth must be greater than 1 but got growth=1"),
        (lambda: SimiGrad(shrink=1), r"shrink must lie in \(0, 1\) but got shrink=1"),
        (lambda: SimiGrad(decay=math.nan), r"decay must lie in \[0, 1\) but got decay=nan"),
        (lambda: SimiGrad(coupling="cubic"), "but got coupling='cubic'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], SimiGrad], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
