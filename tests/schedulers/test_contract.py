import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adasearch.errors import InputError
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers import (
    SCHEDULERS,
    BatchSizeScheduler,
    decide,
    make_scheduler,
    scheduler_class,
)
from adasearch.schedulers.accordion import Accordion
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.base import LR_SCHEDULES, change, hold, intervals_at_size, read, unusable
from adasearch.schedulers.cabs import Cabs
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.cooldown import Cooldown
from adasearch.schedulers.coupling import COUPLINGS, NOISES
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.divebatch import DiveBatch
from adasearch.schedulers.fields import WRAPPERS, field_names
from adasearch.schedulers.goodput import Goodput
from adasearch.schedulers.grow_only import GrowOnly
from adasearch.schedulers.increase_instead_of_decay import IncreaseInsteadOfDecay
from adasearch.schedulers.noise_scale import NoiseScale
from adasearch.schedulers.norm_test import NormTest
from adasearch.schedulers.plateau import Plateau
from adasearch.schedulers.ramp import Ramp
from adasearch.schedulers.run_plan import LrCurve, RunPlan, planned, wants_plan
from adasearch.schedulers.seesaw import Seesaw
from adasearch.schedulers.simigrad import SimiGrad
from adasearch.testing import check_scheduler, legal_histories
from tests.schedulers.rows import REPEATABLE, WIDE, row

MANY = settings(REPEATABLE, max_examples=400)  # a dozen or two for each of the methods
BUILT_IN = [cls() for cls in SCHEDULERS.values()]
VARIANTS: list[BatchSizeScheduler] = [
    Deba(rule="noise", cooldown=0, window=0),
    Deba(gradient="mean_gradient", window=3, cooldown=1),
    Deba(growth=4.0, shrink=0.1, cooldown=2, stability_threshold=10.0),
    AdaBatch(period=0.1),
    AdaBatch(period=2.5, growth=1.1, lr_decay=1),
    IncreaseInsteadOfDecay(milestones="0.5, 1, 7"),
    Ramp(start=0, end=5, steps=9, shape="linear", growth=0.2, coupling="linear"),
    Ramp(points="64@1000, 7@20000", coupling="adascale"),
    Seesaw(milestones="0.5, 1, 7", decay=0.01),
    Deba(coupling="adascale", cooldown=0),
    Plateau(monitor="train_loss", patience=0, factor=0.5, coupling="sqrt"),
    Plateau(coupling="adascale", patience=1),
    Accordion(period=0.1, gradient="per_step", coupling="adascale"),
    Cabs(decay=0, scale=1e6),
    NoiseScale(decay=0, coupling="adascale"),
    NormTest(test="inner_product", coupling="adascale"),
    NormTest(test="augmented", coupling="linear"),
    DiveBatch(delta=100, period=0.1, coupling="adascale"),
    SimiGrad(target=0, decay=0.9, coupling="adascale"),
    Goodput(decay=0, hysteresis=0, coupling="none"),
]
WRAPPED: list[BatchSizeScheduler] = [
    *(Cooldown(scheduler=inside, intervals=3) for inside in BUILT_IN),
    *(GrowOnly(scheduler=inside) for inside in BUILT_IN),
    Cooldown(scheduler=GrowOnly(scheduler=Deba(cooldown=0)), intervals=2),
]


