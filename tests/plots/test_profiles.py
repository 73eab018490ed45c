"""What the figures of profiles show."""

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from adasearch.analysis.prediction import Gain, Traits
from adasearch.plots.profiles import (
    critical_batch,
    draw_critical,
    modelled_against_measured,
    score_against_gain,
    throughput,
)
from adasearch.profiles.profile import Statistic
from tests.plots.figures import PAGE, points, told
from tests.profile_rows import speed_of, stability_of
from tests.profiles.test_critical import excess, profile_of
from tests.rows import STUDY, study_of, trial_of


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


def test_critical_batch_stands_over_the_run_beside_the_noise_scale_in_tokens_of_text() -> None:
    profile = profile_of(
        excess(1000, 32, 0.0), excess(1000, 64, 1.0), excess(4000, 32, 0.0), excess(4000, 64, 0.0)
    )
    noise = tuple(
        Statistic("noise_scale", epoch, scale, None, None) for epoch, scale in ((4.0, 40.0), (20.0, 90.0))
    )
    figure = critical_batch(profile, [replace(stability_of(STUDY), figures=noise)])
    assert points(figure, "critical batch") == [(1000, 32), (4000, 64)]
    assert points(figure, "noise scale") == [(1000, 40), (4000, 90)]
    text = replace(profile, setting=replace(profile.setting, sequence_length=8))
    tokens = draw_critical(text, [], style=PAGE)
    assert points(tokens.figure, "critical batch") == [(8000, 256), (32000, 512)]
    assert told(tokens)[1] == "512 tokens (512 to 512 or more) at 32,000 tokens seen"


@pytest.mark.parametrize(
    "figure",
    [throughput([]), score_against_gain([]), modelled_against_measured([]), critical_batch(profile_of())],
)
def test_nothing_to_draw_is_no_error(figure: Figure) -> None:
    figure.canvas.draw()
