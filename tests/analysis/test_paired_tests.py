import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from adasearch.analysis.enough import MIN_PAIRS
from adasearch.analysis.estimates import Estimate, estimate
from adasearch.analysis.paired_tests import (
    ERROR_MARGIN,
    TIME_MARGIN,
    Paired,
    corrected,
    holm,
    paired,
    speedup_of,
    verdict,
)


def of(
    differences: Sequence[float], ratios: Sequence[float] | None = None, margin: float = ERROR_MARGIN
) -> Paired:
    """A comparison of given differences of error and, as the other's time over this one's, of speed."""
    errors = [(0.5 + difference, 0.5) for difference in differences]
    times = None if ratios is None else [(10.0, 10.0 * ratio) for ratio in ratios]
    return paired(errors, times, margin=margin)


# --- intervals and tests ----------------------------------------------------------------------------


def test_interval_holds_the_mean_and_repeats_itself() -> None:
    values = [0.1, 0.12, 0.09, 0.15, 0.11]
    found = estimate(values)
    assert found == estimate(values)
    assert found.low is not None
    assert found.high is not None
    assert found.mean == pytest.approx(0.114)
    assert min(values) <= found.low < found.mean < found.high <= max(values)


def test_p_is_that_of_the_paired_t_test() -> None:
    # d = 1..5 points: mean 3, sd sqrt(2.5), t = 3 / (sqrt(2.5) / sqrt(5)) = 3 sqrt(2), 4 degrees of freedom
    p = 2 * float(student.sf(3 * math.sqrt(2), 4))
    assert of([0.01, 0.02, 0.03, 0.04, 0.05]).p_error == pytest.approx(p)
    assert p == pytest.approx(0.0132, abs=1e-4)


def test_equivalence_is_the_worse_of_two_one_sided_tests() -> None:
    # mean 0.1 points, sd sqrt(10 / 4) = 1.58 tenths: 9 tenths to the margin, over sqrt(0.5) tenths
    found = of([-0.001, 0.003, 0.002, 0.0, 0.001])
    assert found.p_equal_error == pytest.approx(float(student.sf(9 / math.sqrt(0.5), 4)))
    assert of([-0.001, 0.003, 0.002, 0.0, 0.001], margin=0.0005).p_equal_error > 0.5  # type: ignore[operator]


def test_times_are_compared_by_their_ratios() -> None:
    found = of([0.0] * 4, [2.0, 2.0, 8.0, 0.5])
    assert found.log_speed is not None
    assert math.exp(found.log_speed.mean) == pytest.approx(2.0)  # the geometric mean
    assert of([0.0] * 4).log_speed is None


@pytest.mark.parametrize(
    ("difference", "words"),
    [(0.0, "equal"), (0.005, "equal"), (0.02, "worse"), (-0.02, "better at equal time")],
)
def test_pairs_that_all_differ_alike_are_told_apart_by_a_tenth_of_the_margin(
    difference: float, words: str
) -> None:
    found = of([difference] * 5, [1.0] * 5)
    scale = 0.1 * ERROR_MARGIN / math.sqrt(5)
    assert found.p_error == pytest.approx(2 * float(student.sf(abs(difference) / scale, 4)))
    inside = float(student.sf((ERROR_MARGIN - abs(difference)) / scale, 4))
    assert found.p_equal_error == pytest.approx(inside)
    assert verdict(found) == words


def test_an_interval_above_none_is_perhaps_worse_where_the_corrected_test_says_nothing() -> None:
    one = of([0.03, 0.01, 0.04, 0.005, 0.02], [1.2, 1.21, 1.19, 1.2, 1.22])
    assert verdict(one) == "worse error, less time"
    assert one.error.low is not None
    assert one.error.low > 0
    many = corrected({"one": one} | {str(n): of([0.03, -0.03, 0.04, -0.04, 0.0]) for n in range(9)})["one"]
    assert many.p_error is not None
    assert many.p_error > 0.05
    assert verdict(many) == "perhaps worse"
    assert speedup_of(many) is None
    assert verdict(of([0.002, 0.001, 0.003, 0.002, 0.001], [1.0] * 5)) == "equal"  # above none, and equal


@pytest.mark.parametrize("seeds", [1, 2, MIN_PAIRS - 1])
def test_too_few_pairs_give_intervals_but_no_p(seeds: int) -> None:
    found = of([0.01 * n for n in range(seeds)], [1.5 + 0.1 * n for n in range(seeds)])
    assert (found.p_error, found.p_time, found.p_equal_error, found.p_equal_time) == (None,) * 4
    assert (found.error.low is None) == (seeds == 1)
    assert verdict(found) == "too few seeds"


def test_holm_by_hand() -> None:
    # 0.01 * 4, max(that, 0.02 * 3), max(that, 0.03 * 2), max(that, 0.5)
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(ps: list[float]) -> None:
    found = holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, found, strict=True))
    assert [q for _, q in sorted(zip(ps, found, strict=True))] == sorted(found)