@pytest.mark.parametrize("scheduler", [*BUILT_IN, *VARIANTS, *WRAPPED], ids=repr)
def test_scheduler_keeps_the_contract(scheduler: BatchSizeScheduler) -> None:
    check_scheduler(scheduler)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Signals], Limits]:
    """A legal history whose signals may be zero, tiny or huge, with its limits."""
    unit, first, more = draw(st.integers(1, 64)), draw(st.integers(1, 40)), draw(st.integers(0, 200))
    limits = Limits(smallest=unit * first, largest=unit * (first + more), multiple_of=unit)
    sizes = st.integers(first, first + more).map(lambda count: count * unit)
    signal = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(min_value=0.0, max_value=1e300))
    signed = st.one_of(signal, signal.map(lambda value: -value))
    epoch, size, lr_scale = 0.0, draw(sizes), 1.0
    history: list[Signals] = []
    for interval in range(draw(st.integers(1, 20))):
        epoch += draw(st.floats(min_value=1e-3, max_value=50.0))
        if draw(st.booleans()):
            size, lr_scale = draw(sizes), draw(st.floats(min_value=1e-6, max_value=1e3))
        history.append(
            row(
                interval,
                epoch=epoch,
                batch_size=size,
                lr_scale=lr_scale,
                loss=draw(signal),
                norm=draw(signal),
                variance=draw(signal),
                mean_norm=draw(signal),
                mean_variance=draw(signal),
                val_loss=draw(signal),
                noise=draw(signal),
                square=draw(signed),
                count=draw(st.integers(0, 400)),
                batch_square=draw(signal),
                cosine=draw(st.floats(min_value=-1.0, max_value=1.0)),
                inner_variance=draw(signal),
                divided_noise=draw(signal),
                divided_square=draw(signed),
            )
        )
    return history, limits


positive = st.floats(min_value=0.01, max_value=100.0)
growths = st.floats(min_value=1.0001, max_value=100.0)
shrinks = st.floats(min_value=0.001, max_value=0.999)
decays = st.floats(min_value=0.0, max_value=0.99)
COUPLED: dict[str, st.SearchStrategy[Any]] = {
    "coupling": st.sampled_from(COUPLINGS),
    "coupling_exponent": st.floats(min_value=0.0, max_value=1.0),
    "noise": st.sampled_from(NOISES),
}
milestones = st.lists(st.floats(min_value=0.01, max_value=200.0), min_size=1, max_size=4, unique=True).map(
    lambda epochs: ", ".join(map(repr, sorted(epochs)))
)
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "constant": {},
    "adabatch": {"period": positive, "growth": growths, "lr_decay": st.floats(min_value=0.01, max_value=1.0)},
    "increase_instead_of_decay": {"milestones": milestones, "factor": growths},
    "ramp": {
        "start": st.floats(min_value=0.0, max_value=50.0),
        "end": st.floats(min_value=50.0, max_value=200.0),
        "steps": st.integers(1, 20),
        "shape": st.sampled_from(["geometric", "linear"]),
        "exponent": st.floats(min_value=-4.0, max_value=4.0),
        "growth": positive,
        "points": st.sampled_from(["", "64@0", "7@100000, 5000@500000", "0.5x@1%, 9x@50.5%"]),
        **COUPLED,
    },
    "lr_tail": {"mean_batch_size": st.sampled_from([0, 1, 100, 10**6])},
    "norm_target": {
        "gain": st.floats(min_value=0.001, max_value=1.0),
        "scale": positive,
        **COUPLED,
    },
    "seesaw": {
        "milestones": st.one_of(milestones, st.just("schedule")),
        "decay": st.floats(min_value=0.01, max_value=0.99),
    },
    "deba": {
        "rule": st.sampled_from(["settle", "noise"]),
        "gradient": st.sampled_from(["per_step", "mean_gradient"]),
        "confidence_threshold": positive,
        "stability_threshold": st.floats(min_value=0.001, max_value=1e6),
        "window": st.sampled_from([0, 3, 4, 15]),
        "growth": growths,
        "shrink": shrinks,
        "cooldown": st.integers(0, 10),
        **COUPLED,
    },
    "plateau": {
        "monitor": st.sampled_from(["val_loss", "train_loss"]),
        "patience": st.integers(0, 10),
        "threshold": decays,
        "cooldown": st.integers(0, 10),
        "factor": st.one_of(growths, shrinks),
        **COUPLED,
    },
    "accordion": {
        "period": positive,
        "threshold": positive,
        "growth": growths,
        "gradient": st.sampled_from(["per_step", "mean_gradient"]),
        **COUPLED,
    },
    "cabs": {"scale": positive, "decay": decays},
    "noise_scale": {
        "time_price": st.floats(min_value=0.01, max_value=1e6),
        "decay": decays,
        **COUPLED,
    },
    "norm_test": {
        "test": st.sampled_from(["norm", "inner_product", "augmented"]),
        "eta": positive,
        "theta": positive,
        "nu": positive,
        **COUPLED,
    },
    "divebatch": {
        "delta": positive,
        "period": positive,
        "diversity": st.sampled_from(["period", "noise_scale"]),
        **COUPLED,
    },
    "simigrad": {
        "target": decays,
        "growth": growths,
        "shrink": shrinks,
        "decay": decays,
        **COUPLED,
    },
    "goodput": {
        "seconds_per_step": st.floats(min_value=0.0, max_value=10.0),
        "seconds_per_example": st.floats(min_value=1e-6, max_value=1.0),
        "hysteresis": decays,
        "decay": decays,
        **COUPLED,
    },
}


