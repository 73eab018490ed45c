"""The model of time: interpolation, what was measured how often, and sums over stored rows."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.data.splits import Dataset
from adasearch.profiles.modelled_time import (
    SpeedCurve,
    interpolated,
    modelled,
    modelled_trial,
    rising_at,
    saturation_size,
    signals_paid,
)
from adasearch.records import Limits, Signals
from adasearch.runs.speed import FixedBatch
from adasearch.signal_sets import SIGNAL_SETS
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from tests.rows import STUDY, interval_at, trial_of

CURVE = SpeedCurve(
    sizes=(16, 32, 64),
    step_seconds=(1.0, 1.5, 3.0),
    measure_seconds={"per_step": (0.1, 0.1, 0.1), "noise": (1.0, 2.0, 4.0)},
)
CURVES = st.lists(
    st.tuples(st.integers(1, 4096), st.floats(1e-4, 10)), min_size=1, max_size=8, unique_by=lambda p: p[0]
).map(sorted)


@given(CURVES, st.integers(1, 8192))
def test_interpolated_time_lies_between_its_neighbours(
    points: Sequence[tuple[int, float]], size: int
) -> None:
    sizes, values = zip(*points, strict=True)
    found = interpolated(size, sizes, values)
    below = [value for at, value in points if at <= size]
    above = [value for at, value in points if at >= size]
    if size in sizes:
        assert found == pytest.approx(values[sizes.index(size)])
    elif not above:
        assert found == pytest.approx(values[-1] * size / sizes[-1])
    else:
        neighbours = (below[-1] if below else above[0], above[0])
        assert min(neighbours) * (1 - 1e-9) <= found <= max(neighbours) * (1 + 1e-9)


@given(CURVES, st.integers(1, 4096), st.integers(1, 4096))
def test_larger_batches_never_take_less_where_the_profile_rises(
    points: Sequence[tuple[int, float]], one: int, other: int
) -> None:
    sizes = [at for at, _ in points]
    values = sorted(value for _, value in points)
    low, high = sorted((one, other))
    assert interpolated(low, sizes, values) <= interpolated(high, sizes, values) * (1 + 1e-9)


def test_saturation_is_where_throughput_nears_its_greatest() -> None:
    assert saturation_size((16, 32, 64), (1.0, 1.0, 1.0)) == 64
    assert saturation_size((16, 32, 64), (1.0, 2.0, 4.0)) == 16
    assert saturation_size((16,), (1.0,)) == 16


@pytest.mark.parametrize(
    ("sizes", "rates", "rises"),
    [
        ((16, 32, 64), (1.0, 2.0, 4.0), True),
        ((16, 32, 64), (1.0, 2.0, 2.2), False),  # by less than a tenth of the greater one
        ((16, 32, 64), (1.0, 2.0, 2.3), True),
        ((16, 32, 64), (1.0, 3.0, 2.0), False),
        ((16, 32, 64, 100), (1.0, 2.0, 4.0, 4.1), False),  # per doubling
        ((64, 128, 143), (1.0, 1.6, 1.6), True),  # 143 is too near to 128 to tell anything: from 64 on
        ((16,), (1.0,), True),
    ],
)
def test_throughput_that_a_doubling_raises_by_a_tenth_still_rises(
    sizes: tuple[int, ...], rates: tuple[float, ...], rises: bool
) -> None:
    seconds = [size / rate for size, rate in zip(sizes, rates, strict=True)]
    assert rising_at(sizes, seconds) == (sizes[-1] if rises else None)


def test_interval_is_steps_times_step_time_and_what_was_measured() -> None:
    first, second = interval_at(0), interval_at(1)  # 400 examples in 13 steps of 32
    assert modelled(first, None, CURVE).modelled_seconds == 13 * 1.5
    assert modelled(second, first, CURVE).modelled_seconds == 13 * 1.5
    noisy = replace(second, signals=replace(second.signals, grad_noise=1.0, noise_count=3, batch_size=48))
    assert modelled(noisy, first, CURVE).modelled_seconds == pytest.approx(9 * 2.25 + 3 * 3.0)


def test_step_whose_update_was_skipped_takes_its_time() -> None:
    first, second = interval_at(0), interval_at(1)
    skipped = replace(second, signals=replace(second.signals, step=first.signals.step))
    assert modelled(skipped, first, CURVE).modelled_seconds == 13 * 1.5


def test_trial_is_the_sum_of_its_intervals_whatever_they_held_before() -> None:
    rows = [replace(interval_at(n), modelled_seconds=99.0) for n in range(3)]
    found = modelled_trial(trial_of(STUDY, 0), rows, CURVE)
    assert found.modelled_seconds == pytest.approx(39 * 1.5)
    assert modelled_trial(trial_of(STUDY, 0), rows, None).modelled_seconds is None
    assert modelled_trial(trial_of(STUDY, 0), [], CURVE).modelled_seconds is None


@pytest.mark.parametrize("name", SIGNAL_SETS)
def test_rows_tell_what_a_run_measured(name: str, digits: Dataset) -> None:
    config = TrainConfig(
        architecture="tests.own_nets:good",
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=16, lr=1e-3),
        budget=320,
        interval=160,
        evaluate_every=320,
    )
    records = list(
        train(config, FixedBatch(frozenset(SIGNAL_SETS[name])), Limits(smallest=16, largest=16), digits)
    )
    expected = {"per_step": 10, "mean_gradient": 10, "noise": 1, "products": 1}[name]
    assert [signals_paid(record.signals, 10) for record in records] == [{name: expected}] * 2


def test_square_norm_of_the_batch_alone_costs_what_a_norm_costs() -> None:
    signals = replace(interval_at(0).signals, batch_grad_sq_norm=1.0, noise_count=5)
    assert signals_paid(signals, 10) == {"per_step": 5}


def test_noise_of_successive_steps_costs_what_their_norms_cost() -> None:
    alone = replace(interval_at(0).signals, grad_noise=1.0, grad_sq_norm=1.0, noise_count=8)
    assert signals_paid(alone, 32, "successive") == {"per_step": 8}
    assert signals_paid(alone, 32, "halves") == {"noise": 8}
    assert signals_paid(replace(alone, grad_norm=1.0), 32, "successive") == {"per_step": 16 + 8}
    divided = replace(alone, preconditioned_noise=1.0)
    assert signals_paid(divided, 32, "successive") == {"per_step": 5 * 8}
    assert signals_paid(divided, 32, "halves") == {"noise": 8}


def test_nothing_measured_is_nothing_paid() -> None:
    signals: Signals = interval_at(0).signals
    assert signals_paid(signals, 10) == {}
    assert math.isclose(CURVE.step(128), 6.0)
