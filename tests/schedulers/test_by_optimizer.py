"""What a scheduler takes from its optimiser, and what of the optimiser follows the size."""

import math

import pytest

from adasearch.errors import InputError
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.by_optimizer import OPTIMIZERS, OptimizerKind, fitted
from adasearch.schedulers.cabs import Cabs
from adasearch.schedulers.constant import Constant
from adasearch.schedulers.cooldown import Cooldown
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.follow import NOTHING, Follow, Followed, followed_of
from adasearch.schedulers.goodput import Goodput
from adasearch.schedulers.lr_tail import LrTail
from adasearch.schedulers.noise_scale import NoiseScale
from adasearch.schedulers.registry import make_scheduler
from adasearch.schedulers.run_plan import LrCurve, RunPlan, planned
from tests.schedulers.rows import WIDE, row

SGD, ADAMW, MUON = OPTIMIZERS["sgd"], OPTIMIZERS["adamw"], OPTIMIZERS["muon"]


@pytest.mark.parametrize(
    ("rule", "with_sgd", "with_adamw"),
    [
        (
            Goodput(),
            Goodput(noise="raw"),
            Goodput(noise="preconditioned", coupling="adascale_root"),
        ),
        (
            Goodput(coupling="sqrt"),
            Goodput(noise="raw", coupling="sqrt"),
            Goodput(noise="preconditioned", coupling="sqrt"),
        ),
        (
            Deba(coupling="adascale"),
            Deba(coupling="adascale", noise="raw"),
            Deba(coupling="adascale_root", noise="preconditioned"),
        ),
        # a rule and a coupling that read no noise stay what they were
        (Deba(), Deba(noise="raw"), Deba(noise="raw")),
        # the paper's noise scale is of gradients as they are, unless it is told otherwise
        (NoiseScale(coupling="adascale"), *[NoiseScale(coupling="adascale")] * 2),
        (NoiseScale(noise="auto"), NoiseScale(), NoiseScale(noise="preconditioned")),
        (Goodput(noise="raw"), *[Goodput(noise="raw")] * 2),
        (Cabs(), Cabs(), Cabs()),
        (Constant(), Constant(), Constant()),
    ],
)
def test_noise_is_settled_by_the_optimiser(
    rule: BatchSizeScheduler, with_sgd: BatchSizeScheduler, with_adamw: BatchSizeScheduler
) -> None:
    assert fitted(rule, SGD) == with_sgd
    assert fitted(rule, MUON) == with_sgd
    assert fitted(rule, ADAMW) == with_adamw
    wrapped = Cooldown(scheduler=Follow(scheduler=rule, weight_decay=True), intervals=2)
    inside = Follow(scheduler=with_adamw, weight_decay=True)
    assert fitted(wrapped, ADAMW) == Cooldown(scheduler=inside, intervals=2)


@pytest.mark.parametrize("optimizer", [SGD, MUON])
def test_preconditioned_noise_needs_second_moments(optimizer: OptimizerKind) -> None:
    rule = Cooldown(scheduler=Deba(coupling="adascale_root", noise="preconditioned"), intervals=2)
    with pytest.raises(
        InputError, match=f"scheduler Deba needs .* optimizer '{optimizer.name}' does not have"
    ):
        fitted(rule, optimizer)
    assert fitted(Deba(noise="preconditioned"), optimizer) == Deba(noise="preconditioned")  # which reads none


def test_beta2_needs_an_optimiser_that_has_one() -> None:
    rule = Follow(scheduler=Deba(), beta2=True)
    with pytest.raises(InputError, match=r"wrappers.beta2 lets .* but optimizer 'sgd' has none"):
        fitted(rule, SGD)
    for optimizer in (ADAMW, MUON):
        assert followed_of(fitted(rule, optimizer)) == Followed(beta2=True)


# --- goodput and the noise scale on preconditioned gradients ------------------------------------------