def of(name: str) -> st.SearchStrategy[BatchSizeScheduler]:
    return st.builds(SCHEDULERS[name], **FIELDS[name])


plans = st.builds(
    RunPlan,
    budget=st.integers(1, 10**8),
    interval=st.integers(1, 10**7),
    curve=st.builds(
        LrCurve,
        lr_schedule=st.sampled_from(sorted(LR_SCHEDULES)),
        warmup=st.sampled_from([0.0, 0.1]),
        lr_final=st.sampled_from([0.0, 0.1]),
    ),
)
methods = st.sampled_from(sorted(FIELDS)).flatmap(of)
schedulers = st.one_of(
    methods,
    methods,
    st.builds(Cooldown, scheduler=methods, intervals=st.integers(0, 10)),
    st.builds(GrowOnly, scheduler=methods),
    st.builds(planned, methods, plans),
)


def test_the_properties_cover_every_field_of_every_method() -> None:
    assert set(FIELDS) == set(SCHEDULERS)
    for name, fields in FIELDS.items():
        assert set(fields) | ({"eps"} if name == "deba" else set()) == set(field_names(SCHEDULERS[name]))


@MANY
@given(schedulers, cases())
def test_every_decision_is_legal_and_repeatable(
    scheduler: BatchSizeScheduler, case: tuple[list[Signals], Limits]
) -> None:
    history, limits = case
    kept = list(history)
    decision = decide(scheduler, history, limits)
    old, new = history[-1].batch_size, decision.batch_size
    assert limits.admit(new)
    assert decision.action == ("grow" if new > old else "shrink" if new < old else "hold")
    assert decision.reason
    assert 0 < decision.lr_scale < math.inf
    assert scheduler.decide(history, limits) == decision
    assert history == kept


@MANY
@given(schedulers.filter(lambda each: bool(each.needs) and not wants_plan(each)), cases(), st.data())
def test_an_unusable_signal_holds_the_size(
    scheduler: BatchSizeScheduler, case: tuple[list[Signals], Limits], data: st.DataObject
) -> None:
    history, limits = case
    name = data.draw(st.sampled_from(sorted(scheduler.needs)))
    bad = data.draw(st.sampled_from([math.nan, math.inf]))
    spoilt: dict[str, Any] = {name: bad}
    decision = scheduler.decide([*history[:-1], replace(history[-1], **spoilt)], limits)
    assert (decision.batch_size, decision.action) == (history[-1].batch_size, "hold")
    assert name in decision.reason


@MANY
@given(methods, cases(), st.integers(0, 10))
def test_no_change_during_a_cooldown(
    scheduler: BatchSizeScheduler, case: tuple[list[Signals], Limits], intervals: int
) -> None:
    history, limits = case
    age = intervals_at_size(history)
    decision = Cooldown(scheduler=scheduler, intervals=intervals).decide(history, limits)
    if age is not None and age < intervals:
        assert (decision.action, decision.lr_scale) == ("hold", history[-1].lr_scale)
    else:
        assert decision == scheduler.decide(history, limits)


@MANY
@given(methods, cases())
def test_grow_only_never_shrinks(scheduler: BatchSizeScheduler, case: tuple[list[Signals], Limits]) -> None:
    history, limits = case
    assert GrowOnly(scheduler=scheduler).decide(history, limits).action != "shrink"


@MANY
@given(st.one_of(of("norm_test"), of("divebatch")), cases())
def test_the_norm_tests_and_divebatch_never_shrink(
    scheduler: BatchSizeScheduler, case: tuple[list[Signals], Limits]
) -> None:
    history, limits = case
    assert scheduler.decide(history, limits).action != "shrink"


