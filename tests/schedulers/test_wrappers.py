import pytest

from adasearch.records import Limits
from adasearch.schedulers import SCHEDULERS
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.cooldown import Cooldown
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.grow_only import GrowOnly
from adasearch.schedulers.noise_scale import NoiseScale
from adasearch.schedulers.simigrad import SimiGrad
from tests.schedulers.rows import WIDE, row, run

EAGER = SimiGrad(target=0.9, growth=2.0, shrink=0.5)  # doubles at a cosine of 0, halves at 1


def rising(size: int) -> dict[str, float]:
    return {"cosine": 0.0}


@pytest.mark.parametrize(
    ("intervals", "sizes"),
    [
        (0, [32, 64, 128, 256, 512, 1024]),
        (1, [32, 64, 128, 256, 512, 1024]),
        (2, [32, 64, 64, 128, 128, 256]),
        (4, [32, 64, 64, 64, 64, 128]),
    ],
)
def test_cooldown_keeps_each_new_size(intervals: int, sizes: list[int]) -> None:
    history = run(Cooldown(scheduler=EAGER, intervals=intervals), 6, signals=rising)
    assert [seen.batch_size for seen in history] == sizes


def test_cooldown_says_how_long_and_what_was_wanted() -> None:
    history = [row(0, cosine=0.0), row(1, cosine=0.0, batch_size=64)]
    decision = Cooldown(scheduler=EAGER, intervals=3).decide(history, WIDE)
    assert decision.reason == "cooldown: 1 of 3 intervals at this size; cosine 0 < 0.9"


def test_cooldown_keeps_the_factor_in_force_even_where_the_rule_would_change_it() -> None:
    # The gain follows the noise on a hold, but not through the cooldown.
    rule = NoiseScale(time_price=4096, decay=0, coupling="adascale")
    history = [
        row(0, noise=1.0, square=1.0),
        row(1, noise=1.0, square=1.0, batch_size=64, lr_scale=1.7),
    ]
    assert rule.decide(history, WIDE).action == "hold"
    assert rule.decide(history, WIDE).lr_scale != 1.7
    held = Cooldown(scheduler=rule, intervals=2).decide(history, WIDE)
    assert (held.action, held.lr_scale) == ("hold", 1.7)
    later = [*history, row(2, noise=1.0, square=1.0, batch_size=64, lr_scale=1.7)]
    assert Cooldown(scheduler=rule, intervals=2).decide(later, WIDE) == rule.decide(later, WIDE)


def test_cooldown_does_not_hear_a_timetable_that_fires_meanwhile() -> None:
    history = run(Cooldown(scheduler=AdaBatch(period=2), intervals=3), 9)
    # fires after epochs 2, 4, 6 and 8; 4 and 8 come one interval too early
    assert [seen.batch_size for seen in history] == [32, 32, 64, 64, 64, 64, 128, 128, 128]


def test_cooldown_follows_a_shrink_too() -> None:
    history = [row(0, cosine=1.0, batch_size=64), row(1, cosine=1.0)]
    assert Cooldown(scheduler=EAGER, intervals=2).decide(history, WIDE).action == "hold"
    assert Cooldown(scheduler=EAGER, intervals=1).decide(history, WIDE).batch_size == 16


def test_grow_only_never_shrinks_and_grows_as_before() -> None:
    history = [row(0, cosine=1.0, batch_size=64)]
    assert EAGER.decide(history, WIDE).batch_size == 32
    held = GrowOnly(scheduler=EAGER).decide(history, WIDE)
    assert (held.action, held.reason) == (
        "hold",
        "wanted 32, but 64 is the smallest size; cosine 1 > 0.9",
    )
    grows = [row(0, cosine=0.0, batch_size=64)]
    assert GrowOnly(scheduler=EAGER).decide(grows, WIDE) == EAGER.decide(grows, WIDE)


def test_grow_only_lets_the_learning_rate_fit_the_size_it_gets() -> None:
    # The rule wants 32, whose factor is 1; it stays at 64: sqrt(64/32).
    decision = GrowOnly(scheduler=EAGER).decide([row(0, cosine=1.0, batch_size=64)], WIDE)
    assert decision.lr_scale == pytest.approx(2**0.5)


def test_grow_only_rests_at_the_cap() -> None:
    limits = Limits(smallest=16, largest=64)
    decision = GrowOnly(scheduler=EAGER).decide([row(0, cosine=0.0, batch_size=64)], limits)
    assert decision.reason.startswith("wanted 128, but 64 is the largest size")


def test_wrappers_forward_what_the_scheduler_declares() -> None:
    for inside in (AdaBatch(), Deba(gradient="mean_gradient")):
        for wrapped in (Cooldown(scheduler=inside), GrowOnly(scheduler=inside)):
            assert wrapped.needs == inside.needs
            assert wrapped.lr_schedules == inside.lr_schedules


def test_wrappers_nest() -> None:
    rule = Cooldown(scheduler=GrowOnly(scheduler=EAGER), intervals=2)
    assert rule.needs == {"half_cosine"}
    assert [seen.batch_size for seen in run(rule, 4, signals=rising)] == [32, 64, 64, 128]


def test_wrappers_are_no_schedulers_of_their_own() -> None:
    assert not {Cooldown, GrowOnly} & set(SCHEDULERS.values())


def test_cooldown_refuses_a_negative_length() -> None:
    with pytest.raises(ValueError, match="intervals must be at least 0 but got intervals=-1"):
        Cooldown(scheduler=EAGER, intervals=-1)
