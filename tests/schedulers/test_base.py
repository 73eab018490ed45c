import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.errors import require
from adasearch.records import Decision, Limits
from adasearch.schedulers.base import (
    TAIL,
    aim,
    change,
    cooling,
    hold,
    intervals_at_size,
    milestones_of,
    milestones_reached,
    nearest,
    periods,
    reachable,
    read,
    resize,
    smooth,
    unusable,
    variation,
    waiting,
)
from tests.schedulers.rows import REPEATABLE, WIDE, row

BY_24 = Limits(smallest=24, largest=240, multiple_of=24)


@pytest.mark.parametrize(
    ("current", "wanted", "limits", "expected"),
    [
        (32, 32, WIDE, 32),
        (32, 48.9, WIDE, 48),  # rounded down
        (32, 25.6, WIDE, 25),
        (16, 16.5, WIDE, 17),  # a wish to grow moves
        (32, 31.9, WIDE, 31),  # a wish to shrink moves
        (2000, 3000.0, WIDE, 2048),
        (20, 16 - 4.0, WIDE, 16),
        (2048, 3072.0, WIDE, 2048),
        (16, 12.8, WIDE, 16),
        (32, math.inf, WIDE, 2048),
        (100, 100 * 1.15, WIDE, 115),  # 114.99999999999999 in floating point
        (48, 72.0, BY_24, 72),
        (48, 100.0, BY_24, 96),
        (48, 49.0, BY_24, 72),
        (48, 47.0, BY_24, 24),
        (216, 230.0, BY_24, 240),
        (24, 1.0, BY_24, 24),
        (16, 32.0, Limits(smallest=16, largest=16), 16),
    ],
)
def test_reachable_returns_the_nearest_size_below_the_wish(
    current: int, wanted: float, limits: Limits, expected: int
) -> None:
    assert reachable(current, wanted, limits) == expected


@REPEATABLE
@given(st.data(), st.integers(1, 64), st.integers(1, 50), st.integers(0, 200))
def test_reachable_is_legal_and_never_goes_against_the_wish(
    data: st.DataObject, unit: int, first: int, more: int
) -> None:
    limits = Limits(smallest=unit * first, largest=unit * (first + more), multiple_of=unit)
    current = unit * data.draw(st.integers(first, first + more))
    wanted = data.draw(st.floats(min_value=0.0, max_value=1e9))
    size = reachable(current, wanted, limits)
    assert limits.admit(size)
    assert (size - current) * (wanted - current) >= 0
    if wanted > current:
        assert size > current or current == limits.largest
    if wanted < current:
        assert size < current or current == limits.smallest
    # Never further from the old size than was wished, except for the one multiple that every wish gets.
    assert abs(size - current) <= max(abs(wanted - current) + unit, unit)


@pytest.mark.parametrize(("size", "action"), [(48, "grow"), (25, "shrink"), (32, "hold")])
def test_change_derives_the_action_from_the_sizes(size: int, action: str) -> None:
    decision = change(row(lr_scale=0.5), size, "because")
    assert (decision.batch_size, decision.action) == (size, action)
    assert (decision.lr_scale, decision.reason) == (0.5, "because")


def test_change_and_hold_take_a_new_learning_rate_factor() -> None:
    assert change(row(lr_scale=0.5), 48, "because", lr_scale=0.25).lr_scale == 0.25
    assert hold(row(lr_scale=0.5), "because", lr_scale=0.25).lr_scale == 0.25


def test_hold_keeps_size_and_factor() -> None:
    assert hold(row(batch_size=40, lr_scale=0.5), "because") == Decision(
        batch_size=40, lr_scale=0.5, action="hold", reason="because"
    )


@pytest.mark.parametrize(
    ("wanted", "size", "action", "reason"),
    [
        (96.0, 96, "grow", "because"),
        (51.2, 51, "shrink", "because"),
        (64, 64, "hold", "because"),
        (65.0, 65, "grow", "because"),
        (4096.0, 100, "grow", "wanted 4096, but 100 is the largest size; because"),
    ],
)
def test_resize_goes_as_near_to_the_wish_as_the_limits_allow(
    wanted: float, size: int, action: str, reason: str
) -> None:
    decision = resize(row(batch_size=64, lr_scale=0.5), wanted, Limits(smallest=50, largest=100), "because")
    assert decision == change(row(batch_size=64, lr_scale=0.5), size, reason)
    assert decision.action == action


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (96.0, "wanted 96, but 64 is the largest size; because"),
        (51.2, "wanted 51.2, but 64 is the smallest size; because"),
    ],
)
def test_resize_says_what_was_wanted_where_no_move_is_left(wanted: float, reason: str) -> None:
    decision = resize(row(batch_size=64), wanted, Limits(smallest=64, largest=64), "because")
    assert (decision.action, decision.reason) == ("hold", reason)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([32], None),
        ([32, 32, 32], None),
        ([32, 48], 1),
        ([32, 48, 48, 48], 3),
        ([32, 48, 32], 1),  # back at the first size is a change, too
        ([32, 32, 48, 48, 72, 72], 2),
    ],
)
def test_intervals_at_size_counts_since_the_last_change(sizes: list[int], expected: int | None) -> None:
    assert intervals_at_size([row(i, batch_size=size) for i, size in enumerate(sizes)]) == expected