@REPEATABLE
@given(cases(), st.integers(1, 10))
def test_deba_never_changes_the_size_within_its_cooldown(
    case: tuple[list[Signals], Limits], cooldown: int
) -> None:
    history, limits = case
    age = intervals_at_size(history)
    decision = Deba(stability_threshold=1e9, confidence_threshold=1e9, cooldown=cooldown).decide(
        history, limits
    )
    waits = len(history) < 3 or (age is not None and age < cooldown)
    assert not (waits and decision.action != "hold")


def test_legal_histories_repeat_with_their_seed() -> None:
    assert list(legal_histories(7, 5)) == list(legal_histories(7, 5))
    assert list(legal_histories(7, 5)) != list(legal_histories(8, 5))


def test_legal_histories_are_legal_and_reach_the_corners() -> None:
    histories = list(legal_histories(0, 200))
    assert len(histories) == 200
    assert len(histories[0][0]) == 1
    for history, limits in histories:
        assert [seen.interval for seen in history] == list(range(len(history)))
        assert all(limits.admit(seen.batch_size) for seen in history)
        assert all(seen.lr_scale > 0 and seen.initial_batch_size == history[0].batch_size for seen in history)
        for before, after in itertools.pairwise(history):
            assert before.epoch < after.epoch
            assert before.examples_seen < after.examples_seen
            assert before.step < after.step
    lasts = [(history[-1], limits) for history, limits in histories]
    assert any(last.batch_size == limits.largest > limits.smallest for last, limits in lasts)
    assert any(last.batch_size == limits.smallest < limits.largest for last, limits in lasts)
    assert any(limits.smallest == limits.largest for _, limits in lasts)
    rows = [seen for history, _ in histories for seen in history]
    assert any(seen.grad_norm == 0 for seen in rows)
    assert {read([seen], "grad_sq_norm")[0] > 0 for seen in rows} == {True, False}
    assert all(-1 <= read([seen], "half_cosine")[0] <= 1 for seen in rows)
    assert any(read([seen], "half_cosine")[0] < 0 for seen in rows)
    assert all(type(seen.noise_count) is int and 1 <= seen.noise_count <= seen.step for seen in rows)


def test_legal_histories_lead_the_built_in_rules_to_every_action() -> None:
    rules: list[BatchSizeScheduler] = [
        Deba(cooldown=0),
        Deba(rule="noise", cooldown=0),
        Accordion(),
        Cabs(),
        NoiseScale(),
        SimiGrad(),
        Goodput(),
    ]
    for rule in rules:
        actions = {rule.decide(history, limits).action for history, limits in legal_histories(0, 200)}
        assert actions == {"grow", "shrink", "hold"}, rule
    plan = RunPlan(budget=10**7, interval=10**5, curve=LrCurve(lr_schedule="linear"))
    for rule in [planned(cls(), plan) for name, cls in SCHEDULERS.items() if name != "constant"]:
        actions = {rule.decide(history, limits).action for history, limits in legal_histories(0, 200)}
        assert actions >= {"grow", "hold"}, rule


# The contract check must fail for a scheduler with any one flaw. Each rule below has exactly one.

Rule = Callable[[Sequence[Signals], Limits], Decision]
CALLS: list[int] = []


@dataclass(frozen=True, kw_only=True)
class Ruled:
    """A scheduler made of a function, so that a flaw is one line."""

    rule: Rule
    needs: frozenset[str] = frozenset()
    lr_schedules: frozenset[str] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        return self.rule(history, limits)


def sound(history: Sequence[Signals], limits: Limits) -> Decision:
    return change(history[-1], limits.largest, "as large as allowed")


def sound_reader(history: Sequence[Signals], limits: Limits) -> Decision:
    bad = unusable(history, ["grad_norm"])
    return hold(history[-1], bad) if bad else sound(history, limits)


def waits_for_an_evaluation(history: Sequence[Signals], limits: Limits) -> Decision:
    loss = history[-1].val_loss
    if loss is None or not math.isfinite(loss):
        return hold(history[-1], f"val_loss is {loss}")
    return sound(history, limits)


