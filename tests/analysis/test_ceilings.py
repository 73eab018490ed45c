import math
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.analysis.ceiling_table import ceiling_rows
from adasearch.analysis.ceilings import (
    ceilings_of,
    constant_batch,
    excess_steps_saved,
    noise_of,
    seconds_saved,
)
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.profiles.profile import StabilityProfile, Statistic
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.stability import SPREAD, noise_spread, stability_figures
from adasearch.records import Signals
from adasearch.store import Store
from tests.profile_rows import speed_of, stability_of
from tests.rows import STUDY, study_of
from tests.schedulers.rows import row

STEADY = stability_of(STUDY)


def linear(a: float, b: float, largest: int = 4096) -> SpeedCurve:
    return SpeedCurve(sizes=(1, largest), step_seconds=(a + b, a + b * largest), measure_seconds={})


def growing(times: float, intervals: int = 2000) -> list[Signals]:
    """A run whose noise scale grows log-linearly by a factor."""
    share = [(k + 0.5) / intervals for k in range(intervals)]
    return [row(k, noise=times**x, square=1.0, count=1) for k, x in enumerate(share)]


# The noise scale grows log-linearly by R: gamma = 4 (sqrt R - 1) / (ln R (sqrt R + 1)), and what follows.
@pytest.mark.parametrize(
    ("times", "gamma", "seconds"),
    [(3, 0.98, 0.006), (10, 0.90, 0.025), (30, 0.81, 0.049), (100, 0.71, 0.078), (300, 0.63, 0.105)],
)
def test_the_table_of_the_derivation(times: float, gamma: float, seconds: float) -> None:
    root = math.sqrt(times)
    assert 4 * (root - 1) / (math.log(times) * (root + 1)) == pytest.approx(gamma, abs=0.006)
    found = noise_spread(growing(times), parts=2000)
    assert found == pytest.approx(4 * (root - 1) / (math.log(times) * (root + 1)), rel=1e-3)
    assert seconds_saved(found) == pytest.approx(seconds, abs=0.0015)
    assert excess_steps_saved(found) == 1 - found


def test_gamma_is_the_products_ratio_of_best_varying_and_best_constant_batch() -> None:
    # N is 1 for half of the progress, 9 for the other. Constant B: steps 1 + 5/B, examples B + 5, so the
    # product of both excesses, (5/B) (B/5), is 1. Varying B = c sqrt N: excess steps mean(sqrt N)/c = 2/c,
    # examples c mean(sqrt N) + 5 = 2c + 5, excess over 5 is 2c/5: product 4/5.
    history = [row(k, noise=1.0 if k < 50 else 9.0, square=1.0, count=1) for k in range(100)]
    assert noise_spread(history, parts=10) == pytest.approx(4 / 5)


def test_a_constant_noise_scale_leaves_nothing_to_a_schedule() -> None:
    assert seconds_saved(noise_spread(growing(1.0))) == pytest.approx(0.0)


# t(B) = a + b B: the best constant batch is sqrt(a N / b), found by setting the derivative to 0.
@pytest.mark.parametrize(("a", "b", "noise"), [(1.0, 0.001, 250.0), (0.2, 0.01, 500.0), (3.0, 0.1, 40.0)])
def test_the_best_constant_batch_of_a_linear_step_time(a: float, b: float, noise: float) -> None:
    found = constant_batch(linear(a, b), [noise], 32)
    exact = math.sqrt(a * noise / b)
    assert found.best == pytest.approx(exact, abs=1)

    def cost(size: float) -> float:
        return (a + b * size) * (1 + noise / size) / ((a + b * exact) * (1 + noise / exact))

    assert found.cost == pytest.approx(max(1.0, cost(32)), rel=1e-3)
    assert cost(found.low) <= 1.05 < cost(found.low * 0.94)
    assert cost(found.high) <= 1.05 < cost(found.high * 1.06)
    assert not found.open_end


def test_the_mean_noise_scale_counts() -> None:
    assert constant_batch(linear(1.0, 0.001), [100.0, 400.0], 32).best == 500


def test_a_device_that_is_faster_and_faster_has_an_open_end() -> None:
    found = constant_batch(linear(1.0, 1e-9), [1000.0], 32)
    assert (found.best, found.high, found.open_end) == (4096, 4096, True)