@given(st.lists(st.sampled_from([16, 32, 48]), min_size=1, max_size=40), st.integers(0, 12))
def test_a_cooldown_counts_from_the_last_change_in_the_whole_history(sizes: list[int], cooldown: int) -> None:
    history = [row(i, batch_size=size) for i, size in enumerate(sizes)]
    age = intervals_at_size(history)
    waits = age is not None and age < cooldown
    assert cooling(history, cooldown) == (
        f"cooldown: {age} of {cooldown} intervals at this size" if waits else None
    )


def test_a_cooldown_looks_no_further_back_than_it_lasts() -> None:
    """A long run asks after every interval: what was before would make that quadratic."""
    unseen: Any = [None] * 100
    assert cooling([*unseen, row(100), row(101), row(102)], cooldown=2) is None


def test_waiting_ends_with_enough_intervals_and_a_full_cooldown() -> None:
    history = [row(0), row(1), row(2, batch_size=48), row(3, batch_size=48)]
    assert waiting(history, at_least=5, cooldown=0) == "4 of at least 5 intervals seen"
    assert waiting(history, at_least=4, cooldown=3) == "cooldown: 2 of 3 intervals at this size"
    assert waiting(history, at_least=4, cooldown=2) is None
    assert waiting(history[:2], at_least=2, cooldown=99) is None  # the initial size has no cooldown


def test_read_returns_the_signal_of_every_row() -> None:
    assert read([row(0, norm=2.0), row(1, norm=0.0)], "grad_norm") == [2.0, 0.0]


def test_read_names_the_signal_and_the_interval_that_lacks_it() -> None:
    with pytest.raises(ValueError, match="signal 'grad_norm' is needed but interval 1 has none"):
        read([row(0), row(1, norm=None)], "grad_norm")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_unusable_names_the_first_signal_that_is_not_finite(bad: float) -> None:
    history = [row(0), row(1, norm=bad, loss=bad), row(2)]
    assert unusable(history, ("grad_norm", "train_loss")) == f"grad_norm is {bad}"
    assert unusable(history, ("grad_component_variance", "train_loss")) == f"train_loss is {bad}"
    assert unusable(history, ("grad_component_variance",)) is None


def test_variation_is_relative_to_the_row_before() -> None:
    history = [row(0, loss=100.0), row(1, loss=4.0), row(2, loss=3.0)]
    assert variation(history, "train_loss", 0.0) == 0.25
    assert variation(history, "train_loss", 1.0) == 0.2


@pytest.mark.parametrize("value", [0.5, 1, math.nan])
def test_require_names_the_rule_and_the_value(value: float) -> None:
    with pytest.raises(ValueError, match=f"growth must be greater than 1 but got growth={value}"):
        require(value > 1, "growth must be greater than 1", growth=value)


def test_require_accepts_what_keeps_the_rule() -> None:
    require(1.5 > 1, "growth must be greater than 1", growth=1.5)  # must not raise


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (35.9, 24),
        (36.0, 48),
        (48.0, 48),
        (59.9, 48),
        (60.0, 72),
        (1.0, 24),
        (239.0, 240),
        (1e9, 240),
        (math.inf, 240),
    ],
)
def test_nearest_rounds_to_the_multiple_that_the_limits_allow(wanted: float, expected: int) -> None:
    assert nearest(wanted, BY_24) == expected


@pytest.mark.parametrize(
    ("wanted", "size", "reason"),
    [
        (50.0, 48, "because"),  # a wish within half a multiple is none
        (59.0, 48, "because"),
        (60.0, 72, "because"),
        (35.0, 24, "because"),
        (500.0, 240, "wanted 500, but 240 is the largest size; because"),
    ],
)
def test_aim_takes_the_nearest_size(wanted: float, size: int, reason: str) -> None:
    last = row(batch_size=48, lr_scale=0.5)
    assert aim(last, wanted, BY_24, "because") == change(last, size, reason)


