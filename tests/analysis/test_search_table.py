import math
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adasearch.analysis.search_table import (
    complete_trials,
    describe,
    pareto_front,
    search_rows,
    settings_rows,
)
from tests.analysis.test_selection import CONSTANT, DEBA, T, trials_of
from tests.rows import STUDY, enough, study_of, trial_of

# --- the search table -------------------------------------------------------------------------------


def rows_of(
    constant: Sequence[T], deba: Sequence[T], *, clock: str = "measured"
) -> dict[str, dict[str, object]]:
    studies = [replace(study, clock=clock) for study in (DEBA, CONSTANT)]
    trials = [*trials_of(DEBA, deba), *trials_of(CONSTANT, constant), *enough(DEBA, CONSTANT)]
    rows = search_rows(studies, trials)
    return {row.scheduler: {name: getattr(row, name) for name in row.__slots__} for row in rows}


def part(row: dict[str, object], names: str) -> tuple[object, ...]:
    return tuple(row[name] for name in names.split())


def test_gain_is_told_against_the_reference_and_the_untuned_default() -> None:
    rows = rows_of([T(0.12, 60), T(0.10, 50)], [T(0.11, 40), T(0.10, 49)])
    assert part(rows["constant"], "trial_id verdict speedup speedup_default") == (
        f"{CONSTANT.study}-search-1",
        "reference",
        1.0,
        1.2,
    )
    deba = rows["deba"]
    assert part(deba, "trial_id verdict val_error seconds") == (
        f"{DEBA.study}-search-0",
        "not confirmed",
        0.11,
        40,
    )
    assert part(deba, "speedup speedup_default") == (1.25, 1.5)
    assert deba["time_saved"] == pytest.approx(0.2)


def test_candidate_that_changed_nothing_is_told_without_a_speedup() -> None:
    deba = rows_of([T(0.12, 60), T(0.10, 50)], [T(0.11, 40, adaptations=0)])["deba"]
    assert part(deba, "trial_id verdict seconds") == (f"{DEBA.study}-search-0", "no change made", 40)
    assert part(deba, "speedup time_saved speedup_default") == (None, None, None)


def test_without_a_gain_the_trial_of_lowest_error_stands_in() -> None:
    deba = rows_of([T(0.10, 50)], [T(0.11, 60), T(0.09, 70), T(0.14, 5)])["deba"]
    assert part(deba, "trial_id verdict") == (f"{DEBA.study}-search-1", "no gain in search")
    assert deba["speedup"] == pytest.approx(50 / 70)
    assert deba["time_saved"] == pytest.approx(1 - 70 / 50)


def test_no_speedup_is_told_at_a_higher_error() -> None:
    deba = rows_of([T(0.10, 50)], [T(0.14, 5)])["deba"]
    assert part(deba, "verdict speedup time_saved speedup_default") == ("no gain in search", None, None, None)


def test_without_constant_trials_there_is_no_reference() -> None:
    deba = rows_of([T(0.1, 5, "pruned")], [T(0.11, 60), T(0.09, 70)])["deba"]
    assert part(deba, "trial_id verdict speedup") == (f"{DEBA.study}-search-1", "no reference", None)
    (row,) = search_rows([DEBA], trials_of(DEBA, [T(0.1, 5)]))
    assert row.verdict == "no reference"


def test_study_without_a_complete_trial_is_a_row_of_what_is_there() -> None:
    rows = rows_of([], [T(None, None, "running"), T(0.3, 2, "pruned"), T(None, None, "failed")])
    assert part(rows["deba"], "verdict trial_id val_error seconds") == ("no complete trial", None, None, None)
    assert part(rows["deba"], "trials complete pruned failed acted") == (8, 0, 6, 1, 0)
    assert part(rows["constant"], "verdict trials") == ("no complete trial", 5)


def test_default_that_did_not_finish_gives_no_ratio() -> None:
    rows = rows_of([T(0.10, 50, "pruned"), T(0.10, 50)], [T(0.10, 25)])
    assert part(rows["deba"], "speedup speedup_default") == (2.0, None)


def test_rows_count_what_acted_and_ignore_other_phases() -> None:
    trials = [
        replace(trial, adaptations=trial.number)
        for trial in trials_of(DEBA, [T(0.1, 5), T(0.1, 5), T(0.1, 5, "pruned"), T(0.1, 5, phase="confirm")])
    ]
    (row,) = search_rows([DEBA], trials)
    assert (row.trials, row.complete, row.pruned, row.acted) == (3, 2, 1, 1)