def above_the_limits(history: Sequence[Signals], limits: Limits) -> Decision:
    return change(history[-1], limits.largest + limits.multiple_of, "too large")


def below_the_limits(history: Sequence[Signals], limits: Limits) -> Decision:
    return change(history[-1], limits.smallest - limits.multiple_of, "too small")


def not_a_multiple(history: Sequence[Signals], limits: Limits) -> Decision:
    return change(history[-1], min(limits.smallest + 1, limits.largest), "one more")


def not_an_integer(history: Sequence[Signals], limits: Limits) -> Decision:
    return change(history[-1], cast(int, float(limits.largest)), "a float")


def without_reason(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], " ")


def wrong_action(history: Sequence[Signals], limits: Limits) -> Decision:
    return replace(sound(history, limits), action="hold")


def zero_rate(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], "stop", lr_scale=0.0)


def nan_rate(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], "stop", lr_scale=math.nan)


def infinite_rate(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], "go", lr_scale=math.inf)


def impure(history: Sequence[Signals], limits: Limits) -> Decision:
    CALLS.append(1)
    return hold(history[-1], f"call {len(CALLS)}")


def shortens_the_history(history: Sequence[Signals], limits: Limits) -> Decision:
    last = history[-1]
    cast(list[Signals], history).pop()
    return hold(last, "popped")


def reverses_the_history(history: Sequence[Signals], limits: Limits) -> Decision:
    last = history[-1]
    cast(list[Signals], history).reverse()
    return hold(last, "reversed")


def needs_two_rows(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], f"loss was {history[-2].train_loss}")


def divides_by_the_loss(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], f"{1 / history[-1].train_loss}")


def reads_what_it_does_not_need(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], f"noise {read(history, 'grad_component_variance')[-1]}")


def crashes_on_a_nan_loss(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], f"loss is about {round(history[-1].train_loss)}")


def jumps_on_nan(history: Sequence[Signals], limits: Limits) -> Decision:
    norm = read(history, "grad_norm")[-1]
    return hold(history[-1], "large norm") if norm < math.inf else sound(history, limits)


def jumps_on_minus_infinity(history: Sequence[Signals], limits: Limits) -> Decision:
    norm = read(history, "grad_norm")[-1]
    return sound(history, limits) if norm == -math.inf else hold(history[-1], "some norm")


def crashes_on_nan(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], f"norm is about {round(read(history, 'grad_norm')[-1])}")


def forgives_a_missing_signal(history: Sequence[Signals], limits: Limits) -> Decision:
    return hold(history[-1], f"norm is {history[-1].grad_norm}")


def does_not_name_the_missing_signal(history: Sequence[Signals], limits: Limits) -> Decision:
    if history[-1].grad_norm is None:
        raise ValueError("a signal is missing")
    return hold(history[-1], "all there")


def trips_over_the_missing_signal(history: Sequence[Signals], limits: Limits) -> Decision:
    if history[-1].grad_norm is None:
        raise TypeError("grad_norm")
    return hold(history[-1], "all there")


NORM = frozenset({"grad_norm"})


@pytest.mark.parametrize(
    "scheduler",
    [
        Ruled(rule=sound),
        Ruled(rule=sound, lr_schedules=frozenset({"constant"})),
        Ruled(rule=sound_reader, needs=NORM),
        Ruled(rule=waits_for_an_evaluation, needs=frozenset({"val_loss"})),
    ],
    ids=["plain", "one schedule", "reader", "val_loss"],
)
def test_check_passes_for_the_same_class_without_a_flaw(scheduler: Ruled) -> None:
    check_scheduler(scheduler)  # must not raise


