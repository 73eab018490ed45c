import math
from collections.abc import Callable, Sequence

import pytest

from adasearch.records import Limits, Signals
from adasearch.schedulers.adabatch import AdaBatch
from tests.schedulers.rows import WIDE, row, run


def at_epochs(epochs: Sequence[float], batch_size: int = 128, lr_scale: float = 1.0) -> list[Signals]:
    return [
        row(interval, epoch=epoch, batch_size=batch_size, lr_scale=lr_scale)
        for interval, epoch in enumerate(epochs)
    ]


@pytest.mark.parametrize(
    ("period", "epochs", "fires"),
    [
        (20, [19.0], False),
        (20, [20.0], True),  # the first interval may be as long as the period
        (20, [19.0, 20.0], True),
        (20, [20.0, 21.0], False),
        (20, [38.0, 39.0], False),
        (20, [39.0, 40.0], True),
        # intervals overshoot their mark by part of a batch: fire at the first end past the mark
        (20, [18.9996, 19.9998], False),
        (20, [19.9998, 21.0024], True),
        (20, [21.0024, 22.0007], False),
        # a fractional period
        (2.5, [1.0, 2.0], False),
        (2.5, [2.0, 3.0], True),
        (2.5, [3.0, 4.0], False),
        (2.5, [4.0, 5.0], True),
        (0.5, [0.25, 0.5], True),
        (0.5, [0.5, 0.75], False),
        # 0.3 / 0.1 is 2.9999999999999996 in floating point, yet three periods are over
        (0.1, [0.2, 0.3], True),
        (0.1, [0.3, 0.35], False),
    ],
)
def test_adabatch_fires_when_a_period_ends(period: float, epochs: list[float], fires: bool) -> None:
    decision = AdaBatch(period=period).decide(at_epochs(epochs), WIDE)
    assert decision.batch_size == (256 if fires else 128)
    assert decision.action == ("grow" if fires else "hold")
    assert decision.lr_scale == (0.75 if fires else 1.0)  # 0.375 * 256 / 128


def test_adabatch_fires_once_when_an_interval_spans_several_periods() -> None:
    decision = AdaBatch(period=20).decide(at_epochs([10.0, 70.0]), WIDE)
    assert (decision.batch_size, decision.lr_scale) == (256, 0.75)
    assert AdaBatch(period=20).decide(at_epochs([10.0, 70.0, 79.0]), WIDE).action == "hold"


def test_adabatch_multiplies_the_factor_in_force() -> None:
    decision = AdaBatch().decide(at_epochs([39.0, 40.0], batch_size=256, lr_scale=0.75), WIDE)
    assert (decision.batch_size, decision.lr_scale) == (512, 0.5625)


@pytest.mark.parametrize(
    ("scheduler", "size", "limits", "expected", "lr_scale"),
    [
        (AdaBatch(), 128, WIDE, 256, 0.75),
        # at the cap the rate decays as in the fixed run
        (AdaBatch(), 2048, WIDE, 2048, 0.375),
        # growth achieved in part: 0.375 * 2048 / 1536
        (AdaBatch(), 1536, WIDE, 2048, 0.5),
        (AdaBatch(lr_decay=1), 128, WIDE, 256, 2.0),
        (AdaBatch(lr_decay=0.5, growth=4), 128, WIDE, 512, 2.0),
        # 1.5 * 5 = 7.5 is cut to 7, and the rate follows the 7
        (AdaBatch(lr_decay=0.5, growth=1.5), 5, Limits(smallest=5, largest=10), 7, 0.7),
        # 1.2 * 24 = 28.8 moves up by one multiple
        (AdaBatch(growth=1.2), 24, Limits(smallest=24, largest=240, multiple_of=24), 48, 0.75),
    ],
)
def test_adabatch_learning_rate_follows_the_growth_really_achieved(
    scheduler: AdaBatch, size: int, limits: Limits, expected: int, lr_scale: float
) -> None:
    decision = scheduler.decide(at_epochs([19.0, 20.0], batch_size=size), limits)
    assert decision.batch_size == expected
    assert decision.lr_scale == pytest.approx(lr_scale, rel=1e-15)


def test_adabatch_at_the_cap_says_that_the_rate_decays_alone() -> None:
    decision = AdaBatch().decide(at_epochs([99.0, 100.0], batch_size=2048), WIDE)
    assert decision.action == "hold"
    assert decision.reason == (
        "period 5 of 20 epochs over, but 2048 is the largest size: the learning rate decays alone"
    )


def test_adabatch_recovers_after_the_cap() -> None:
    # A larger cap (a resumed run with wider limits) lets it grow on from where it stood.
    wider = Limits(smallest=16, largest=4096)
    history = at_epochs([119.0, 120.0], batch_size=2048, lr_scale=0.375)
    decision = AdaBatch().decide(history, wider)
    assert (decision.batch_size, decision.lr_scale) == (4096, 0.28125)  # 0.375 * 0.375 * 2


def test_adabatch_reasons_count_the_periods() -> None:
    assert AdaBatch().decide(at_epochs([20.0, 21.0]), WIDE).reason == "period 2 of 20 epochs not over"
    assert AdaBatch().decide(at_epochs([39.0, 40.0]), WIDE).reason == "period 2 of 20 epochs over"


def test_adabatch_takes_128_to_2048_over_100_epochs() -> None:
    history = run(AdaBatch(period=20), 100, start=128)
    assert [seen.batch_size for seen in history] == [128] * 20 + [256] * 20 + [512] * 20 + [1024] * 20 + [
        2048
    ] * 20
    assert [seen.lr_scale for seen in history[::20]] == [1.0, 0.75, 0.5625, 0.421875, 0.31640625]
    # The learning rate per example falls as that of the fixed run does: by 0.375 a period.
    per_example = [seen.lr_scale / seen.batch_size for seen in history[::20]]
    assert per_example == [0.375**k / 128 for k in range(5)]


def test_adabatch_keeps_its_timetable_whatever_the_interval() -> None:
    for epochs_per_interval in (0.25, 0.5, 1.0, 2.0, 5.0):
        history = run(
            AdaBatch(), int(100 / epochs_per_interval), start=128, epochs_per_interval=epochs_per_interval
        )
        first_epochs: dict[int, float] = {}
        for seen in history:
            first_epochs.setdefault(seen.batch_size, seen.epoch - epochs_per_interval)
        assert first_epochs == {128: 0, 256: 20, 512: 40, 1024: 60, 2048: 80}


def test_adabatch_needs_no_signal_and_owns_the_learning_rate() -> None:
    assert AdaBatch().needs == frozenset()
    assert AdaBatch().lr_schedules == {"constant"}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AdaBatch(period=0), "period must be greater than 0 but got period=0"),
        (lambda: AdaBatch(period=-20), "but got period=-20"),
        (lambda: AdaBatch(period=math.nan), "but got period=nan"),
        (lambda: AdaBatch(period=math.inf), "but got period=inf"),
        (lambda: AdaBatch(growth=1), "growth must be greater than 1 but got growth=1"),
        (lambda: AdaBatch(growth=math.inf), "but got growth=inf"),
        (lambda: AdaBatch(lr_decay=0), r"lr_decay must lie in \(0, 1\] but got lr_decay=0"),
        (lambda: AdaBatch(lr_decay=1.5), "but got lr_decay=1.5"),
        (lambda: AdaBatch(lr_decay=math.nan), "but got lr_decay=nan"),
    ],
)
def test_adabatch_refuses_a_value_outside_its_domain(build: Callable[[], AdaBatch], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
