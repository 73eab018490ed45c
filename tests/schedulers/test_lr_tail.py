import math
from collections.abc import Callable
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.records import Limits, Signals
from adasearch.schedulers import make_scheduler
from adasearch.schedulers.lr_tail import LrTail, planned_steps
from adasearch.schedulers.run_plan import LrCurve, RunPlan, planned
from tests.schedulers.rows import REPEATABLE, WIDE, row

OPEN = Limits(smallest=1, largest=10**6)
STEPS = 20_000  # of the reference, which is a plain sum over steps


def obey(rule: LrTail, plan: RunPlan, limits: Limits, start: int) -> list[Signals]:
    """Train by the rule as the loop does: an interval ends at the first step at or after its mark."""
    scheduler, size, seen, step = planned(rule, plan), start, 0, 0
    history: list[Signals] = []
    while seen < plan.budget:
        mark = plan.next_mark(seen)
        steps = math.ceil((mark - seen) / size)
        seen, step = seen + steps * size, step + steps
        made = row(len(history), examples=seen, initial=start, batch_size=size)
        history.append(made)
        size = scheduler.decide(history, limits).batch_size
    return history


def steps_of(history: list[Signals]) -> list[float]:
    marks = [0, *(each.examples_seen for each in history)]
    return [(now - before) / each.batch_size for (before, now), each in zip(pairwise(marks), history)]  # noqa: B905


def published(eta: Callable[[float], float]) -> list[float]:
    """Return eta_t / sqrt(tail_t) over its mean, for a rate given over the share of the steps."""
    rates = [eta((step + 0.5) / STEPS) for step in range(STEPS)]
    tails = list(accumulate(reversed(rates)))[::-1]
    shape = [rate / math.sqrt(tail - rate / 2) for rate, tail in zip(rates, tails, strict=True)]
    mean = math.fsum(shape) / STEPS
    return [each / mean for each in shape]


def wsd(share: float) -> float:
    return min(1.0, (1 - share) / 0.2)


