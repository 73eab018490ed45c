import math
from collections.abc import Callable

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.increase_instead_of_decay import IncreaseInsteadOfDecay
from tests.schedulers.rows import WIDE, row, run


def ending_at(before: float, now: float, batch_size: int = 32, lr_scale: float = 1.0) -> list[Signals]:
    return [
        row(0, epoch=before, batch_size=batch_size, lr_scale=lr_scale),
        row(1, epoch=now, batch_size=batch_size, lr_scale=lr_scale),
    ]


# Factor 2 from 32 at epochs 3 and 5: each milestone doubles, lr stays: 2 / 2 = 1.
@pytest.mark.parametrize(
    ("before", "now", "size"),
    [
        (1.0, 2.0, 32),
        (1.0, 2.999, 32),
        (2.0, 3.0, 64),  # the end of the interval is part of it
        (3.0, 4.0, 32),  # and not of the next
        (2.9999, 3.0002, 64),
        (4.0, 5.0, 64),
        (2.0, 5.0, 128),  # two milestones in one interval
        (5.0, 6.0, 32),
    ],
)
def test_grows_where_a_milestone_is_reached(before: float, now: float, size: int) -> None:
    decision = IncreaseInsteadOfDecay(milestones="3, 5", factor=2).decide(ending_at(before, now), WIDE)
    assert (decision.batch_size, decision.lr_scale) == (size, 1.0)
    assert decision.action == ("hold" if size == 32 else "grow")


def test_the_first_interval_may_reach_a_milestone() -> None:
    decision = IncreaseInsteadOfDecay(milestones="3", factor=2).decide([row(0, epoch=3.5)], WIDE)
    assert decision.batch_size == 64


@pytest.mark.parametrize(
    ("size", "limits", "expected", "lr_scale"),
    [
        (64, WIDE, 320, 1.0),
        # 5 * 1024 = 5120, achieved 2: the rate takes 2/5
        (1024, WIDE, 2048, 0.4),
        # at the cap the rate decays as in the fixed run: 1/5
        (2048, WIDE, 2048, 0.2),
        # 5 * 7 = 35 is cut to 28 = 4 * 7: 4/5
        (7, Limits(smallest=7, largest=28), 28, 0.8),
    ],
)
def test_the_rate_takes_what_growth_does_not_achieve(
    size: int, limits: Limits, expected: int, lr_scale: float
) -> None:
    decision = IncreaseInsteadOfDecay(milestones="3").decide(ending_at(2, 3, batch_size=size), limits)
    assert decision.batch_size == expected
    assert decision.lr_scale == pytest.approx(lr_scale, rel=1e-15)


def test_a_step_that_overshoots_raises_the_rate() -> None:
    # 1.5 * 24 = 36 moves up by one multiple to 48, twice the size: the rate takes 2 / 1.5
    limits = Limits(smallest=24, largest=240, multiple_of=24)
    rule = IncreaseInsteadOfDecay(milestones="3", factor=1.5)
    decision = rule.decide(ending_at(2, 3, batch_size=24), limits)
    assert decision.batch_size == 48
    assert decision.lr_scale == pytest.approx(2 / 1.5, rel=1e-15)


def test_rate_per_example_keeps_to_its_path_before_at_and_after_the_cap() -> None:
    # Factor 5 from 128: 640, then 3200 is cut to 2048, then nothing is left but the rate.
    history = run(IncreaseInsteadOfDecay(milestones="60, 120, 160"), 200, start=128)
    stages = [history[end - 1] for end in (60, 120, 160, 200)]
    assert [seen.batch_size for seen in stages] == [128, 640, 2048, 2048]
    assert [seen.lr_scale for seen in stages] == pytest.approx([1, 1, 2048 / 3200, 2048 / 16000], rel=1e-12)
    per_example = [seen.lr_scale / seen.batch_size for seen in stages]
    assert per_example == pytest.approx([5.0**-k / 128 for k in range(4)], rel=1e-12)


def test_grows_again_after_the_cap() -> None:
    # With wider limits the next milestone grows in full; the rate stays where the cap has put it.
    history = ending_at(4, 5, batch_size=2048, lr_scale=0.2)
    decision = IncreaseInsteadOfDecay(milestones="3, 5", factor=2).decide(
        history, Limits(smallest=16, largest=8192)
    )
    assert (decision.batch_size, decision.lr_scale) == (4096, 0.2)


def test_reasons_name_the_milestones() -> None:
    rule = IncreaseInsteadOfDecay(milestones="3, 5", factor=2)
    assert rule.decide(ending_at(1, 2), WIDE).reason == "next milestone at epoch 3"
    assert rule.decide(ending_at(3, 4), WIDE).reason == "next milestone at epoch 5"
    assert rule.decide(ending_at(5, 6), WIDE).reason == "no milestone left"
    assert rule.decide(ending_at(2, 3), WIDE).reason == "1 milestone reached by epoch 3: times 2"
    assert rule.decide(ending_at(2, 5), WIDE).reason == "2 milestones reached by epoch 5: times 4"
    at_cap = rule.decide(ending_at(2, 3, batch_size=2048), WIDE)
    assert at_cap.reason.endswith("but 2048 is the largest size: the learning rate decays alone")


def test_needs_no_signal_and_owns_the_learning_rate() -> None:
    assert IncreaseInsteadOfDecay.needs == frozenset()
    assert IncreaseInsteadOfDecay.lr_schedules == {"constant"}


@pytest.mark.parametrize("text", ["", " ", "60, 40", "0, 10", "5, 5", "-1", "ten", "nan", "inf", "5, nan"])
def test_refuses_milestones_that_do_not_rise(text: str) -> None:
    with pytest.raises(ValueError, match=r"milestones must be rising epochs .* but got milestones="):
        IncreaseInsteadOfDecay(milestones=text)


@pytest.mark.parametrize("text", ["60", "60,120", "60 120", "0.5, 1e1,"])
def test_reads_milestones_with_commas_or_spaces(text: str) -> None:
    IncreaseInsteadOfDecay(milestones=text)  # must not raise


@pytest.mark.parametrize(
    "build",
    [
        lambda: IncreaseInsteadOfDecay(factor=1),
        lambda: IncreaseInsteadOfDecay(factor=101),
        lambda: IncreaseInsteadOfDecay(factor=math.nan),
    ],
)
def test_refuses_a_factor_outside_its_domain(build: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"factor must lie in \(1, 100\] but got factor="):
        build()