def test_each_question_is_corrected_over_the_rows_that_ask_it() -> None:
    one, two = of([0.01, 0.02, 0.03, 0.04, 0.05]), of([0.01, 0.02, 0.03, 0.04, 0.06], [1.5] * 5)
    found = corrected({"one": one, "two": two, "few": of([0.1])})
    assert found["one"].p_error == pytest.approx(min(2 * one.p_error, max(2 * one.p_error, two.p_error)))  # type: ignore[operator, type-var]
    assert found["two"].p_time == two.p_time  # asked once
    assert found["few"].p_error is None


# --- verdicts ---------------------------------------------------------------------------------------


def asked(
    error: float, speed: float | None, *, differ: bool, equal: bool, timed: bool = False, alike: bool = False
) -> Paired:
    def p(holds: bool) -> float:
        return 0.01 if holds else 0.4

    return Paired(
        seeds=5,
        error=Estimate(error),
        log_speed=None if speed is None else Estimate(math.log(speed)),
        p_error=p(differ),
        p_time=None if speed is None else p(timed),
        p_equal_error=p(equal),
        p_equal_time=None if speed is None else p(alike),
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (asked(0.001, 1.5, differ=False, equal=True, timed=True), "faster at equal error"),
        (asked(0.005, 1.5, differ=True, equal=True, timed=True), "faster at equal error"),
        (asked(0.005, 1.5, differ=False, equal=False, timed=True), "no evidence"),
        (asked(-0.05, 1.0, differ=True, equal=False, alike=True), "better at equal time"),
        (asked(-0.05, 1.0, differ=True, equal=False), "no evidence"),  # as fast? nobody knows
        (asked(-0.05, None, differ=True, equal=False), "no evidence"),
        (asked(-0.05, 1.5, differ=True, equal=False, timed=True), "both faster and better"),
        (asked(0.05, 1.5, differ=True, equal=False, timed=True), "worse error, less time"),
        (asked(0.05, 0.5, differ=True, equal=False, timed=True), "worse"),
        (asked(0.05, 1.0, differ=True, equal=False, alike=True), "worse"),
        (asked(0.0, 0.5, differ=False, equal=True, timed=True), "slower"),
        (asked(0.02, 0.5, differ=False, equal=False, timed=True), "slower"),
        (asked(-0.05, 0.5, differ=True, equal=False, timed=True), "lower error, more time"),
        (asked(-0.005, 0.5, differ=True, equal=True, timed=True), "slower"),
        (asked(0.0, 1.0, differ=False, equal=True, alike=True), "equal"),
    ],
)
def test_verdict_in_words(row: Paired, words: str) -> None:
    assert verdict(row) == words


@pytest.mark.parametrize(
    ("row", "gain"),
    [
        (asked(0.001, 1.5, differ=False, equal=True), 1.5),
        (asked(0.01, 1.5, differ=False, equal=False), 1.5),  # at the margin
        (asked(0.011, 1.5, differ=False, equal=False), None),  # not surely higher, but it looks so
        (asked(0.009, 1.5, differ=True, equal=False), None),  # surely higher
        (asked(0.009, 1.5, differ=True, equal=True), 1.5),  # and yet equal
        (asked(-0.2, 0.5, differ=True, equal=False), 0.5),  # better and slower
        (replace(asked(0.0, 1.5, differ=False, equal=True), acted=False), None),
    ],
)
def test_speed_up_and_time_saved_are_told_at_equal_error_only(row: Paired, gain: float | None) -> None:
    found = speedup_of(row)
    assert (None if found is None else found.mean) == (None if gain is None else pytest.approx(gain))
    assert row.time_saved == (None if gain is None else pytest.approx(1 - 1 / gain))


def test_nothing_is_said_of_errors_that_are_hardly_below_chance() -> None:
    times = [(10.0, 20.0 + n) for n in range(5)]
    hopeless = paired([(0.9 + n / 1000, 0.9) for n in range(5)], times, margin=0.01)
    assert verdict(hopeless) == "too few to say"
    assert verdict(paired([(0.3, 0.9 + n / 1000) for n in range(5)], times, margin=0.01)) != "too few to say"
    assert verdict(paired([(0.9, 0.9)] * 2, times[:2], margin=0.01)) == "too few seeds"


def test_a_clear_gain_is_seen_over_five_seeds() -> None:
    row = of([0.001, -0.001, 0.002, 0.0, -0.002], [1.50, 1.55, 1.45, 1.52, 1.48])
    assert verdict(row) == "faster at equal error"
    assert math.expm1(TIME_MARGIN) == pytest.approx(0.05)


def test_times_that_are_computed_are_known() -> None:
    errors = [(0.2, 0.2), (0.21, 0.2), (0.19, 0.2), (0.2, 0.21), (0.2, 0.19)]
    faster = paired(errors, [(10.0, 12.0)] * 5, margin=0.01)
    assert (faster.p_time, faster.p_equal_time) == (0.0, 1.0)
    same = paired(errors, [(10.0, 10.0)] * 5, margin=0.01)
    assert (same.p_time, same.p_equal_time) == (1.0, 0.0)
    assert paired(errors[:3], [(10.0, 12.0)] * 3, margin=0.01).p_time is None