def test_aim_says_what_was_wanted_beyond_the_limits() -> None:
    at_cap, at_floor = row(batch_size=240), row(batch_size=24)
    assert aim(at_cap, 500.0, BY_24, "why").reason == "wanted 500, but 240 is the largest size; why"
    assert aim(at_floor, 2.5, BY_24, "why").reason == "wanted 2.5, but 24 is the smallest size; why"
    assert aim(at_cap, 240.0, BY_24, "why").reason == "why"


@REPEATABLE
@given(st.data(), st.integers(1, 64), st.integers(1, 50), st.integers(0, 200))
def test_nearest_is_legal_and_no_legal_size_is_nearer(
    data: st.DataObject, unit: int, first: int, more: int
) -> None:
    limits = Limits(smallest=unit * first, largest=unit * (first + more), multiple_of=unit)
    wanted = data.draw(st.floats(min_value=0.0, max_value=1e5))
    size = nearest(wanted, limits)
    assert limits.admit(size)
    assert abs(size - wanted) <= min(abs(unit * count - wanted) for count in range(first, first + more + 1))


def test_smooth_weighs_by_age_and_by_count() -> None:
    plain = [row(0, norm=8.0), row(1, norm=2.0), row(2, norm=1.0)]
    # weights 1/4, 1/2, 1: (2 + 1 + 1) / 1.75
    assert smooth(plain, "grad_norm", 0.5) == pytest.approx(4 / 1.75)
    assert smooth(plain, "grad_norm", 0.0) == 1.0
    assert smooth(plain, "grad_norm", 1.0) == pytest.approx(11 / 3)
    assert smooth(plain[:1], "grad_norm", 0.5) == 8.0  # no bias towards 0 at the start
    # weights 6/2 and 1: (3 * 8 + 2) / 4
    counted = [row(0, norm=8.0, count=6), row(1, norm=2.0, count=1)]
    assert smooth(counted, "grad_norm", 0.5) == pytest.approx(6.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_smooth_leaves_out_what_is_not_finite(bad: float) -> None:
    history = [row(0, norm=8.0), row(1, norm=bad), row(2, norm=1.0)]
    # weights 1/4 and 1
    assert smooth(history, "grad_norm", 0.5) == pytest.approx(3 / 1.25)


def test_smooth_looks_back_a_bounded_way() -> None:
    history = [row(0, norm=1e9), *(row(interval, norm=1.0) for interval in range(1, TAIL + 1))]
    assert smooth(history, "grad_norm", 1.0) == pytest.approx(1.0)
    assert smooth(history[:-1], "grad_norm", 1.0) > 1e6


def test_smooth_of_huge_values_stays_finite() -> None:
    history = [row(interval, norm=1e307, count=400) for interval in range(50)]
    assert smooth(history, "grad_norm", 0.9) == pytest.approx(1e307)


def test_smooth_names_a_missing_signal() -> None:
    with pytest.raises(ValueError, match="signal 'grad_noise' is needed but interval 0 has none"):
        smooth([row(0), row(1, noise=1.0)], "grad_noise", 0.5)


@pytest.mark.parametrize(
    ("epochs", "length", "expected"),
    [
        ([1.9], 2.0, (0, 0)),
        ([2.0], 2.0, (0, 1)),
        ([1.9, 2.1], 2.0, (0, 1)),
        ([2.1, 3.9], 2.0, (1, 1)),
        ([0.2, 0.3], 0.1, (2, 3)),  # 0.3 / 0.1 is 2.9999999999999996
        ([1.0, 9.0], 2.0, (0, 4)),
    ],
)
def test_periods_counts_before_and_after_the_last_interval(
    epochs: list[float], length: float, expected: tuple[int, int]
) -> None:
    assert periods([row(i, epoch=epoch) for i, epoch in enumerate(epochs)], length) == expected


def test_milestones_are_read_and_counted() -> None:
    epochs = milestones_of("0.3, 2 5,")
    assert epochs == (0.3, 2.0, 5.0)
    assert milestones_reached([row(0, epoch=0.1 + 0.2)], epochs) == 1
    assert milestones_reached([row(0, epoch=0.1 + 0.2), row(1, epoch=1.0)], epochs) == 0
    assert milestones_reached([row(0, epoch=1.0), row(1, epoch=5.0)], epochs) == 2
    # rounding: an end just short of a milestone has reached it, and the next interval does not reach it again
    short = row(0, epoch=math.nextafter(0.3, 0.0))
    assert milestones_reached([short], epochs) == 1
    assert milestones_reached([short, row(1, epoch=1.0)], epochs) == 0
