import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.schedulers.base import change
from adasearch.schedulers.coupling import Coupling, Noise, couple, coupling_needs, gain
from adasearch.schedulers.deba import Deba
from tests.schedulers.rows import REPEATABLE, WIDE, row


@pytest.mark.parametrize(
    ("coupling", "size", "expected"),
    [
        ("none", 128, 0.7),  # the factor in force
        ("linear", 128, 4.0),
        ("linear", 32, 1.0),
        ("linear", 16, 0.5),
        ("sqrt", 128, 2.0),
        ("sqrt", 32, 1.0),
        ("sqrt", 16, math.sqrt(0.5)),
        # v = 96/32 = 3, m = 1, S = 4: (3 + 1) / (3/4 + 1) = 16/7
        ("adascale", 128, 16 / 7),
        ("adascale", 32, 1.0),
        # S = 1/2: (3 + 1) / (6 + 1)
        ("adascale", 16, 4 / 7),
        ("adascale_root", 128, math.sqrt(16 / 7)),
        ("adascale_root", 32, 1.0),
        ("power", 128, 2.0),  # 4 ** 0.5, the exponent by default
        ("power", 16, math.sqrt(0.5)),
    ],
)
def test_factor_fits_the_size(coupling: Coupling, size: int, expected: float) -> None:
    last = row(0, batch_size=64, lr_scale=0.7, noise=96.0, square=1.0)
    decision = couple(coupling, [last], change(last, size, "because"))
    assert decision.lr_scale == pytest.approx(expected, rel=1e-14)
    assert (decision.batch_size, decision.reason) == (size, "because")


def test_factor_is_absolute_and_may_change_on_a_hold() -> None:
    # The size stays: "linear" says at 64/32, whatever factor was in force before.
    last = row(0, batch_size=64, lr_scale=1.0)
    decision = couple("linear", [last], change(last, 64, "because"))
    assert (decision.action, decision.lr_scale) == ("hold", 2.0)


@pytest.mark.parametrize(
    ("exponent", "size", "expected"),
    [(0.0, 128, 1.0), (1.0, 128, 4.0), (0.6, 96, 3**0.6), (0.6, 16, 0.5**0.6)],
)
def test_power_has_its_exponent(exponent: float, size: int, expected: float) -> None:
    last = row(0, batch_size=64, lr_scale=0.7)
    decision = couple("power", [last], change(last, size, "because"), exponent=exponent)
    assert decision.lr_scale == pytest.approx(expected, rel=1e-14)


# A network with AdamW at batch 4: a noise scale of 87.3 of gradients as they are, of 5.7 preconditioned.
# At S = 8: (21.825 + 1) / (21.825/8 + 1) = 6.12; the root of (1.425 + 1) / (1.425/8 + 1) is 1.43.
@pytest.mark.parametrize(
    ("coupling", "noise", "expected"),
    [
        ("adascale", "raw", 6.12),
        ("adascale", "auto", 6.12),  # until an optimiser settles it
        ("adascale_root", "preconditioned", 1.43),
        ("adascale", "preconditioned", 2.06),
        ("adascale_root", "raw", 2.47),
    ],
)
def test_factor_at_eight_times_the_size(coupling: Coupling, noise: Noise, expected: float) -> None:
    last = row(0, initial=4, batch_size=4, noise=87.3, square=1.0, divided_noise=5.7, divided_square=1.0)
    decision = couple(coupling, [last], change(last, 32, "because"), noise=noise)
    assert decision.lr_scale == pytest.approx(expected, abs=0.005)


# The averages: weights 0.8^age. noise (0, 96): 96 / 1.8; square (1, 1): 1. v = 96 / 1.8 / 32 = 5/3.
def test_adascale_smooths_over_intervals() -> None:
    history = [row(0, noise=0.0, square=1.0), row(1, noise=96.0, square=1.0, batch_size=128)]
    decision = couple("adascale", history, change(history[-1], 128, "because"))
    v = 5 / 3
    assert decision.lr_scale == pytest.approx((v + 1) / (v / 4 + 1), rel=1e-14)


