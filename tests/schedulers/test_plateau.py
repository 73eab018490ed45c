import math
from collections.abc import Callable, Sequence

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.plateau import Plateau
from tests.schedulers.rows import WIDE, row, run


def losses(values: Sequence[float | None], sizes: Sequence[int] | None = None) -> list[Signals]:
    return [
        row(interval, val_loss=value, batch_size=32 if sizes is None else sizes[interval])
        for interval, value in enumerate(values)
    ]


# Patience 2: the third interval in a row that is not better fires. Threshold 0.1 of the best.
@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([1.0], 0),
        ([1.0, 1.0], 1),
        ([1.0, 1.0, 1.0], 2),
        ([1.0, 1.0, 1.0, 1.0], 3),
        ([1.0, 0.5, 0.4, 0.3], 0),
        ([1.0, 2.0, 3.0, 4.0], 3),
        ([1.0, 0.9], 1),  # exactly a tenth less is not better: the rule asks L < best - 0.1 * best
        ([1.0, math.nextafter(0.9, 0.0)], 0),
        ([1.0, 0.95, 0.91], 2),  # small steps do not move the best
        ([1.0, 1.0, 0.5, 1.0], 1),  # an improvement starts the count again
        ([-1.0, -1.0], 1),
        ([-1.0, -1.05], 1),  # -1 - 0.1 = -1.1 is asked for
        ([-1.0, -1.2], 0),
        ([0.0, 0.0], 1),
        ([1.0, None, None, 1.0], 1),  # intervals without a value are skipped
        ([1.0, math.nan, math.inf, 1.0], 1),
        ([math.nan, 1.0], 0),
    ],
)
def test_counts_intervals_without_improvement(values: list[float | None], count: int) -> None:
    rule = Plateau(patience=2, threshold=0.1)
    history = losses(values)
    assert rule.intervals_without_improvement(history) == count
    decision = rule.decide(history, WIDE)
    assert decision.batch_size == (64 if count > 2 else 32)
    assert decision.reason == f"val_loss no better for {count} intervals, patience 2"


# A change of size starts the count again after the cooldown; the best stays.
@pytest.mark.parametrize(
    ("cooldown", "flat", "count"),
    [(0, 1, 1), (0, 3, 3), (1, 1, 0), (1, 2, 1), (3, 3, 0), (3, 4, 1)],
)
def test_starts_again_after_a_change(cooldown: int, flat: int, count: int) -> None:
    history = losses([1.0] * (4 + flat), [32] * 4 + [64] * flat)
    assert Plateau(patience=2, cooldown=cooldown).intervals_without_improvement(history) == count


@pytest.mark.parametrize(
    ("patience", "cooldown", "sizes"),
    [
        # the first interval sets the best, the next patience + 1 do not better it
        (0, 0, [32] * 2 + [64, 128, 256]),
        (2, 0, [32] * 4 + [64] * 3 + [128] * 3),
        (2, 2, [32] * 4 + [64] * 5 + [128] * 5),
    ],
)
def test_flat_loss_climbs(patience: int, cooldown: int, sizes: list[int]) -> None:
    rule = Plateau(patience=patience, cooldown=cooldown)
    assert [
        seen.batch_size for seen in run(rule, len(sizes), signals=lambda size: {"val_loss": 1.0})
    ] == sizes


def test_growth_that_lowers_the_loss_stops_the_growth() -> None:
    # A loss of 1/size: each growth is an improvement, so the next needs patience anew.
    history = run(Plateau(patience=1), 10, signals=lambda size: {"val_loss": 32 / size})
    # 32: best 1, flat 2 -> 64: best at once (0), flat 1, 2 -> 128
    assert [seen.batch_size for seen in history] == [32] * 3 + [64] * 3 + [128] * 3 + [256]


def test_at_the_cap_it_repeats_its_wish_until_the_loss_falls() -> None:
    limits = Limits(smallest=16, largest=64)
    history = losses([1.0] * 5, [64] * 5)
    decision = Plateau(patience=2).decide(history, limits)
    assert decision.action == "hold"
    assert decision.reason.startswith("wanted 128, but 64 is the largest size; val_loss no better for 4")
    # after the cap: wider limits let it grow at once, a lower loss ends the wish
    assert Plateau(patience=2).decide(history, WIDE).batch_size == 128
    better = [*history, row(5, batch_size=64, val_loss=0.5)]
    assert Plateau(patience=2).decide(better, limits).reason.startswith("val_loss no better for 0")


def test_a_factor_below_1_shrinks() -> None:
    decision = Plateau(patience=0, factor=0.5).decide(losses([1.0, 1.0]), WIDE)
    assert (decision.batch_size, decision.action) == (16, "shrink")


def test_looks_back_100_intervals() -> None:
    # A best of 0.5 that lies 100 intervals back is forgotten: the flat 1.0 has then been the best.
    history = losses([0.5] + [1.0] * 99)
    assert Plateau().intervals_without_improvement(history) == 99
    assert Plateau().intervals_without_improvement([*history, *losses([1.0])]) == 99
    better = [*history, row(100, val_loss=0.8)]
    assert Plateau().intervals_without_improvement(better) == 0
    assert Plateau(patience=98).decide(history, WIDE).action == "grow"
    assert Plateau(patience=99).decide(losses([1.0] * 500), WIDE).action == "hold"  # never used up


def test_watches_the_loss_that_it_is_told_to() -> None:
    history = [row(0, val_loss=1.0), row(1, val_loss=0.5), row(2, val_loss=0.25)]  # train_loss is 1
    assert Plateau(patience=1).decide(history, WIDE).action == "hold"
    assert Plateau(patience=1, monitor="train_loss").decide(history, WIDE).action == "grow"
    assert Plateau().needs == {"val_loss"}
    assert Plateau(monitor="train_loss").needs == frozenset()
    assert Plateau(coupling="adascale").needs == {"val_loss", "grad_noise", "grad_sq_norm"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_holds_where_the_newest_loss_is_unusable(bad: float) -> None:
    decision = Plateau(patience=0).decide(losses([1.0, 1.0, bad]), WIDE)
    assert (decision.action, decision.reason) == ("hold", f"val_loss is {bad}")


def test_holds_where_the_interval_was_not_evaluated() -> None:
    decision = Plateau(patience=0).decide(losses([1.0, 1.0, None]), WIDE)
    assert (decision.action, decision.reason) == ("hold", "val_loss was not measured")


def test_couples_the_rate() -> None:
    decision = Plateau(patience=0, coupling="linear").decide(losses([1.0, 1.0]), WIDE)
    assert (decision.batch_size, decision.lr_scale) == (64, 2.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Plateau(monitor="loss"), "monitor must be 'val_loss' or 'train_loss' but got"),  # type: ignore[arg-type]
        (lambda: Plateau(patience=-1), "patience must be at least 0 but got patience=-1"),
        (lambda: Plateau(threshold=1), r"threshold must lie in \[0, 1\) but got threshold=1"),
        (lambda: Plateau(threshold=-0.1), "but got threshold=-0.1"),
        (lambda: Plateau(cooldown=-1), "cooldown must be at least 0 but got cooldown=-1"),
        (lambda: Plateau(factor=1), "factor must be greater than 0 and not 1 but got factor=1"),
        (lambda: Plateau(factor=0), "but got factor=0"),
        (lambda: Plateau(factor=math.nan), "but got factor=nan"),
        (lambda: Plateau(coupling="cubic"), "but got coupling='cubic'"),  # type: ignore[arg-type]
    ],
)
def test_refuses_a_value_outside_its_domain(build: Callable[[], Plateau], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
