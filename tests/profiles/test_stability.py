"""The formulas of a profile by hand, and which profiles fit."""

import math
from dataclasses import replace

import pytest

from adasearch.profiles.profile import here, setting_differences
from adasearch.profiles.stability import (
    DIVIDED,
    DIVIDED_SPREAD,
    FIGURES,
    SPREAD,
    mean_interval,
    noise_scale,
    run_figures,
    stability_figures,
)
from adasearch.records import Signals
from tests.rows import STUDY, interval_at

SETTING = replace(
    here(STUDY, 1), device_name="Abacus", driver=None, threads=1, versions={"torch": "2.6", "python": "3.11"}
)


def run(norms: list[float], losses: list[float] | None = None, noise: float = 8.0) -> list[Signals]:
    losses = losses or [1.0] * len(norms)
    return [
        replace(
            interval_at(t).signals,
            grad_norm=norm,
            train_loss=loss,
            grad_noise=noise,
            grad_sq_norm=2.0,
            noise_count=t + 1,
        )
        for t, (norm, loss) in enumerate(zip(norms, losses, strict=True))
    ]


def test_figures_of_a_run_by_hand() -> None:
    found = run_figures(run([1.0, 3.0, 1.0, 3.0], [4.0, 2.0, 1.0, 1.0]))
    assert found["stability_score"] == pytest.approx(1 / (1 + 1 / 2))  # deviation 1, mean 2
    assert found["grad_norm_variation"] == pytest.approx((2 + 2 / 3 + 2) / 3)
    assert found["loss_variation"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert found["noise_scale"] == pytest.approx(4.0)


def test_norm_that_never_changes_is_as_stable_as_can_be() -> None:
    assert run_figures(run([2.0] * 5))["stability_score"] == 1.0


def test_noise_scale_weighs_intervals_by_their_measured_steps() -> None:
    rows = run([1.0, 1.0])  # measured at 1 and 2 steps
    rows[0] = replace(rows[0], grad_noise=20.0, grad_sq_norm=-1.0)
    assert noise_scale(rows) == pytest.approx((20 + 2 * 8) / (-1 + 2 * 2))
    assert math.isnan(noise_scale(rows[:1]))
    assert math.isnan(noise_scale([]))


def test_interval_over_seeds_is_students() -> None:
    mean, low, high = mean_interval([11.0, 12.0, 13.0, math.nan])
    assert mean == 12.0
    assert low is not None
    assert high is not None
    assert high - 12.0 == pytest.approx(12.0 - low) == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    assert mean_interval([1.0, 2.0, 3.0])[1] == 0.0  # no figure is negative
    assert mean_interval([]) == mean_interval([math.nan]) == (None, None, None)


def test_figures_over_seeds_hold_each_figure_and_the_noise_scale_over_time() -> None:
    found = stability_figures([run([1.0, 2.0] * 10, noise=8.0), run([1.0, 2.0] * 10, noise=4.0)])
    assert [each.name for each in found if each.epoch is None] == [*FIGURES, SPREAD]
    assert next(each.mean for each in found if each.name == SPREAD) == pytest.approx(1.0)
    scales = [each for each in found if each.epoch is not None]
    assert [each.epoch for each in scales] == [2.0 * n for n in range(1, 11)]
    assert {each.mean for each in scales} == {3.0}


def test_figures_of_one_seed_have_no_interval() -> None:
    assert {(each.low, each.high) for each in stability_figures([run([1.0, 2.0, 3.0])])} == {(None, None)}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"device_name": "Colossus"}, "device Abacus, not Colossus"),
        ({"dataset": "cifar10", "fingerprint": "beef"}, "dataset digits, not cifar10"),
        ({"fingerprint": "beef"}, "other images under the name digits"),
        ({"workers": 2}, "workers 1, not 2"),
        ({"threads": 4}, "threads 1, not 4"),
        ({"precision": "bfloat16"}, "precision float32, not bfloat16"),
        ({"driver": "570"}, "driver None, not 570"),
        ({"versions": {"torch": "2.7"}}, "torch 2.6, not 2.7"),
    ],
)
def test_profile_of_other_circumstances_differs_by_name(changes: dict[str, object], says: str) -> None:
    assert setting_differences(SETTING, replace(SETTING, **changes)) == [says]  # type: ignore[arg-type]


def test_profile_of_a_training_function_fits_its_source_alone() -> None:
    own = replace(STUDY, architecture="my_loop:train", task="own", dataset="own", code="1a2b")
    assert setting_differences(here(own, 1), here(own, 1)) == []
    changed = here(replace(own, code="3c4d"), 1)
    assert setting_differences(here(own, 1), changed) == ["source 1a2b, not 3c4d"]


def test_profile_of_the_same_circumstances_fits() -> None:
    assert setting_differences(SETTING, SETTING) == []
    assert setting_differences(SETTING, replace(SETTING, versions={"torch": "2.6", "python": "3.12"})) == []
    gpu = replace(SETTING, device="cuda")
    assert setting_differences(gpu, replace(gpu, threads=8)) == []


def test_noise_of_preconditioned_gradients_has_figures_of_its_own_where_it_was_measured() -> None:
    plain = run([1.0] * 20)
    known = {each.name for each in stability_figures([plain])}
    assert known == {*FIGURES, SPREAD}
    divided = [
        replace(row, preconditioned_noise=10.0 if k < 10 else 90.0, preconditioned_sq_norm=1.0)
        for k, row in enumerate(plain)
    ]
    found = stability_figures([divided])
    figures = {each.name: each.mean for each in found if each.epoch is None}
    weights = [k + 1 for k in range(20)]  # the steps that were measured
    whole = (10 * sum(weights[:10]) + 90 * sum(weights[10:])) / sum(weights)
    assert figures[DIVIDED] == pytest.approx(whole)
    assert figures[DIVIDED_SPREAD] == pytest.approx(0.8)  # of 10 and 90, as of 1 and 9
    assert [each.mean for each in found if each.name == DIVIDED and each.epoch is not None] == [10.0] * 5 + [
        90.0
    ] * 5
    assert figures["noise_scale"] == pytest.approx(4.0)
