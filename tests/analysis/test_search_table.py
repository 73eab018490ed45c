import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from adasearch.analysis.selection import baseline_of, choose, comparable, error_bound
from adasearch.records import Status, StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE
from tests.rows import STUDY, study_of, trial_of

CONSTANT, DEBA = study_of(BASELINE), study_of("deba")


@dataclass(frozen=True)
class T:
    """One trial of a decision table."""

    val_error: float | None
    seconds: float | None
    status: Status = "complete"
    phase: str = "search"
    adaptations: int = 2


def trials_of(study: StudyRecord, rows: Sequence[T]) -> list[TrialRecord]:
    return [
        replace(
            trial_of(study, n, val_error=t.val_error, seconds=t.seconds, status=t.status, phase=t.phase),
            adaptations=0 if study.scheduler == BASELINE else t.adaptations,
        )
        for n, t in enumerate(rows)
    ]


# --- which trial counts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("best", "n", "bound"),
    [
        (0.1, 100, 0.13),  # sqrt(0.1 * 0.9 / 100) = 0.03
        (0.2, 1600, 0.21),  # sqrt(0.2 * 0.8 / 1600) = 0.01
        (0.5, 100, 0.55),
        (0.0, 100, 0.0099498744),  # p = 1/n: sqrt(0.01 * 0.99 / 100)
        (0.005, 100, 0.0149498744),  # p = 1/n here, too
        (0.01, 100, 0.0199498744),  # and from here on p = best
        (1.0, 100, 1.0),
        (0.0, 1, 0.0),
    ],
)
def test_error_bound_is_one_standard_error_above_the_best(best: float, n: int, bound: float) -> None:
    assert error_bound(best, n) == pytest.approx(bound)


# 100 validation examples and a best constant error of 0.10 make E = 0.13.
RULE: dict[str, tuple[list[T], list[T], int | None, int | None]] = {
    "the reference is the fastest within E, not the best": ([T(0.10, 50), T(0.12, 40)], [], 1, None),
    "a faster constant trial above E does not count": ([T(0.10, 50), T(0.14, 40)], [], 0, None),
    "the candidate is the fastest within E, not the best": (
        [T(0.10, 50)],
        [T(0.05, 40), T(0.12, 30), T(0.14, 20)],
        0,
        1,
    ),
    "a candidate must be faster than the reference": ([T(0.10, 50)], [T(0.05, 50)], 0, None),
    "a slower one is no candidate, however good": ([T(0.10, 50)], [T(0.0, 51)], 0, None),
    "the reference, not the best constant trial, has to be beaten": (
        [T(0.10, 50), T(0.12, 40)],
        [T(0.10, 45)],
        1,
        None,
    ),
    "no adaptive trial within E": ([T(0.10, 50)], [T(0.14, 5)], 0, None),
    "a good adaptive trial does not lower E": ([T(0.10, 50)], [T(0.01, 49), T(0.12, 30)], 0, 1),
    "a tie of seconds goes to the lower error": (
        [T(0.12, 50), T(0.10, 50)],
        [T(0.11, 40), T(0.12, 40), T(0.10, 40)],
        1,
        2,
    ),
    "a tie of both goes to the lower number": (
        [T(0.10, 50), T(0.10, 50)],
        [T(0.5, 9), T(0.11, 40), T(0.11, 40)],
        0,
        1,
    ),
    "no constant study": ([], [T(0.10, 50)], None, None),
    "no complete constant trial": (
        [T(0.10, 50, "pruned"), T(0.10, 50, "failed"), T(None, None, "running")],
        [T(0.10, 40)],
        None,
        None,
    ),
    "what is not complete counts nowhere": (
        [T(0.10, 50), T(0.0, 1, "pruned"), T(0.0, 1, "failed"), T(0.0, 1, "running")],
        [T(0.05, 2, "pruned"), T(0.05, 2, "failed"), T(0.05, 2, "running"), T(0.10, 40)],
        0,
        3,
    ),
    "other phases count nowhere": (
        [T(0.10, 50), T(0.0, 1, phase="confirm"), T(0.0, 1, phase="train")],
        [T(0.05, 2, phase="confirm"), T(0.10, 40), T(0.05, 2, phase="rerun")],
        0,
        1,
    ),
    "a complete trial without an error counts nowhere": ([T(0.10, 50), T(None, 1)], [T(None, 2)], 0, None),
    "a trial without seconds is the slowest": ([T(0.10, None), T(0.12, 50)], [T(0.10, None)], 1, None),
}