@pytest.mark.parametrize(
    ("rule", "needs", "message"),
    [
        (above_the_limits, frozenset(), "chose .*, outside Limits"),
        (below_the_limits, frozenset(), "chose .*, outside Limits"),
        (not_a_multiple, frozenset(), "chose .*, outside Limits"),
        (not_an_integer, frozenset(), r"chose batch_size=\d+\.0, outside Limits"),
        (without_reason, frozenset(), "gave no reason"),
        (wrong_action, frozenset(), "called .* 'hold', not 'grow'"),
        (zero_rate, frozenset(), "chose lr_scale=0.0"),
        (nan_rate, frozenset(), "chose lr_scale=nan"),
        (infinite_rate, frozenset(), "chose lr_scale=inf"),
        (impure, frozenset(), "must give the same answer"),
        (shortens_the_history, frozenset(), "must not change the history"),
        (reverses_the_history, frozenset(), "must not change the history"),
        (needs_two_rows, frozenset(), "raised IndexError"),
        (divides_by_the_loss, frozenset(), "raised ZeroDivisionError"),
        (reads_what_it_does_not_need, frozenset(), "raised ValueError"),
        (crashes_on_a_nan_loss, frozenset(), "raised ValueError"),
        (jumps_on_nan, NORM, "must hold where grad_norm is nan"),
        (jumps_on_minus_infinity, NORM, "must hold where grad_norm is -inf"),
        (crashes_on_nan, NORM, "raised ValueError"),
        (forgives_a_missing_signal, NORM, "must raise a ValueError that names 'grad_norm'"),
        (does_not_name_the_missing_signal, NORM, "must raise a ValueError that names 'grad_norm'"),
        (trips_over_the_missing_signal, NORM, "but raised TypeError"),
        (sound, frozenset({"gradient_norm"}), "needs what is no field of Signals"),
    ],
)
def test_check_fails_for_one_flaw_and_names_the_scheduler(
    rule: Rule, needs: frozenset[str], message: str
) -> None:
    with pytest.raises(AssertionError, match=f"Ruled.*{rule.__name__}.*{message}"):
        check_scheduler(Ruled(rule=rule, needs=needs))


@pytest.mark.parametrize("lr_schedules", [frozenset(), frozenset({"constant", "zigzag"})])
def test_check_fails_for_unknown_learning_rate_schedules(lr_schedules: frozenset[str]) -> None:
    with pytest.raises(AssertionError, match="must name at least one of"):
        check_scheduler(Ruled(rule=sound, lr_schedules=lr_schedules))


@dataclass(kw_only=True)
class Thawed:
    patience: int = 3
    needs: frozenset[str] = frozenset()
    lr_schedules: frozenset[str] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        return sound(history, limits)


@dataclass(frozen=True, eq=False)
class Unequal:
    needs: frozenset[str] = frozenset()
    lr_schedules: frozenset[str] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        return sound(history, limits)


class Plain:
    needs: frozenset[str] = frozenset()
    lr_schedules = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        return sound(history, limits)


@dataclass(frozen=True)
class Remembering:
    """Frozen, yet with a memory: it holds on the first sight of a history and grows on the second."""

    seen: list[Sequence[Signals]] = field(default_factory=list)
    needs: frozenset[str] = frozenset()
    lr_schedules: frozenset[str] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        known = history in self.seen
        self.seen.append(list(history))
        return sound(history, limits) if known else hold(history[-1], "first sight")


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (Thawed(), "Thawed.* must be frozen"),
        (Unequal(), "Unequal.* must equal its pickled copy"),
        (Plain(), "Plain.* must be a dataclass"),
        (Remembering(), "Remembering.* must give the same answer"),
        (Ruled(rule=lambda history, limits: sound(history, limits)), "Ruled.* must pickle"),
    ],
    ids=["thawed", "unequal", "plain", "remembering", "lambda"],
)
def test_check_fails_for_a_class_that_cannot_be_trusted(scheduler: BatchSizeScheduler, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_scheduler(scheduler)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (above_the_limits, "chose batch_size=2049, outside Limits"),
        (below_the_limits, "chose batch_size=15, outside Limits"),
        (not_an_integer, r"chose batch_size=\d+\.0, outside Limits.* or no whole number"),
        (without_reason, "gave no reason"),
        (wrong_action, "called .* 'hold', not 'grow'"),
        (zero_rate, "chose lr_scale=0.0"),
        (nan_rate, "chose lr_scale=nan"),
    ],
)
def test_decide_blames_the_scheduler_for_a_broken_rule(rule: Rule, message: str) -> None:
    wrapped = Cooldown(scheduler=Ruled(rule=rule))  # the rule inside has the blame
    for scheduler in (Ruled(rule=rule), wrapped):
        with pytest.raises(ValueError, match=rf"scheduler .*Ruled\(rule=.*{rule.__name__}.*{message}"):
            decide(scheduler, [row()], WIDE)


