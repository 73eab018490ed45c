"""What the figure of errors over serial steps shows."""

from dataclasses import replace

import pytest

from adasearch.errors import InputError
from adasearch.plots.steps import draw_steps
from adasearch.plots.style import NOTEBOOK
from adasearch.records import TrialRecord
from tests.plots.figures import PAGE, across, points, size_of_png, texts, told, up
from tests.rows import study_of, trial_of

CONSTANT, DEBA = study_of("constant"), study_of("deba")


def confirming(curve: str, size: int, errors: tuple[float, ...], steps: int) -> list[TrialRecord]:
    """Runs of one trial on fresh seeds, of DEBA where the size is 0."""
    study = CONSTANT if size else DEBA
    params: dict[str, int | str] = {"train/batch_size": size or 16, "train/lr_schedule": curve}
    return [
        replace(
            trial_of(study, number, val_error=0.9, seconds=1.0, phase="confirm", params=params),
            role="candidate",
            source_trial_id=f"{study.study}-search-{curve}{size}",
            seed=number,
            test_error=error,
            steps=steps,
        )
        for number, error in enumerate(errors)
    ]


TRIALS = [
    *confirming("cosine", 32, (0.30, 0.32), 100),
    *confirming("cosine", 16, (0.20, 0.22), 200),
    *confirming("cosine", 0, (0.24, 0.26), 150),
    *confirming("wsd", 16, (0.10, 0.12), 200),
]


def test_constant_sizes_are_a_line_in_the_order_of_their_steps_and_schedules_stand_beside_it() -> None:
    drawn = draw_steps([CONSTANT, DEBA], TRIALS, style=NOTEBOOK, by="train/lr_schedule")
    assert drawn is not None
    titles = [axes.get_title(loc="left") for axes in drawn.figure.axes]
    assert titles == ["resnet18, cosine", "resnet18, wsd"]
    cosine, wsd = drawn.figure.axes
    constant = [line for axes in (cosine, wsd) for line in axes.lines if line.get_gid() == "constant"]
    assert [across(line) for line in constant] == [[100, 200], [200]]
    assert [each for line in constant for each in up(line)] == pytest.approx([31, 21, 11])
    ((steps, error),) = points(drawn.figure, "deba")
    assert (steps, error) == pytest.approx((150, 25))
    assert texts(drawn.figure) == ["32", "16", "16"]
    assert "deba: 25 after 150 steps, 2 seeds" in told(drawn)
    assert size_of_png(drawn.figure) > 10_000


def test_without_a_parameter_a_network_has_one_panel() -> None:
    drawn = draw_steps([CONSTANT, DEBA], TRIALS, style=PAGE)
    assert drawn is not None
    assert [axes.get_title(loc="left") for axes in drawn.figure.axes] == ["resnet18"]
    assert texts(drawn.figure) == []


def test_only_complete_runs_on_fresh_seeds_are_drawn() -> None:
    searched = [replace(trial, phase="search") for trial in TRIALS]
    failed = [replace(trial, status="failed") for trial in TRIALS]
    assert draw_steps([CONSTANT, DEBA], [*searched, *failed], style=NOTEBOOK) is None


def test_a_control_with_settings_of_its_own_is_left_out() -> None:
    control = [replace(trial, role="decay") for trial in confirming("cosine", 64, (0.4, 0.5), 50)]
    drawn = draw_steps([CONSTANT, DEBA], [*TRIALS, *control], style=NOTEBOOK)
    assert drawn is not None
    assert not any("constant 64" in text for text in told(drawn))


def test_a_reference_that_ran_beside_several_candidates_counts_once() -> None:
    again = [replace(trial, role="reference", study=DEBA.study) for trial in TRIALS[:2]]
    bars = []
    for trials in (TRIALS, [*TRIALS, *again]):
        drawn = draw_steps([CONSTANT, DEBA], trials, style=NOTEBOOK)
        assert drawn is not None
        assert "constant 32: 31 after 100 steps, 2 seeds" in told(drawn)
        bars.append(points(drawn.figure, "constant 32 interval"))
    assert bars[0] == bars[1]


def test_the_line_joins_the_best_of_each_size_whatever_their_order() -> None:
    poorer = confirming("wsd", 32, (0.40, 0.42), 100)
    drawn = draw_steps([CONSTANT, DEBA], [*poorer, *TRIALS[2:4], *TRIALS[:2]], style=NOTEBOOK)
    assert drawn is not None
    (line,) = [line for line in drawn.figure.axes[0].lines if line.get_gid() == "constant"]
    assert across(line) == [100, 200]
    assert up(line) == pytest.approx([31, 21])


def test_studies_that_do_not_compare_have_panels_of_their_own() -> None:
    longer = replace(CONSTANT, study="longer", budget=2 * CONSTANT.budget)
    others = [replace(trial, study="longer", source_trial_id="longer-0") for trial in TRIALS[:2]]
    drawn = draw_steps([CONSTANT, DEBA, longer], [*TRIALS, *others], style=NOTEBOOK)
    assert drawn is not None
    assert len(drawn.figure.axes) == 2


def test_clocks_do_not_part_studies_where_no_time_is_drawn() -> None:
    modelled = replace(CONSTANT, study="modelled", clock="modelled", device_profile="amd-epyc-1-thread")
    others = [replace(trial, study="modelled", source_trial_id="modelled-0") for trial in TRIALS[:2]]
    drawn = draw_steps([CONSTANT, DEBA, modelled], [*TRIALS, *others], style=NOTEBOOK)
    assert drawn is not None
    assert len(drawn.figure.axes) == 1


def test_values_stand_in_their_order_and_an_unknown_parameter_is_refused() -> None:
    drawn = draw_steps([CONSTANT, DEBA], TRIALS, style=NOTEBOOK, by="train/batch_size")
    assert drawn is not None
    assert [axes.get_title(loc="left") for axes in drawn.figure.axes] == ["resnet18, 16", "resnet18, 32"]
    with pytest.raises(InputError, match="unknown parameter 'train/lr_shedule'; did you mean"):
        draw_steps([CONSTANT, DEBA], TRIALS, style=NOTEBOOK, by="train/lr_shedule")
