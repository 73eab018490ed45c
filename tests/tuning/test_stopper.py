from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.records import IntervalRecord
from adasearch.studies.settings import rungs_of
from adasearch.tuning.stopper import MIN_TRIALS_AT_RUNG, RECALLED, Rungs, ranks_of
from tests.rows import STUDY, at_marks, interval_at

# STUDY's budget of 1600 examples puts the rungs at 400 and 800; at_marks ends an interval at each 400.
Point = tuple[float, float]


def enter_all(points: list[Point]) -> list[bool]:
    """Let one trial per point enter the first rung, one after the other; return which go on."""
    rungs = Rungs(STUDY)
    return [rungs.enter(f"trial {n}", at_marks(point)) for n, point in enumerate(points)]


@pytest.mark.parametrize(
    ("budget", "stopper", "marks"),
    [
        (1600, "halving", (400, 800)),
        (1601, "halving", (400, 800)),
        (3, "halving", (1, 2)),
        (1600, "none", ()),
    ],
)
def test_rungs_lie_at_a_quarter_and_a_half_of_the_budget(
    budget: int, stopper: str, marks: tuple[int, ...]
) -> None:
    assert rungs_of(replace(STUDY, budget=budget, stopper=stopper)) == marks


@pytest.mark.parametrize(
    ("a", "b", "better"),
    [
        ((0.1, 1.0), (0.2, 2.0), True),
        ((0.1, 2.0), (0.2, 2.0), True),
        ((0.1, 1.0), (0.1, 2.0), True),
        ((0.1, 1.0), (0.1, 1.0), False),
        ((0.1, 2.0), (0.2, 1.0), False),
        ((0.2, 2.0), (0.1, 1.0), False),
    ],
)
def test_a_point_counts_against_those_that_it_beats_in_one_without_losing_in_the_other(
    a: Point, b: Point, better: bool
) -> None:
    assert ranks_of([a, b])[b] == better


COORDINATE = st.integers(1, 5).map(float)


@given(points=st.lists(st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=12))
def test_the_better_half_by_rank_goes_on(points: list[Point]) -> None:
    for n, goes_on in enumerate(enter_all(points), start=1):
        there = points[:n]
        ranks = [sum(q != p and q[0] <= p[0] and q[1] <= p[1] for q in there) for p in there]
        ahead = sum(rank < ranks[-1] for rank in ranks)
        assert goes_on == (n < MIN_TRIALS_AT_RUNG or 2 * ahead < n)


@given(points=st.lists(st.tuples(COORDINATE, COORDINATE), min_size=MIN_TRIALS_AT_RUNG, max_size=12))
def test_what_nothing_dominates_always_goes_on(points: list[Point]) -> None:
    best = (min(p[0] for p in points) - 0.5, max(p[1] for p in points) + 1)
    assert enter_all([*points, best])[-1]


def test_a_slow_accurate_and_a_fast_poor_trial_both_live() -> None:
    middling = [(0.3, 30.0), (0.31, 31.0), (0.32, 32.0), (0.33, 33.0)]
    assert enter_all([*middling, (0.05, 300.0), (0.9, 3.0), (0.34, 34.0)])[-3:] == [True, True, False]


def test_fewer_than_four_at_a_rung_stop_nobody() -> None:
    worse_and_worse = [(0.1 * n, float(n)) for n in range(1, 7)]
    assert enter_all(worse_and_worse) == [True, True, True, False, False, False]


def test_equals_go_on_together() -> None:
    assert all(enter_all([(0.1, 5.0)] * 10))


def test_a_trial_before_its_rung_goes_on_unseen() -> None:
    rungs = Rungs(STUDY)
    for n in range(10):
        assert rungs.enter(f"early {n}", [interval_at(0, seen=399, val_error=0.0, seconds=0.0)])
    assert rungs.enter("late", at_marks((0.9, 9.0)))  # alone at the rung


def test_an_interval_that_was_not_evaluated_does_not_enter() -> None:
    rungs = Rungs(STUDY)
    for n in range(10):
        assert rungs.enter(f"unseen {n}", at_marks((None, 0.0)))
    assert rungs.enter("seen", at_marks((0.9, 9.0)))  # alone at the rung


def test_a_trial_enters_with_its_first_evaluated_interval_and_all_seconds_so_far() -> None:
    rungs = Rungs(STUDY)
    for n in range(3):
        rungs.enter(f"trial {n}", at_marks((0.5, 10.0)))
    assert rungs.enter("trial 3", at_marks((None, 6.0)))
    # 6 and 4 seconds: equal to the others, and so in the better half.
    late = [interval_at(0, seconds=6.0), interval_at(1, seen=500, val_error=0.5, seconds=4.0)]
    assert rungs.enter("trial 3", late)
    slower = [interval_at(0, seconds=6.0), interval_at(1, seen=500, val_error=0.5, seconds=4.5)]
    assert not rungs.enter("trial 4", slower)