@pytest.mark.parametrize("spent", [None, 0.0])
def test_seconds_that_are_unknown_or_zero_give_no_speedup(spent: float | None) -> None:
    rows = rows_of([T(0.10, spent)], [T(0.10, spent)])
    for row in rows.values():
        assert part(row, "seconds speedup time_saved speedup_default") == (spent, None, None, None)


def test_clock_without_a_reading_gives_no_seconds() -> None:
    rows = rows_of([T(0.10, 50)], [T(0.10, 40)], clock="modelled")
    assert part(rows["deba"], "clock seconds speedup") == ("modelled", None, None)


def test_rows_come_by_architecture_with_the_baseline_first() -> None:
    studies = [study_of(s, a) for a in ("vit_b_16", "resnet18") for s in ("deba", "constant", "adabatch")]
    order = [(row.architecture, row.scheduler) for row in search_rows(studies, [])]
    names = ("constant", "adabatch", "deba")
    assert order == [(a, s) for a in ("resnet18", "vit_b_16") for s in names]


def test_constant_study_is_its_own_baseline() -> None:
    twin = replace(CONSTANT, study="twin", interval=100)
    trials = [*trials_of(CONSTANT, [T(0.1, 50)]), *trials_of(twin, [T(0.1, 5)])]
    assert [row.trial_id for row in search_rows([CONSTANT, twin], trials)] == [
        f"{CONSTANT.study}-search-0",
        "twin-search-0",
    ]


def test_settings_are_those_of_each_rows_trial() -> None:
    params = {"train/lr": 0.1, "scheduler/window": 5}
    trials = [trial_of(DEBA, 0, val_error=0.1, seconds=5, params=params)]
    rows = search_rows([DEBA, study_of("adabatch")], trials)
    assert settings_rows(rows, trials) == [{"architecture": "resnet18", "scheduler": "deba", **params}]


def test_description_says_error_seconds_gain_and_verdict() -> None:
    rows = search_rows(
        [CONSTANT, DEBA],
        [*trials_of(CONSTANT, [T(0.10, 50)]), *trials_of(DEBA, [T(0.12, 25)])],
    )
    assert describe(rows[0]) == (
        "resnet18, constant: 10.0 % validation error in 50.0 s (reference, chosen from 1 complete trials)."
    )
    assert "12.0 % validation error in 25.0 s, 2.00 times as fast as the reference" in describe(rows[1])
    (row,) = search_rows([DEBA], [])
    assert describe(row) == "resnet18, deba: none of 0 trials is complete."


def test_complete_trials_are_those_that_count() -> None:
    rows = [T(0.1, 5), T(0.2, 4, "pruned"), T(0.3, 3, phase="confirm"), T(0.4, 2)]
    frame = complete_trials([DEBA], [*trials_of(DEBA, rows), *trials_of(CONSTANT, rows)])
    assert frame.to_dict("list") == {
        "trial_id": [f"{DEBA.study}-search-{n}" for n in (0, 3)],
        "scheduler": ["deba", "deba"],
        "val_error": [0.1, 0.4],
        "seconds": [5, 2],
    }
    assert list(complete_trials([STUDY], []).columns) == ["trial_id", "scheduler", "val_error", "seconds"]


# --- frames -----------------------------------------------------------------------------------------

COORDINATE = st.sampled_from([0.1, 0.2, 0.3, 0.4, math.nan])


@given(points=st.lists(st.tuples(COORDINATE, COORDINATE), max_size=10))
def test_pareto_front_is_what_nothing_dominates(points: list[tuple[float, float]]) -> None:
    frame = pd.DataFrame(points, columns=["val_error", "train_seconds"], dtype=float)
    known = [(i, p) for i, p in enumerate(points) if not any(map(math.isnan, p))]
    expected = {i for i, p in known if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for _, q in known)}
    front = pareto_front(frame)
    assert set(front.index) == expected
    assert list(front["val_error"]) == sorted(front["val_error"])


def test_pareto_front_takes_the_seconds_of_any_clock() -> None:
    frame = pd.DataFrame({"val_error": [1.0, 2.0, 2.0], "b": [2.0, 1.0, 3.0], "name": list("xyz")})
    assert list(pareto_front(frame, "b")["name"]) == ["x", "y"]