def test_goodput_decides_by_the_noise_that_it_is_told() -> None:
    # v = 400/50 = 8 and m = 1 as they are, v = 2, m = 1 preconditioned: less to gain from a large batch
    last = row(0, initial=50, batch_size=50, noise=400.0, square=1.0, divided_noise=100.0, divided_square=1.0)
    raw, divided = (Goodput(noise=noise, decay=0).decide([last], WIDE) for noise in ("raw", "preconditioned"))
    twin = row(0, initial=50, batch_size=50, noise=100.0, square=1.0)
    assert divided == Goodput(noise="raw", decay=0).decide([twin], WIDE)
    assert raw.batch_size > divided.batch_size
    root = Goodput(noise="preconditioned", coupling="adascale_root", decay=0).decide([last], WIDE)
    assert root.lr_scale == pytest.approx(math.sqrt(divided.lr_scale))


def test_noise_scale_of_preconditioned_gradients() -> None:
    # B = sqrt(64 * 16/1) = 32, and of the raw ones sqrt(64 * 256/1) = 128
    last = row(0, noise=256.0, square=1.0, divided_noise=16.0, divided_square=1.0)
    rule = NoiseScale(time_price=64, noise="preconditioned")
    assert rule.decide([last], WIDE).batch_size == 32
    assert NoiseScale(time_price=64).decide([last], WIDE).batch_size == 128
    broken = row(0, noise=256.0, square=1.0, divided_noise=math.nan, divided_square=1.0)
    assert rule.decide([broken], WIDE).reason == "preconditioned_noise is nan"


# --- beta2 and weight decay ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "factor", "beta2", "decay"),
    [
        (1.0, 1.0, 0.95, 0.1),
        (2.0, 1.0, 0.9025, 0.2),  # 0.95^2; at one rate twice the decay for twice the examples
        (4.0, 2.0, 0.81450625, 0.2),  # 0.95^4; the root of the size on the rate leaves the other root
        (8.0, 8.0, 0.6634204312890625, 0.1),  # the linear rule decays by the example as it is
        (0.5, 1.0, 0.9746794344808963, 0.05),
    ],
)
def test_settings_at_another_size(scale: float, factor: float, beta2: float, decay: float) -> None:
    both = Followed(beta2=True, weight_decay=True)
    assert both.beta2_at(0.95, scale) == pytest.approx(beta2, rel=1e-12)
    assert both.weight_decay_at(0.1, scale=scale, factor=factor) == pytest.approx(decay, rel=1e-12)
    assert NOTHING.beta2_at(0.95, scale) == 0.95
    assert NOTHING.weight_decay_at(0.1, scale=scale, factor=factor) == 0.1


def test_half_life_in_examples_stays() -> None:
    steps = math.log(0.5) / math.log(0.95)
    later = math.log(0.5) / math.log(Followed(beta2=True).beta2_at(0.95, 6))
    assert steps * 16 == pytest.approx(later * 96)


def test_fields_of_any_method_ask_for_them() -> None:
    rule = make_scheduler("cabs", {"wrappers.beta2": True, "wrappers.cooldown": 3})
    assert rule == Cooldown(scheduler=Follow(scheduler=Cabs(), beta2=True), intervals=3)
    assert followed_of(rule) == Followed(beta2=True)
    assert followed_of(Deba()) == NOTHING
    history = [row(0, noise=4.0)]
    inside = Follow(scheduler=Cabs(), weight_decay=True)
    assert inside.decide(history, WIDE) == Cabs().decide(history, WIDE)
    assert (inside.needs, inside.lr_schedules) == (Cabs.needs, Cabs.lr_schedules)


def test_a_rule_by_the_plan_keeps_what_is_around_it() -> None:
    rule = Follow(scheduler=LrTail(), beta2=True)
    plan = RunPlan(budget=100, interval=10, curve=LrCurve(lr_schedule="wsd"))
    assert followed_of(planned(rule, plan)) == Followed(beta2=True)
