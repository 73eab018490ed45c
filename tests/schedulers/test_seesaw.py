import math

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES
from adasearch.schedulers.run_plan import LrCurve, RunPlan, planned
from adasearch.schedulers.seesaw import Seesaw
from tests.schedulers.rows import WIDE, row, run


def ending_at(before: float, now: float, batch_size: int = 32, lr_scale: float = 1.0) -> list[Signals]:
    return [
        row(0, epoch=before, batch_size=batch_size, lr_scale=lr_scale),
        row(1, epoch=now, batch_size=batch_size, lr_scale=lr_scale),
    ]


# a = 1/4: the batch takes 4, the rate sqrt(1/4) = 1/2.
@pytest.mark.parametrize(
    ("before", "now", "size", "lr_scale"),
    [
        (1.0, 2.0, 32, 1.0),
        (2.0, 3.0, 128, 0.5),
        (3.0, 4.0, 32, 1.0),
        (2.0, 5.0, 512, 0.25),  # two points in one interval: a = 1/16
        (5.0, 6.0, 32, 1.0),
    ],
)
def test_shares_a_decay_between_rate_and_batch(before: float, now: float, size: int, lr_scale: float) -> None:
    decision = Seesaw(milestones="3, 5", decay=0.25).decide(ending_at(before, now), WIDE)
    assert (decision.batch_size, decision.lr_scale) == (size, lr_scale)


@pytest.mark.parametrize(
    ("size", "expected", "lr_scale"),
    [
        (512, 2048, 0.5),
        # achieved 2 of 4: 0.25 * sqrt(2)
        (1024, 2048, 0.25 * math.sqrt(2)),
        # at the cap the rate takes the whole decay
        (2048, 2048, 0.25),
    ],
)
def test_the_rate_takes_what_growth_does_not_achieve(size: int, expected: int, lr_scale: float) -> None:
    decision = Seesaw(milestones="3", decay=0.25).decide(ending_at(2, 3, batch_size=size), WIDE)
    assert decision.batch_size == expected
    assert decision.lr_scale == pytest.approx(lr_scale, rel=1e-15)


def test_rate_over_root_of_batch_keeps_to_its_path_before_at_and_after_the_cap() -> None:
    history = run(Seesaw(milestones="10, 20, 30", decay=0.25), 40, start=64)
    stages = [history[end - 1] for end in (10, 20, 30, 40)]
    assert [seen.batch_size for seen in stages] == [64, 256, 1024, 2048]  # 4096 is cut
    path = [seen.lr_scale / math.sqrt(seen.batch_size) for seen in stages]
    assert path == pytest.approx([0.25**k / 8 for k in range(4)], rel=1e-12)


def test_grows_again_after_the_cap() -> None:
    history = ending_at(2, 3, batch_size=2048, lr_scale=0.25)
    decision = Seesaw(milestones="3", decay=0.25).decide(history, Limits(smallest=16, largest=8192))
    assert (decision.batch_size, decision.lr_scale) == (8192, 0.125)


def test_reasons_name_the_decay_points() -> None:
    rule = Seesaw(milestones="3, 5", decay=0.5)
    assert rule.decide(ending_at(1, 2), WIDE).reason == "next decay point at epoch 3"
    assert rule.decide(ending_at(5, 6), WIDE).reason == "no decay point left"
    assert rule.decide(ending_at(2, 5), WIDE).reason == "2 decay points reached by epoch 5: a=0.25"
    assert "largest size" in rule.decide(ending_at(2, 3, batch_size=2048), WIDE).reason


def test_needs_no_signal_and_owns_the_learning_rate() -> None:
    assert Seesaw.needs == frozenset()
    assert Seesaw().lr_schedules == {"constant"}


@pytest.mark.parametrize("decay", [0, 0.001, 1, 2, math.nan])
def test_refuses_a_decay_outside_its_domain(decay: float) -> None:
    with pytest.raises(ValueError, match=r"decay must lie in \[0.01, 1\) but got decay="):
        Seesaw(decay=decay)


def test_refuses_decay_points_that_do_not_rise() -> None:
    with pytest.raises(ValueError, match="milestones must be rising"):
        Seesaw(milestones="5, 3")


# A linear decay from 1 to 0 over 1,000 examples, a = 1/2: points at factors 1/2, 1/4, 1/8, ...
# The batch takes 2 at each, the rate's factor is sqrt(B/B0): at a point, with the schedule's own, sqrt(a).
@pytest.mark.parametrize(
    ("examples", "size"),
    [(100, 32), (499, 32), (500, 64), (740, 64), (750, 128), (875, 256), (1000, 2048)],
)
def test_rides_the_runs_own_schedule(examples: int, size: int) -> None:
    plan = RunPlan(budget=1000, interval=100, curve=LrCurve(lr_schedule="linear"))
    rule = planned(Seesaw(milestones="schedule", decay=0.5), plan)
    decision = rule.decide([row(0, examples=examples)], WIDE)
    assert (decision.batch_size, decision.lr_scale) == (size, math.sqrt(size / 32))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "step", "wsd", "staircase", "one_cycle"])
def test_rate_over_root_of_batch_is_the_schedules_at_every_decision(schedule: str) -> None:
    curve = LrCurve(lr_schedule=schedule, warmup=0.1)
    plan = RunPlan(budget=1000, interval=10, curve=curve)
    rule, size, before = planned(Seesaw(milestones="schedule", decay=0.5), plan), 32, 32
    for examples in range(10, 1000, 10):
        decision = rule.decide([row(0, examples=examples, batch_size=size)], WIDE)
        size = decision.batch_size
        assert size >= before
        assert decision.lr_scale / math.sqrt(size) == pytest.approx(1 / math.sqrt(32))
        if examples < 10 * curve.peak * 100:
            assert size == 32  # a warm-up is no decay
        before = size
    assert size > 32


def test_riding_needs_a_schedule_that_falls_and_a_list_one_that_does_not() -> None:
    assert Seesaw(milestones="schedule").lr_schedules == LR_SCHEDULES - {"constant"}
    assert Seesaw().lr_schedules == {"constant"}
    decision = Seesaw(milestones="schedule").decide([row()], WIDE)
    assert decision.reason == "no plan of the run was given"


def test_a_list_of_decay_points_needs_no_plan() -> None:
    plan = RunPlan(budget=1000, interval=100, curve=LrCurve(lr_schedule="constant"))
    rule = Seesaw(milestones="3", decay=0.25)
    assert planned(rule, plan).decide(ending_at(2, 3), WIDE) == rule.decide(ending_at(2, 3), WIDE)