def test_decide_passes_a_sound_decision_on() -> None:
    assert decide(Ruled(rule=sound), [row()], WIDE) == sound([row()], WIDE)


def test_make_scheduler_builds_from_fields() -> None:
    assert make_scheduler("deba", {"window": 3, "growth": 2.0}) == Deba(window=3, growth=2.0)
    assert make_scheduler("adasearch.schedulers.constant:Constant", {}) == Constant()


def test_make_scheduler_wraps_as_its_fields_ask() -> None:
    cabs = Cabs(decay=0.1)
    asked = {"decay": 0.1, "wrappers.cooldown": 3, "wrappers.grow_only": True}
    assert make_scheduler("cabs", asked) == Cooldown(scheduler=GrowOnly(scheduler=cabs), intervals=3)
    assert make_scheduler("cabs", {**asked, "wrappers.cooldown": 0}) == GrowOnly(scheduler=cabs)
    assert make_scheduler("cabs", {**asked, **WRAPPERS}) == cabs
    both = make_scheduler("deba", {"cooldown": 2, "wrappers.cooldown": 4})  # its own, and the wrapper
    assert both == Cooldown(scheduler=Deba(cooldown=2), intervals=4)


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("debba", {}, "unknown scheduler 'debba'; did you mean 'deba'"),
        ("deba", {"windw": 3}, "unknown field of deba 'windw'; did you mean 'window'"),
        ("deba", {"growth": 1}, "scheduler deba: growth must be greater than 1 but got growth=1"),
        ("cabs", {"wrappers.cooldown": -1}, "wrappers.cooldown must be at least 0 but got"),
        ("cabs", {"wrappers.cooldown": 2.5}, "wrappers.cooldown takes whole numbers but got 2.5"),
        ("cabs", {"wrappers.grow_only": 1}, "wrappers.grow_only takes true or false but got 1"),
        ("constant", {"wrappers.grow_only": True}, "unknown field of constant 'wrappers.grow_only'"),
        ("deba", {"growth": "fast"}, "scheduler deba: growth takes numbers but got 'fast'"),
        ("deba", {"window": 7.5}, "scheduler deba: window takes whole numbers but got 7.5"),
        ("deba", {"cooldown": True}, "scheduler deba: cooldown takes whole numbers but got True"),
        ("deba", {"rule": 3}, "scheduler deba: rule takes a name but got 3"),
        (
            "no_such_module:Thing",
            {},
            "cannot be imported: ModuleNotFoundError: ",
        ),
        ("adasearch.records:Nothing", {}, "cannot be imported"),
        ("adasearch.records:Limits", {}, "must have a default for its field"),
    ],
)
def test_make_scheduler_refuses_by_name(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_scheduler(name, params)


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_scheduler_class_finds_each_name_and_path(name: str) -> None:
    cls = SCHEDULERS[name]
    assert scheduler_class(name) is cls
    assert scheduler_class(f"{cls.__module__}:{cls.__name__}") is cls


@dataclass(frozen=True)
class Silent:
    """Decides nothing."""

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Forget to return."""
        return None  # type: ignore[return-value]


@dataclass(frozen=True)
class Dreamer(Silent):
    """Needs a signal that nobody measures."""

    needs: ClassVar[frozenset[str]] = frozenset({"no_such"})


@dataclass
class Changeable:
    """Could keep state."""

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Hold."""
        return hold(history[-1], "nothing to do")


def test_decision_that_is_none_is_the_schedulers_fault() -> None:
    with pytest.raises(ValueError, match=r"Silent\(\) must return a Decision but returned type NoneType"):
        decide(Silent(), [row(interval=0)], Limits(smallest=1, largest=64))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Dreamer", r"needs what is no field of Signals: \['no_such'\]"),
        ("Changeable", "must be a frozen dataclass"),
    ],
)
def test_own_scheduler_that_cannot_work_is_refused_by_name(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_scheduler(f"{__name__}:{name}", {})
