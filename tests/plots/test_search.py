"""What the figures of a search show, and what goes with them."""

from dataclasses import replace

import pytest

from adasearch.analysis.search_table import complete_trials, describe, search_rows
from adasearch.analysis.selection import comparable
from adasearch.plots import pareto
from adasearch.plots.search import draw_front
from adasearch.records import Status, StudyRecord, TrialRecord
from tests.plots.figures import PAGE, lines, points, size_of_png, texts, told, up
from tests.rows import enough, study_of, trial_of


def study(scheduler: str, architecture: str = "resnet18") -> StudyRecord:
    return replace(study_of(scheduler, architecture), val_examples=400)


def trial(
    of: StudyRecord,
    number: int = 0,
    val_error: float | None = None,
    seconds: float | None = None,
    status: Status = "complete",
) -> TrialRecord:
    made = trial_of(of, number, status=status, val_error=val_error, seconds=seconds)
    return replace(made, adaptations=0 if of.scheduler == "constant" else 2)


CONSTANT, ADAPTIVE = study("constant"), study("deba")
TRIALS = [
    trial(CONSTANT, 0, 0.10, 10.0),
    trial(CONSTANT, 1, 0.20, 5.0),
    trial(CONSTANT, 2, 0.30, 7.0),
    trial(CONSTANT, 3, 0.01, 1.0, status="pruned"),
    trial(ADAPTIVE, 0, 0.11, 6.0),
    trial(ADAPTIVE, 1, 0.50, 2.0),
    trial(ADAPTIVE, 2, None, None, status="failed"),
    *enough(CONSTANT, ADAPTIVE),
]


def test_pareto_draws_the_complete_trials_in_percent_and_seconds() -> None:
    figure = pareto([CONSTANT, ADAPTIVE], TRIALS)
    assert points(figure, "constant trials") == [(10, 10), (5, 20), (7, 30)]
    assert points(figure, "deba trials") == [(6, 11), (2, 50)]
    assert size_of_png(figure) > 0


def test_pareto_draws_each_schedulers_front_as_steps_by_seconds() -> None:
    figure = pareto([CONSTANT, ADAPTIVE], TRIALS)
    assert points(figure, "constant front") == [(5, 20), (10, 10)]
    assert points(figure, "deba front") == [(2, 50), (6, 11)]
    assert {line.get_drawstyle() for line in lines(figure, "deba front")} == {"steps-post"}


def test_pareto_marks_the_reference_the_candidate_and_the_error_bound() -> None:
    figure = pareto([CONSTANT, ADAPTIVE], TRIALS)
    assert points(figure, "constant row") == [(10, 10)]
    assert points(figure, "deba row") == [(6, 11)]
    assert {"constant: reference", "deba: candidate"} <= set(texts(figure))
    (bound,) = lines(figure, "E")
    assert up(bound) == [pytest.approx(11.5)] * 2  # 10 % + sqrt(0.1 * 0.9 / 400)


def test_pareto_says_where_nothing_is_gained() -> None:
    figure = pareto([CONSTANT, ADAPTIVE], [*TRIALS[:4], trial(ADAPTIVE, 0, 0.3, 6.0), *TRIALS[7:]])
    assert "deba: no gain" in texts(figure)
    assert points(figure, "deba row") == [(6, 30)]


def test_pareto_gives_each_scheduler_a_colour_and_a_shape_of_its_own() -> None:
    other = study("adabatch")
    figure = pareto([CONSTANT, ADAPTIVE, other], [*TRIALS, trial(other, 0, 0.1, 8.0)])
    looks = [lines(figure, f"{name} trials")[0] for name in ("constant", "deba", "adabatch")]
    assert len({line.get_color() for line in looks}) == 3
    assert len({line.get_marker() for line in looks}) == 3


@pytest.mark.parametrize(
    "some",
    [[], TRIALS[4:], TRIALS[:4], [trial(CONSTANT, 0, 0.0, 3.0)]],
    ids=["none", "adaptive", "constant", "zero"],
)
def test_pareto_draws_what_there_is(some: list[TrialRecord]) -> None:
    assert size_of_png(pareto([CONSTANT, ADAPTIVE], some)) > 0


def test_front_on_a_page_tells_each_trial_and_what_the_ringed_ones_stand_for() -> None:
    standing = {TRIALS[0].trial_id: "reference", TRIALS[4].trial_id: "deba"}
    drawn = draw_front([CONSTANT, ADAPTIVE], TRIALS, standing, style=PAGE)
    name = "resnet18-nano-{}-digits-search-{}: error {}"
    assert told(drawn) == [
        name.format("constant", 0, "10.00%, 10 s"),
        name.format("constant", 1, "20.00%, 5 s"),
        name.format("constant", 2, "30.00%, 7 s"),
        name.format("deba", 0, "11.00%, 6 s"),
        name.format("deba", 1, "50.00%, 2 s"),
        f"deba: {TRIALS[4].trial_id}, error 11.00%, 6 s",
        f"reference: {TRIALS[0].trial_id}, error 10.00%, 10 s",
    ]
    assert "Dotted: up to an error of 11.5%" in drawn.note
    assert texts(drawn.figure) == []
    assert [text.get_text() for text in drawn.figure.legends[0].get_texts()] == ["constant", "deba"]


def test_front_on_a_page_shows_some_of_very_many_trials_and_the_whole_front() -> None:
    slow = [trial(CONSTANT, number, 0.5 + number / 1000, 100.0 + number) for number in range(320)]
    best = [trial(CONSTANT, 320 + number, 0.1 - number / 1000, 10.0 + number) for number in range(20)]
    drawn = draw_front([CONSTANT], [*slow, *best], {}, style=PAGE)
    assert set(points(drawn.figure, "constant front")) <= set(points(drawn.figure, "constant trials"))
    assert len(points(drawn.figure, "constant front")) == 20
    assert 300 <= len(told(drawn)) < 340
    assert f"{len(told(drawn))} of 340 trials are drawn" in drawn.note
    assert len(points(pareto([CONSTANT], [*slow, *best]), "constant trials")) == 340


def test_name_of_a_user_is_no_formula() -> None:
    dollar = study("constant", "nets:$\\frac$")
    assert size_of_png(pareto([dollar], [trial(dollar, 0, 0.1, 1.0)])) > 0


def test_studies_of_different_networks_are_not_comparable() -> None:
    other = study("deba", "vit_b_16")
    assert comparable([CONSTANT, other, ADAPTIVE]) == [[CONSTANT, ADAPTIVE], [other]]


def test_complete_trials_use_the_clock_of_their_study() -> None:
    modelled = [replace(one, clock="modelled") for one in (CONSTANT, ADAPTIVE)]
    frame = complete_trials(modelled, [replace(TRIALS[0], modelled_seconds=3.5)])
    assert frame["seconds"].tolist() == [3.5]


@pytest.mark.parametrize(
    ("some", "expected"),
    [
        (
            TRIALS,
            "resnet18, deba: 11.0 % validation error in 6.0 s, 1.67 times as fast as the reference (not",
        ),
        (
            [*TRIALS[:4], trial(ADAPTIVE, 0, 0.3, 6.0), *TRIALS[7:]],
            "resnet18, deba: no gain; the lowest error of 1 complete",
        ),
        (TRIALS[:4], "resnet18, deba: none of 0 trials is complete."),
        (TRIALS[4:], "resnet18, deba: 11.0 % validation error in 6.0 s (no reference"),
    ],
)
def test_describe_says_what_the_row_says(some: list[TrialRecord], expected: str) -> None:
    assert describe(search_rows([CONSTANT, ADAPTIVE], some)[1]).startswith(expected)
