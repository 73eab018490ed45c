"""DEBA's thresholds out of replays on a stored run."""

import random
from dataclasses import replace

import numpy as np
import pytest

from adasearch.analysis.deba_fit import COOLDOWN, QUANTILES, WINDOW, deba_along
from adasearch.analysis.replay import virtual_decisions
from adasearch.limits import Limits
from adasearch.profiles.quantiles import indicators
from adasearch.records import Signals
from adasearch.schedulers.deba import Deba
from tests.schedulers.rows import row

LIMITS = Limits(smallest=16, largest=512)


def run(seed: int, intervals: int = 40) -> list[Signals]:
    draw = random.Random(seed)
    return [
        row(
            k,
            loss=2.0 / (k + 1) + draw.random() / 10,
            mean_norm=1.0 + draw.random(),
            mean_variance=draw.lognormvariate(0.0, 0.5),
        )
        for k in range(intervals)
    ]


def sizes(history: list[Signals], deba: Deba) -> list[int]:
    decisions = virtual_decisions(history[:-1], deba, LIMITS)
    return [history[0].initial_batch_size, *(each.batch_size for each in decisions)]


@pytest.mark.parametrize("seed", range(5))
def test_path_of_thresholds_among_those_that_are_tried_is_found(seed: int) -> None:
    history = run(seed)
    plain = Deba(gradient="mean_gradient", window=WINDOW, cooldown=COOLDOWN)
    found = indicators(history, plain)
    wanted = replace(
        plain,
        confidence_threshold=float(np.quantile([each.c for each in found], QUANTILES[6])),
        stability_threshold=float(np.quantile([x for each in found for x in each[1:]], QUANTILES[7])),
    )
    path = sizes(history, wanted)
    assert len(set(path)) > 1
    deba = deba_along(history, path, LIMITS)
    assert deba is not None
    assert sizes(history, deba) == path


def test_it_begins_with_the_size_that_is_wanted_first() -> None:
    history = run(1)
    deba = deba_along(history, [128] * 20 + [256] * 20, LIMITS)
    assert deba is not None
    begun = [replace(each, initial_batch_size=128) for each in history]
    assert abs(np.log(np.mean(sizes(begun, deba)[20:]) / 256)) < np.log(2)  # nearer than staying


def test_a_path_that_stands_still_needs_no_thresholds() -> None:
    assert deba_along(run(2), [32] * 40, LIMITS) is None


def test_too_few_intervals_or_none_of_the_signals_give_none() -> None:
    assert deba_along(run(3)[:5], [32, 32, 64, 64, 64], LIMITS) is None
    assert deba_along([row(k) for k in range(40)], [32] * 20 + [64] * 20, LIMITS) is None