def test_adascale_takes_a_negative_square_for_pure_noise() -> None:
    last = row(0, noise=96.0, square=-1.0)
    assert couple("adascale", [last], change(last, 128, "because")).lr_scale == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("v", "m", "scale", "expected"),
    [
        (1.0, 0.0, 8.0, 8.0),  # noise alone: the linear rule
        (0.0, 1.0, 8.0, 1.0),  # no noise: the rate stays
        (0.0, 0.0, 8.0, 1.0),
        (1.0, 1.0, 3.0, 1.5),
        (5e-324, 0.0, 8.0, 8.0),
        (1e300, 1e-300, 8.0, 8.0),
    ],
)
def test_gain_follows_the_formula(v: float, m: float, scale: float, expected: float) -> None:
    assert gain(v, m, scale) == pytest.approx(expected, rel=1e-14)


positive = st.floats(min_value=0.0, max_value=1e300)


@REPEATABLE
@given(positive, positive, st.floats(min_value=1e-4, max_value=1e4))
def test_gain_lies_between_1_and_the_scale(v: float, m: float, scale: float) -> None:
    assert min(1.0, scale) * (1 - 1e-9) <= gain(v, m, scale) <= max(1.0, scale) * (1 + 1e-9)


def test_only_adascale_needs_signals() -> None:
    assert coupling_needs("adascale") == {"grad_noise", "grad_sq_norm"}
    assert coupling_needs("adascale_root", "raw") == {"grad_noise", "grad_sq_norm"}
    divided = {"preconditioned_noise", "preconditioned_sq_norm"}
    assert coupling_needs("adascale_root", "preconditioned") == divided
    for coupling in ("none", "linear", "sqrt", "power"):
        assert not coupling_needs(coupling, "preconditioned")


@pytest.mark.parametrize(("coupling", "lr_scale"), [("none", 0.9), ("linear", 1.5), ("sqrt", math.sqrt(1.5))])
def test_deba_couples_the_rate_with_its_size(coupling: Coupling, lr_scale: float) -> None:
    history = [row(interval, lr_scale=0.9) for interval in range(3)]
    decision = Deba(coupling=coupling).decide(history, WIDE)
    assert decision.batch_size == 48
    assert decision.lr_scale == pytest.approx(lr_scale)


def test_deba_with_adascale_pays_for_the_noise() -> None:
    # v = 32/32 = 1, m = 1, S = 1.5: 2 / (2/3 + 1) = 1.2
    history = [row(interval, noise=32.0, square=1.0) for interval in range(3)]
    rule = Deba(coupling="adascale")
    assert rule.needs >= {"grad_noise", "grad_sq_norm", "grad_norm"}
    assert rule.decide(history, WIDE).lr_scale == pytest.approx(1.2)
    # through the cooldown the size rests and the gain still follows the noise: at 1 it is 1.2, at 0 it is 1
    cooling = [*history, row(3, batch_size=48, lr_scale=1.2, noise=0.0, square=1.0)]
    decision = rule.decide(cooling, WIDE)
    assert (decision.action, 1 < decision.lr_scale < 1.2) == ("hold", True)


def test_an_unusable_signal_keeps_the_factor() -> None:
    history = [row(interval, noise=32.0, square=1.0, batch_size=64, lr_scale=0.3) for interval in range(3)]
    history.append(row(3, noise=32.0, square=math.nan, batch_size=64, lr_scale=0.3))
    decision = Deba(coupling="adascale").decide(history, WIDE)
    assert (decision.action, decision.lr_scale, decision.reason) == ("hold", 0.3, "grad_sq_norm is nan")


def test_deba_refuses_an_unknown_coupling() -> None:
    with pytest.raises(ValueError, match=r"coupling must be one of .*'adascale'.* but got coupling='cubic'"):
        Deba(coupling="cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"coupling_exponent must lie in \[0, 1\] but got .*=2"):
        Deba(coupling="power", coupling_exponent=2)
    with pytest.raises(ValueError, match=r"noise must be one of .*'preconditioned'\] but got noise='loud'"):
        Deba(noise="loud")  # type: ignore[arg-type]