def test_a_trial_enters_a_rung_once() -> None:
    rungs = Rungs(STUDY)
    rungs.enter("a", at_marks((0.9, 1.0)))
    better = [interval_at(0, val_error=0.9), interval_at(1, seen=450, val_error=0.1, seconds=0.0)]
    assert rungs.enter("a", better)
    rungs.enter("b", at_marks((0.2, 1.0)))
    rungs.enter("c", at_marks((0.8, 1.0)))
    # Behind b alone; had the better point of a counted, it would be behind two of three.
    assert rungs.enter("d", at_marks((0.5, 1.0)))


def test_an_interval_beyond_both_rungs_enters_both() -> None:
    rungs = Rungs(STUDY)
    for n in range(3):
        rungs.enter(f"far {n}", [interval_at(0, seen=900, val_error=0.1)])
    at_first = at_marks((0.2, 1.0))
    assert not rungs.enter("near", at_first)
    assert not rungs.enter("another", [*at_marks((None, 1.0)), interval_at(1, val_error=0.2)])


def test_falling_behind_at_either_rung_stops() -> None:
    rungs = Rungs(STUDY)
    for n in range(3):
        rungs.enter(f"trial {n}", at_marks((0.5, 1.0)))
        rungs.enter(f"trial {n}", at_marks((0.5, 1.0), (0.1, 1.0)))
    assert rungs.enter("stalls", at_marks((0.4, 1.0)))
    assert not rungs.enter("stalls", at_marks((0.4, 1.0), (0.4, 1.0)))


def test_without_a_stopper_everything_goes_on() -> None:
    rungs = Rungs(replace(STUDY, stopper="none"))
    assert all(rungs.enter(f"trial {n}", at_marks((0.1 * n, float(n)))) for n in range(1, 9))


def test_modelled_clock_counts_modelled_seconds() -> None:
    rungs = Rungs(replace(STUDY, clock="modelled"))
    outcome = []
    for n in range(5):
        record = replace(interval_at(0, val_error=0.5, seconds=10.0 - n), modelled_seconds=float(n))
        outcome.append(rungs.enter(f"trial {n}", [record]))
    assert outcome == [True, True, True, False, False]


def test_a_trial_at_the_end_of_its_budget_is_never_stopped() -> None:
    rungs = Rungs(STUDY)
    for n in range(4):
        rungs.enter(f"good {n}", at_marks((0.1, 1.0)))
    whole = [interval_at(0, seen=STUDY.budget, val_error=0.9, seconds=99.0)]
    assert not rungs.enter("short", [interval_at(0, seen=STUDY.budget - 1, val_error=0.9, seconds=99.0)])
    assert rungs.enter("whole", whole)


def test_a_diverged_trial_is_left_to_its_outcome() -> None:
    rungs = Rungs(STUDY)
    for n in range(4):
        rungs.enter(f"good {n}", at_marks((0.1, 1.0)))
    record = interval_at(0, val_error=0.9, seconds=99.0)
    assert rungs.enter("diverged", [replace(record, decided=False)])
    assert not rungs.enter("finite", [record])


COURSES = st.lists(
    st.lists(
        st.tuples(st.none() | st.sampled_from([0.1, 0.2, 0.3]), st.sampled_from([1.0, 2.0])), max_size=5
    ),
    max_size=8,
)


def columns_of(intervals: Sequence[IntervalRecord]) -> dict[str, list[float | None]]:
    owners = [(record, record.signals) for record in intervals]
    return {
        name: [getattr(one if hasattr(one, name) else other, name) for one, other in owners]
        for name in RECALLED
    }


@given(courses=COURSES, last=st.tuples(st.sampled_from([0.1, 0.2, 0.3]), st.sampled_from([1.0, 2.0])))
def test_recalled_trials_are_ranked_as_those_that_entered(
    courses: list[list[tuple[float | None, float]]], last: tuple[float, float]
) -> None:
    entered, recalled = Rungs(STUDY), Rungs(STUDY)
    for number, points in enumerate(courses):
        intervals = at_marks(*points)
        for count in range(1, len(intervals) + 1):
            entered.enter(str(number), intervals[:count])
        recalled.recall(str(number), columns_of(intervals))
    for marks in (1, 2, 3):
        new = at_marks(*[(None, 1.0)] * (marks - 1), last)
        assert entered.enter(f"new {marks}", new) == recalled.enter(f"new {marks}", new)