# anchors of the derivation: sizes over their mean at 0, 25, 50, 75, 90 and 97 % of the steps.
@pytest.mark.parametrize(
    ("eta", "expected"),
    [
        (lambda share: 1.0, [0.5, 0.6, 0.7, 1.0, 1.6, 2.9]),
        (wsd, [0.6, 0.7, 0.8, 1.4, 1.7, 1.7]),
        (lambda share: 1 - 0.9 * share, [0.9, 0.9, 0.9, 1.0, 1.1, 1.5]),
        (lambda share: 1 - share, [1, 1, 1, 1, 1, 1]),
        (lambda share: (1 + math.cos(math.pi * share)) / 2, [1.0, 1.2, 1.2, 0.9, 0.6, 0.3]),
    ],
    ids=["constant", "wsd", "linear to 10 %", "linear to 0", "cosine"],
)
def test_our_form_over_examples_is_the_published_one_over_steps(
    eta: Callable[[float], float], expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = published(eta)
    at = [0.0, 0.25, 0.5, 0.75, 0.9, 0.97]
    assert [sizes[int(share * STEPS)] for share in at] == pytest.approx(expected, abs=0.06)
    # The same rate as a function of the examples that this path has seen, given to the rule.
    seen = [each / STEPS for each in accumulate(sizes, initial=0.0)]

    def over_examples(self: LrCurve, progress: float) -> float:
        step = min(max(place(seen, progress), 0), STEPS - 1)
        return eta((step + 0.5) / STEPS)

    monkeypatch.setattr(LrCurve, "factor", over_examples)
    curve = LrCurve(lr_schedule=f"of the test, {expected}")  # its name is the cache's key
    for share in (0.1, 0.25, 0.5, 0.75, 0.9, 0.97):
        x = seen[int(share * STEPS)]
        assert planned_steps(curve, Limits(smallest=1, largest=10**6), 1000, x) == pytest.approx(
            share, abs=0.01
        )


def place(rising: list[float], value: float) -> int:
    from bisect import bisect_right

    return bisect_right(rising, value) - 1


# Of a constant rate the size is mean / (2 (1 - x)), so the steps due at x are 1 - (1 - x)^2 = 2x - x^2.
@pytest.mark.parametrize("x", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_constant_rate_by_hand(x: float) -> None:
    due = planned_steps(LrCurve(lr_schedule="constant"), OPEN, 1000, x)
    assert due == pytest.approx(2 * x - x * x, abs=1e-3)


# Budget 10,000, mean 50: 200 steps. At 1,000 examples 19 % of them are due, 38; at 2,000 36 %, 72.
# The first interval ran at 50: 20 steps. So 52 steps are left for 1,000 examples: 19.2, hence 19.
def test_a_decision_by_hand() -> None:
    plan = RunPlan(budget=10_000, interval=1_000, curve=LrCurve(lr_schedule="constant"))
    rule = planned(LrTail(), plan)
    decision = rule.decide([row(0, examples=1_000, initial=50, batch_size=50)], OPEN)
    assert (decision.batch_size, decision.action, decision.lr_scale) == (19, "shrink", 1.0)
    assert decision.reason == "52.0 steps to 2000 examples, of 200 in all"


def test_a_linear_decay_to_0_is_a_constant_batch() -> None:
    plan = RunPlan(budget=50_000, interval=2_500, curve=LrCurve(lr_schedule="linear"))
    assert {each.batch_size for each in obey(LrTail(), plan, WIDE, 64)} <= {63, 64, 65}


def test_a_constant_rate_grows_to_the_end_and_a_cosine_falls() -> None:
    plan = RunPlan(budget=100_000, interval=5_000, curve=LrCurve(lr_schedule="constant"))
    sizes = [each.batch_size for each in obey(LrTail(), plan, WIDE, 128)][1:]
    assert sizes == sorted(sizes)
    assert sizes[-1] > 4 * sizes[0]
    falling = RunPlan(budget=100_000, interval=5_000, curve=LrCurve(lr_schedule="cosine"))
    sizes = [each.batch_size for each in obey(LrTail(), falling, WIDE, 128)]
    assert sizes[-1] < sizes[len(sizes) // 2] < 1.5 * sizes[1]


@REPEATABLE
@given(
    st.sampled_from(["constant", "cosine", "linear", "one_cycle", "staircase", "step", "wsd"]),
    st.integers(20, 400),
    st.integers(10, 60),
    st.sampled_from([0.0, 0.1]),
)
def test_takes_as_many_steps_as_the_constant_batch(
    schedule: str, mean: int, intervals: int, warmup: float
) -> None:
    interval = 40 * mean
    curve = LrCurve(lr_schedule=schedule, warmup=warmup)
    plan = RunPlan(budget=intervals * interval, interval=interval, curve=curve)
    history = obey(LrTail(), plan, Limits(smallest=mean // 4, largest=8 * mean), mean)
    last = history[-1]
    coarse = interval / last.batch_size**2  # what a size's unit makes out in the last interval
    assert abs(sum(steps_of(history)) - plan.budget / mean) <= 1 + coarse
    assert plan.budget <= last.examples_seen < plan.budget + last.batch_size


def test_keeps_to_the_limits_and_their_multiple() -> None:
    limits = Limits(smallest=32, largest=160, multiple_of=16)
    plan = RunPlan(budget=64_000, interval=3_200, curve=LrCurve(lr_schedule="constant"))
    history = obey(LrTail(mean_batch_size=64), plan, limits, 64)
    assert all(limits.admit(each.batch_size) for each in history)
    assert sum(steps_of(history)) == pytest.approx(1000, abs=8)


def test_without_a_plan_it_holds_and_says_so() -> None:
    decision = LrTail().decide([row()], WIDE)
    assert (decision.action, decision.reason) == ("hold", "no plan of the run was given")


def test_is_told_the_plan_inside_its_wrappers() -> None:
    plan = RunPlan(budget=10_000, interval=1_000, curve=LrCurve(lr_schedule="constant"))
    wrapped = make_scheduler("lr_tail", {"wrappers.cooldown": 2})
    history = [row(0, examples=8_000, initial=50, batch_size=42)]
    assert planned(wrapped, plan).decide(history, OPEN) == planned(LrTail(), plan).decide(history, OPEN)


@pytest.mark.parametrize("mean", [-1, 2.5])
def test_refuses_a_mean_outside_its_domain(mean: int) -> None:
    with pytest.raises(
        ValueError, match="mean_batch_size must be at least 1, or 0 for the initial size, but got"
    ):
        LrTail(mean_batch_size=mean)
