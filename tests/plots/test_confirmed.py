"""What the figures of gains, controls and targets show."""

import math
from dataclasses import replace

import pytest

from adasearch.analysis.confirmed_runs import confirmed_rows
from adasearch.analysis.search_table import search_rows
from adasearch.plots.confirmed import Reached, against_controls, draw_gains, draw_reached
from adasearch.records import TrialRecord
from tests.plots.figures import PAGE, across, points, texts, told
from tests.rows import enough, study_of, trial_of


def test_controls_stand_beside_their_candidate_with_interval_and_sign() -> None:
    constant, deba = study_of("constant"), study_of("deba")

    def confirming(role: str, number: int, error: float, seconds: float) -> TrialRecord:
        made = trial_of(deba, number, val_error=error, seconds=seconds, phase="confirm")
        own = role in ("candidate", "mean_batch", "decay")
        source = f"{deba.study if own else constant.study}-search-0"
        return replace(
            made, role=role, seed=number % 5, test_error=error, source_trial_id=source, adaptations=1
        )

    trials = [
        trial_of(constant, 0, val_error=0.2, seconds=10.0),
        replace(trial_of(deba, 0, val_error=0.2, seconds=5.0), adaptations=1),
        *(confirming("candidate", n, 0.20 + n / 1000, 5.0 + n / 10) for n in range(5)),
        *(confirming("reference", 5 + n, 0.192 + n / 500, 10.0) for n in range(5)),
    ]
    rows = confirmed_rows([constant, deba], trials, {})
    figure = against_controls(rows)
    (speed, _), (worse, _) = points(figure, f"{deba.study} reference")
    assert 1.9 < speed < 2.0
    assert worse == pytest.approx(0.6)  # points: 0.8 less 0.1 per seed on average
    assert texts(figure) == []
    bars = [across(line) for line in figure.axes[0].get_lines() if not line.get_gid()]
    assert any(len(bar) == 2 and bar[0] < speed < bar[1] for bar in bars)
    assert math.isfinite(figure.axes[1].get_xlim()[0])
    assert against_controls([]).axes


def test_a_candidate_of_a_higher_error_has_words_in_place_of_its_speed_up() -> None:
    constant, deba = study_of("constant"), study_of("deba")

    def confirming(role: str, number: int, error: float, seconds: float) -> TrialRecord:
        made = trial_of(deba, number, val_error=error, seconds=seconds, phase="confirm")
        source = f"{(deba if role == 'candidate' else constant).study}-search-0"
        changed = replace(made, test_error=error, source_trial_id=source, adaptations=1)
        return replace(changed, role=role, seed=number % 5)

    trials = [
        trial_of(constant, 0, val_error=0.2, seconds=10.0),
        replace(trial_of(deba, 0, val_error=0.2, seconds=5.0), adaptations=1),
        *(confirming("candidate", n, 0.45 + n / 1000, 5.0 + n / 10) for n in range(5)),
        *(confirming("reference", 5 + n, 0.20 + n / 500, 10.0) for n in range(5)),
    ]
    studies = [constant, deba]
    rows = confirmed_rows(studies, trials, {})
    controls = against_controls(rows)
    ((worse, _),) = points(controls, f"{deba.study} reference")  # the error alone
    assert worse == pytest.approx(24.8)
    assert set(texts(controls)) == {"not at equal error"}
    assert draw_gains(rows, search_rows(studies, trials), style=PAGE) is None


def test_gains_not_confirmed_are_hollow_and_those_without_a_number_say_why() -> None:
    constant, deba, cabs = study_of("constant"), study_of("deba"), study_of("cabs")
    trials = [
        trial_of(constant, 0, val_error=0.2, seconds=10.0),
        replace(trial_of(deba, 0, val_error=0.2, seconds=5.0), adaptations=1),
        replace(trial_of(cabs, 0, val_error=0.9, seconds=5.0), adaptations=1),
    ]
    tried = [*trials, *enough(constant, deba, cabs)]
    drawn = draw_gains([], search_rows([constant, deba, cabs], tried), style=PAGE)
    assert drawn is not None
    assert told(drawn) == [
        "resnet18, deba: 2.00x against the tuned reference; not confirmed",
        "resnet18, deba: 2.00x against the untuned default; not confirmed",
    ]
    assert {mark.get_markerfacecolor() for mark, _ in drawn.tips} == {"none"}  # type: ignore[attr-defined]
    assert texts(drawn.figure) == ["no gain in search"]
    assert draw_gains([], search_rows([constant], trials[:1]), style=PAGE) is None


def test_reached_draws_the_share_of_seeds_over_time_for_each_control() -> None:
    candidate = Reached(role="candidate", target=0.1, seconds=[4.0, math.inf], ended=[5.0, 5.0], seeds=[7, 8])
    control = replace(candidate, role="reference", seconds=[6.0, 3.0], ended=[6.0, 6.0])
    drawn = draw_reached([candidate, control], clock="measured", style=PAGE)
    assert drawn is not None
    assert told(drawn) == [
        "reference, seed 8: 3 s",
        "reference, seed 7: 6 s",
        "candidate, seed 7: 4 s",
    ]
    marks = [list(zip(across(mark), map(float, mark.get_ydata()), strict=True)) for mark, _ in drawn.tips]  # type: ignore[attr-defined,arg-type]
    assert marks == [[(3.0, 50.0), (6.0, 100.0)], [(4.0, 50.0)]]
    assert "1 of 2 seeds got there" in drawn.note
    assert draw_reached([candidate], clock="measured", style=PAGE) is None
    untimed = replace(control, ended=[math.inf, math.inf])
    assert draw_reached([candidate, untimed], clock="modelled", style=PAGE) is None
