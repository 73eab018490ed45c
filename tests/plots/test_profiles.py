"""What the figures of profiles show."""

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from adasearch.analysis.prediction import Gain, Traits
from adasearch.plots.profiles import modelled_against_measured, score_against_gain, throughput
from tests.plots.figures import points
from tests.profile_rows import speed_of
from tests.rows import study_of, trial_of


def test_throughput_is_relative_to_the_smallest_size() -> None:
    profile = speed_of(study_of("deba"))
    small, large = profile.points
    faster = replace(profile, points=(small, replace(large, step_seconds=small.step_seconds * 2)))
    gains = points(throughput([faster]), "resnet18")
    assert gains == [(16.0, 1.0), (64.0, 2.0)]  # four times the examples in twice the time


def test_score_against_gain_leaves_out_what_has_no_score_and_names_what_is_worse() -> None:
    def outcome(name: str, score: float | None, change: float) -> Gain:
        traits = Traits(
            architecture=name,
            scale="nano",
            dataset="digits",
            ceiling=1.5,
            stability_score=score,
            noise_scale=None,
        )
        return Gain(traits=traits, scheduler="deba", speedup=1.2, error_change=change, confirmed=False)

    figure = score_against_gain([outcome("a", 0.5, 0.0), outcome("b", 0.7, 0.02), outcome("c", None, 0.0)])
    assert points(figure, "a") == [(0.5, 1.2)]
    assert points(figure, "c") == []
    assert points(figure, "b") == []
    assert figure.axes[0].get_xlabel().endswith("at a higher error: b")


def test_modelled_against_measured_draws_trials_with_both() -> None:
    study = study_of("deba")
    trials = [
        replace(trial_of(study, 0, seconds=10.0), modelled_seconds=9.0),
        trial_of(study, 1, seconds=5.0),
    ]
    assert points(modelled_against_measured(trials), "resnet18") == [(10.0, 9.0)]


@pytest.mark.parametrize("figure", [throughput([]), score_against_gain([]), modelled_against_measured([])])
def test_nothing_to_draw_is_no_error(figure: Figure) -> None:
    figure.canvas.draw()