def profile(*runs: list[Signals]) -> StabilityProfile:
    return replace(STEADY, batch_size=32, figures=stability_figures(runs))


def test_a_profile_says_its_ceilings_with_the_interval_over_seeds() -> None:
    # Ten tenths: noise scales of 4 and 16 make gamma (5 * 2 + 5 * 4)^2 / (100 * 10) = 0.9, of 1 and 9 0.8.
    one, other = (
        [row(k, noise=low if k < 50 else high, square=1.0, count=1) for k in range(100)]
        for low, high in ((4.0, 16.0), (1.0, 9.0))
    )
    found = ceilings_of(linear(1.0, 0.001), profile(one, other))
    assert found is not None
    assert found.gamma == pytest.approx(0.85)
    assert found.gamma_low == pytest.approx(max(0.0, 0.85 - 12.706 * 0.05), abs=1e-3)
    assert (
        found.gamma_high == 1.0
    )  # no schedule makes anything worse than the constant batch that it contains
    assert found.said()[1].startswith(
        "over that constant batch no schedule saves more than 3.9 % (0.0 to 26.8) of the seconds, or 15.0 %"
    )
    assert found.said()[1].endswith("beyond the least (gamma 0.85 (0.21 to 1.00))")


def test_a_profile_of_an_older_version_has_the_ceiling_of_its_means() -> None:
    figures = tuple(Statistic("noise_scale", float(k), 1.0 if k < 5 else 9.0, None, None) for k in range(10))
    found = ceilings_of(linear(1.0, 0.001), replace(STEADY, batch_size=32, figures=figures))
    assert found is not None
    assert found.gamma == pytest.approx(0.8)
    assert found.gamma_low is None
    assert found.batch.best == round(math.sqrt(1000 * 5))
    assert found.said()[1].startswith(
        "over that constant batch no schedule saves more than 5.3 % of the seconds, or 20.0 % of the steps"
    )
    assert SPREAD not in {each.name for each in figures}


def test_a_profile_without_a_noise_scale_says_nothing() -> None:
    assert ceilings_of(linear(1.0, 0.001), replace(STEADY, figures=())) is None


def test_table_of_searched_networks_holds_the_ceilings_of_their_profiles(tmp_path: Path) -> None:
    store, profiles = Store(str(tmp_path)), ProfileStore(str(tmp_path))
    assert ceiling_rows(store, [STUDY]) == []
    run = [row(k, noise=4.0 if k < 50 else 16.0, square=1.0, count=1) for k in range(100)]
    fast, steady = speed_of(STUDY), profile(run)
    profiles.write(fast)
    assert ceiling_rows(store, [STUDY]) == []
    profiles.write(steady)
    found = ceilings_of(fast.curve, steady)
    assert found is not None
    (shown,) = ceiling_rows(store, [STUDY, study_of("constant")])  # a row for each network
    assert (shown["seconds"], shown["steps"]) == found.shares()
    assert shown["gamma"] == found.spread
    assert (shown["path"], shown["larger"]) == (found.path, 1.0)
    assert shown["batch"] == f"{found.batch.best} ({found.batch.low} to {found.batch.high})"
    assert shown["default"] == f"32: {found.batch.cost:.2f} times as much"
    profiles.write(replace(steady, setting=replace(steady.setting, sequence_length=8)))
    (text,) = ceiling_rows(store, [STUDY])
    assert str(text["default"]).startswith("256 tokens: ")
    profiles.write(replace(steady, diverged=1))
    assert ceiling_rows(store, [STUDY]) == []


def test_noise_of_preconditioned_gradients_counts_where_it_was_measured() -> None:
    history = [
        row(k, noise=5.0, square=1.0, count=1, divided_noise=1.0 if k < 50 else 9.0, divided_square=1.0)
        for k in range(100)
    ]
    steady = profile(history)
    assert noise_of(steady) == [1.0] * 5 + [9.0] * 5
    assert noise_of(steady, "noise_scale") == [5.0] * 10
    found = ceilings_of(linear(1.0, 0.001), steady)
    assert found is not None
    assert found.gamma == pytest.approx(0.8)
    assert found.batch.best == round(math.sqrt(1000 * 5))
