"""What the figures of profiles and of what was confirmed show."""

import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from adasearch.analysis.confirmed_runs import confirmed_rows
from adasearch.analysis.prediction import Gain, Traits
from adasearch.plots.confirmed import against_controls
from adasearch.plots.profiles import modelled_against_measured, score_against_gain, throughput
from adasearch.records import TrialRecord
from tests.profile_rows import speed_of
from tests.rows import study_of, trial_of


def drawn(figure: Figure, gid: str) -> list[tuple[list[float], list[float]]]:
    """The points of every line of this name."""
    lines = [line for axes in figure.axes for line in axes.get_lines() if line.get_gid() == gid]
    return [(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in lines]


def test_throughput_is_relative_to_the_smallest_size() -> None:
    profile = speed_of(study_of("deba"))
    small, large = profile.points
    faster = replace(profile, points=(small, replace(large, step_seconds=small.step_seconds * 2)))
    (line,) = drawn(throughput([faster]), "resnet18")
    assert line == ([16.0, 64.0], [1.0, 2.0])  # four times the examples in twice the time


def test_score_against_gain_leaves_out_what_has_no_score_and_hollows_what_is_worse() -> None:
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
    assert drawn(figure, "a") == [([0.5], [1.2])]
    assert drawn(figure, "c") == []
    faces = {line.get_gid(): line.get_markerfacecolor() for line in figure.axes[0].get_lines()}
    assert faces["a"] != "none"
    assert faces["b"] == "none"


def test_modelled_against_measured_draws_trials_with_both() -> None:
    study = study_of("deba")
    trials = [
        replace(trial_of(study, 0, seconds=10.0), modelled_seconds=9.0),
        trial_of(study, 1, seconds=5.0),
    ]
    assert drawn(modelled_against_measured(trials), "resnet18") == [([10.0], [9.0])]


@pytest.mark.parametrize("figure", [throughput([]), score_against_gain([]), modelled_against_measured([])])
def test_nothing_to_draw_is_no_error(figure: Figure) -> None:
    figure.canvas.draw()


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
        *(confirming("reference", 5 + n, 0.17 + n / 500, 10.0) for n in range(5)),
    ]
    rows = confirmed_rows([constant, deba], trials, {})
    figure = against_controls(rows)
    (speed, worse) = drawn(figure, f"{deba.study} reference")
    assert 1.9 < speed[0][0] < 2.0
    assert worse[0][0] == pytest.approx(2.8)  # points: 3 less 0.1 per seed on average
    bars = [np.asarray(line.get_xdata()) for line in figure.axes[0].get_lines() if not line.get_gid()]
    assert any(len(bar) == 2 and bar[0] < speed[0][0] < bar[1] for bar in bars)
    assert math.isfinite(figure.axes[1].get_xlim()[0])
    assert against_controls([]).axes