@pytest.mark.parametrize("case", RULE)
def test_rule_picks_reference_and_candidate(case: str) -> None:
    constant, adaptive, reference, candidate = RULE[case]
    choice = choose(
        trials_of(CONSTANT, constant), trials_of(DEBA, adaptive), val_examples=100, clock="measured"
    )
    assert (choice.reference.number if choice.reference else None) == reference
    assert (choice.candidate.number if choice.candidate else None) == candidate
    assert choice.error_bound == (None if reference is None else pytest.approx(0.13))


def test_trial_exactly_at_the_bound_counts_and_one_above_does_not() -> None:
    bound = error_bound(0.10, 100)
    for error, number in ((bound, 1), (math.nextafter(bound, 1), 0)):
        constant = trials_of(CONSTANT, [T(0.10, 50), T(error, 40)])
        choice = choose(constant, [], val_examples=100, clock="measured")
        assert choice.reference == constant[number]


def test_modelled_clock_judges_by_modelled_seconds() -> None:
    constant = [replace(t, modelled_seconds=s) for t, s in zip(_pair(CONSTANT), (5.0, 9.0), strict=True)]
    adaptive = [replace(t, modelled_seconds=s) for t, s in zip(_pair(DEBA), (6.0, 4.0), strict=True)]
    choice = choose(constant, adaptive, val_examples=100, clock="modelled")
    assert (choice.reference, choice.candidate) == (constant[0], adaptive[1])
    choice = choose(constant, adaptive, val_examples=100, clock="measured")
    assert (choice.reference, choice.candidate) == (constant[1], None)


def _pair(study: StudyRecord) -> list[TrialRecord]:
    return trials_of(study, [T(0.10, 50), T(0.10, 40)])


@given(
    points=st.lists(st.tuples(st.sampled_from([0.05, 0.1, 0.12, 0.2]), st.integers(1, 4)), max_size=8),
    split=st.integers(0, 8),
)
def test_rule_agrees_with_its_definition(points: list[tuple[float, int]], split: int) -> None:
    rows = [T(error, float(spent)) for error, spent in points]
    constant, adaptive = trials_of(CONSTANT, rows[:split]), trials_of(DEBA, rows[split:])
    choice = choose(constant, adaptive, val_examples=100, clock="measured")
    if not constant:
        assert choice.reference is choice.candidate is None
        return
    bound = error_bound(min(t.val_error for t in constant if t.val_error is not None), 100)

    def ranked(trials: list[TrialRecord]) -> list[TrialRecord]:
        good = [t for t in trials if t.val_error is not None and t.val_error <= bound]
        return sorted(good, key=lambda t: (t.seconds("measured"), t.val_error, t.number))

    reference = ranked(constant)[0]
    assert choice.reference == reference
    faster = [t for t in ranked(adaptive) if t.seconds("measured") < reference.seconds("measured")]
    assert choice.candidate == (faster[0] if faster else None)


# --- the search table -------------------------------------------------------------------------------


def rows_of(
    constant: Sequence[T], deba: Sequence[T], *, clock: str = "measured"
) -> dict[str, dict[str, object]]:
    studies = [replace(study, clock=clock) for study in (DEBA, CONSTANT)]
    trials = [*trials_of(DEBA, deba), *trials_of(CONSTANT, constant)]
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
    assert part(rows["deba"], "trials complete pruned failed acted") == (3, 0, 1, 1, 0)
    assert part(rows["constant"], "verdict trials") == ("no complete trial", 0)


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("architecture", "vit_b_16"),
        ("scale", "full"),
        ("fingerprint", "beef"),
        ("subset", 100),
        ("seed", 1),
        ("budget", 3200),
        ("workers", 2),
        ("precision", "bfloat16"),
        ("clock", "modelled"),
    ],
)
def test_studies_that_differ_are_not_compared(name: str, value: object) -> None:
    other = replace(CONSTANT, **{name: value})  # type: ignore[arg-type]
    assert baseline_of(DEBA, [DEBA, CONSTANT]) == CONSTANT
    assert baseline_of(DEBA, [DEBA, other]) is None
    assert baseline_of(DEBA, [other, CONSTANT]) == CONSTANT
    assert comparable([DEBA, CONSTANT]) == [[DEBA, CONSTANT]]
    assert comparable([DEBA, other]) == [[DEBA], [other]]


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


def test_pareto_front_takes_any_two_columns() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 2.0], "b": [2.0, 1.0, 3.0], "name": list("xyz")})
    assert list(pareto_front(frame, "a", "b")["name"]) == ["x", "y"]
