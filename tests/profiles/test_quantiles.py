"""Quantile thresholds, by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.errors import InputError
from adasearch.profiles.quantiles import CALIBRATED, indicators, thresholds
from adasearch.records import Signals, Value
from adasearch.schedulers import make_scheduler
from adasearch.schedulers.deba import Deba
from tests.rows import interval_at

HALVES = {"quantile/confidence_threshold": 0.5, "quantile/stability_threshold": 0.5}


def history(variances: list[float], norms: list[float] | None = None) -> list[Signals]:
    norms = norms or [1.0] * len(variances)
    return [
        replace(
            interval_at(t).signals,
            grad_component_variance=variance,
            grad_norm=norm,
            mean_grad_component_variance=2 * variance,
            mean_grad_norm=norm**2,
            train_loss=2.0,
        )
        for t, (variance, norm) in enumerate(zip(variances, norms, strict=True))
    ]


def test_indicators_are_those_that_the_scheduler_compares_once_its_window_is_full() -> None:
    rows = history([1.0, 2.0, 4.0, 8.0, 16.0])
    found = indicators(rows, Deba(window=3))
    assert [row.c for row in found] == pytest.approx([4 / 2, 8 / 4, 16 / 8])
    assert found[-1] == Deba(window=3).indicators(rows)
    assert len(indicators(rows, Deba(window=5))) == 1
    assert len(indicators(rows, Deba(window=0))) == 3  # full history: from the first decision on


def test_threshold_is_the_quantile_of_the_indicators_of_all_seeds() -> None:
    # In either run c is always variance / middle of the last three: 1.1 and 1.3.
    runs = [history([1.1**t for t in range(22)]), history([1.3**t for t in range(22)])]
    params: dict[str, Value] = {**HALVES, "scheduler/window": 3, "quantile/confidence_threshold": 0.0}
    assert thresholds("deba", params, runs)["scheduler/confidence_threshold"] == pytest.approx(1.1)
    params["quantile/confidence_threshold"] = 1.0
    assert thresholds("deba", params, runs)["scheduler/confidence_threshold"] == pytest.approx(1.3)
    params["quantile/confidence_threshold"] = 0.5  # halfway between the 20th and the 21st of 40
    assert thresholds("deba", params, runs)["scheduler/confidence_threshold"] == pytest.approx(1.2)


def test_stability_threshold_pools_norm_and_loss_variation() -> None:
    norms = [2.0**t for t in range(22)]  # dG is 1 throughout, and dL 0
    run = history([1.0] * 22, norms)
    params: dict[str, Value] = {"quantile/stability_threshold": 0.5, "scheduler/window": 3}
    assert thresholds("deba", params, [run]) == {"scheduler/stability_threshold": pytest.approx(0.5)}
    params["scheduler/gradient"] = "mean_gradient"  # norms 4^t: dG is 3
    assert thresholds("deba", params, [run]) == {"scheduler/stability_threshold": pytest.approx(1.5)}


def test_without_quantiles_nothing_is_computed() -> None:
    assert thresholds("cabs", {"scheduler/scale": 1.0}, []) == {}


def test_profile_that_is_too_short_for_the_window_is_refused() -> None:
    with pytest.raises(InputError, match=r"with a full window of 30 but got 0; .* more --intervals"):
        thresholds("deba", {**HALVES, "scheduler/window": 30}, [history([1.0] * 22)])


def test_threshold_is_greater_than_0_where_nothing_moves() -> None:
    params = {"quantile/stability_threshold": 0.5, "scheduler/window": 3}
    assert thresholds("deba", params, [history([1.0] * 22)]) == {"scheduler/stability_threshold": 1e-8}


def test_values_that_are_not_finite_do_not_count() -> None:
    norms = [1.0, float("inf")] + [2.0**t for t in range(26)]
    run = history([1.0] * 28, norms)
    params = {"quantile/stability_threshold": 1.0, "scheduler/window": 3}
    assert thresholds("deba", params, [run]) == {"scheduler/stability_threshold": pytest.approx(1.0)}


def test_every_field_that_takes_a_quantile_exists() -> None:
    for scheduler, names in CALIBRATED.items():
        assert all(hasattr(make_scheduler(scheduler, {}), name) for name in names)


@given(
    st.lists(st.floats(0.01, 100), min_size=30, max_size=30),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(3, 10),
)
def test_threshold_rises_with_its_quantile_and_lies_among_the_indicators(
    variances: list[float], one: float, other: float, window: int
) -> None:
    run = history(variances)
    low, high = sorted((one, other))
    found = [
        thresholds("deba", {"quantile/confidence_threshold": q, "scheduler/window": window}, [run])
        for q in (low, high)
    ]
    values = [each["scheduler/confidence_threshold"] for each in found]
    pool = [row.c for row in indicators(run, Deba(window=window))]
    assert min(pool) <= values[0] <= values[1] <= max(pool)
