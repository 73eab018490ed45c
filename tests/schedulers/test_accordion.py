import math
from collections.abc import Callable, Sequence

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.accordion import Accordion
from tests.schedulers.rows import WIDE, row, run


def norms(values: Sequence[float], batch_size: int = 32) -> list[Signals]:
    return [row(interval, mean_norm=value, batch_size=batch_size) for interval, value in enumerate(values)]


def accordion(period: float = 1.0, growth: float = 8.0) -> Accordion:
    return Accordion(period=period, growth=growth, threshold=0.5)


# p = 4 at the last check: |4 - x| / 4 >= 0.5 for x <= 2 and x >= 6. Initial size 32, large 8 * 32 = 256.
@pytest.mark.parametrize("size", [32, 256, 100])
@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (4.0, 256),
        (3.0, 256),
        (5.0, 256),
        (2.0, 32),  # exactly the threshold is critical
        (math.nextafter(2.0, 3.0), 256),
        (6.0, 32),  # a rise counts like a fall
        (math.nextafter(6.0, 5.0), 256),
        (0.0, 32),
        (100.0, 32),
    ],
)
def test_switches_by_the_change_of_the_norm(size: int, now: float, expected: int) -> None:
    assert accordion().decide(norms([4.0, now], size), WIDE).batch_size == expected


def test_a_norm_of_0_at_the_last_check_is_critical() -> None:
    decision = accordion().decide(norms([0.0, 0.0], 256), WIDE)
    assert (decision.batch_size, decision.reason) == (32, "norm changed by inf >= 0.5 since interval 0")


def test_the_first_check_is_critical() -> None:
    decision = accordion().decide(norms([4.0]), WIDE)
    assert (decision.action, decision.reason) == ("hold", "first check: critical")


# Period 3, intervals of one epoch: checks at epochs 1, 4, 7, each but the first against the one before.
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([4.0, 9.0, 4.0], 32),  # no check due
        ([4.0, 9.0, 9.0, 4.0], 256),  # against interval 0
        ([4.0, 4.0, 4.0, 9.0], 32),
        ([9.0, 9.0, 9.0, 4.0, 9.0, 9.0, 4.0], 256),  # against interval 3
        ([4.0, 4.0, 4.0, 9.0, 4.0, 4.0, 4.0], 32),
    ],
)
def test_checks_once_a_period_against_the_last_check(values: list[float], expected: int) -> None:
    assert accordion(period=3).decide(norms(values), WIDE).batch_size == expected


def test_keeps_the_size_between_checks() -> None:
    history = run(accordion(period=3), 9, signals=lambda size: {"mean_norm": 1.0})
    assert [seen.batch_size for seen in history] == [32] * 4 + [256] * 5
    assert accordion(period=3).decide(history[:5], WIDE).reason == "next check at epoch 7"


def test_a_check_inside_an_interval_takes_place_at_its_end() -> None:
    history = [row(number, epoch=0.7 * (number + 1), mean_norm=4.0) for number in range(4)]
    reasons = [accordion(period=1).decide(history[:end], WIDE).reason for end in (1, 2, 3, 4)]
    assert reasons[:2] == ["next check at epoch 1", "first check: critical"]  # at 0.7 and 1.4
    assert reasons[2] == "norm changed by 0 < 0.5 since interval 1"  # at 2.1
    assert reasons[3] == "next check at epoch 3"  # at 2.8


# Per step, |g|^2 = |G|^2 + tr/B: with |G|^2 = 1 and tr = 480 that is 16 at 32 and 2.875 at 256, so the norm
# falls from 4 to 1.70, by 0.58: the switch itself looks critical, and so does the switch back.
def noisy_norms(size: int) -> dict[str, float]:
    return {"norm": math.sqrt(1 + 480 / size), "mean_norm": 1.0}


def test_growth_may_undo_itself_where_single_steps_are_read() -> None:
    rule = Accordion(period=1, gradient="per_step")
    sizes = [seen.batch_size for seen in run(rule, 8, signals=noisy_norms)]
    # 256 -> (0.58: critical) 32 -> (1.35: critical) 32 -> (0) 256 -> ...
    assert sizes == [32, 32, 256, 32, 32, 256, 32, 32]


def test_growth_leaves_the_mean_gradient_alone() -> None:
    sizes = [seen.batch_size for seen in run(Accordion(period=1), 6, signals=noisy_norms)]
    assert sizes == [32, 32, 256, 256, 256, 256]


def test_rests_at_the_cap_and_recovers_after_it() -> None:
    limits = Limits(smallest=16, largest=100)
    assert accordion().decide(norms([4.0, 4.0]), limits).batch_size == 100
    decision = accordion().decide(norms([4.0, 4.0, 4.0], 100), limits)
    assert (decision.action, decision.reason[:42]) == ("hold", "wanted 256, but 100 is the largest size; n")
    assert accordion().decide(norms([4.0, 4.0, 1.0], 100), limits).batch_size == 32


def test_reads_the_norm_that_it_is_told_to() -> None:
    assert Accordion().needs == {"mean_grad_norm"}
    assert Accordion(gradient="per_step").needs == {"grad_norm"}
    history = [row(0, norm=4.0, mean_norm=4.0), row(1, norm=1.0, mean_norm=4.0)]
    assert accordion().decide(history, WIDE).batch_size == 256
    assert Accordion(period=1, gradient="per_step").decide(history, WIDE).batch_size == 32


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_holds_on_an_unusable_norm_now_or_at_the_last_check(bad: float) -> None:
    assert accordion().decide(norms([4.0, bad]), WIDE).reason == f"mean_grad_norm is {bad}"
    decision = accordion().decide(norms([bad, 4.0], 256), WIDE)
    assert (decision.action, decision.reason) == ("hold", f"mean_grad_norm is {bad} at the last check")
    assert accordion().decide(norms([bad, 4.0, 4.0]), WIDE).action == "grow"


def test_couples_the_rate() -> None:
    rule = Accordion(period=1, coupling="sqrt", growth=4)
    assert rule.decide(norms([4.0, 4.0]), WIDE).lr_scale == 2.0
    assert rule.decide(norms([4.0, 1.0], 128), WIDE).lr_scale == 1.0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Accordion(period=0), "period must be greater than 0 but got period=0"),
        (lambda: Accordion(threshold=0), "threshold must be greater than 0 but got threshold=0"),
        (lambda: Accordion(threshold=math.nan), "but got threshold=nan"),
        (lambda: Accordion(growth=1), "growth must be greater than 1 but got growth=1"),
        (lambda: Accordion(gradient="last"), "gradient must be one of .* but got gradient='last'"),  # type: ignore[arg-type]
        (lambda: Accordion(coupling="cubic"), "but got coupling='cubic'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], Accordion], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
