"""What the figures of signals show: the data behind every line and mark."""

from dataclasses import replace

import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from adasearch.analysis.trajectory import deba_trace
from adasearch.plots import deba_signals
from adasearch.plots.signals import draw_deba, draw_signals
from adasearch.records import Action, IntervalRecord, TrialRecord
from tests.plots.figures import DEBA, PAGE, deba_run, lines, points, size_of_png, texts, told, up
from tests.rows import interval_at


@pytest.fixture
def run() -> tuple[TrialRecord, list[IntervalRecord]]:
    return deba_run()


@pytest.mark.parametrize(("place", "name"), [(0, "c"), (1, "dg"), (2, "dl")])
def test_deba_signals_draws_what_deba_compared(
    run: tuple[TrialRecord, list[IntervalRecord]], place: int, name: str
) -> None:
    figure = deba_signals(*run)
    history = [record.signals for record in run[1]]
    expected = [DEBA.indicators(history[:seen])[place] for seen in range(2, 11)]
    assert [x for x, _ in points(figure, name)] == [1000 * seen for seen in range(2, 11)]
    assert [y for _, y in points(figure, name)] == pytest.approx(expected)
    (threshold,) = lines(figure, f"{name} threshold")
    assert set(up(threshold)) == {DEBA.stability_threshold if place else DEBA.confidence_threshold}
    assert size_of_png(figure) > 0


def test_deba_signals_draws_a_trial_with_wrappers(run: tuple[TrialRecord, list[IntervalRecord]]) -> None:
    wrapped = replace(run[0], params={**run[0].params, "scheduler/wrappers.cooldown": 3})
    assert points(deba_signals(wrapped, run[1]), "dg") == points(deba_signals(*run), "dg")


def test_deba_signals_has_room_for_its_panels_where_nothing_was_compared(
    run: tuple[TrialRecord, list[IntervalRecord]],
) -> None:
    figure = deba_signals(run[0], run[1][:2])
    assert points(figure, "c compared") == []
    assert size_of_png(figure) > 0  # matplotlib warns where the layout leaves nothing of the axes


def test_deba_signals_marks_each_change_in_each_panel(run: tuple[TrialRecord, list[IntervalRecord]]) -> None:
    figure = deba_signals(*run)
    for axes in figure.axes:
        assert places(axes, "grow") == [3000, 5000]
        assert places(axes, "shrink") == [8000]
    assert [text for text in texts(figure) if text.isdigit()] == ["1", "2", "3"]


def places(axes: Axes, action: Action) -> list[float]:
    drawn = [
        each for each in axes.collections if isinstance(each, LineCollection) and each.get_gid() == action
    ]
    return [float(ends[0][0]) for each in drawn for ends in each.get_segments()]


def test_deba_signals_tells_comparisons_from_waiting(run: tuple[TrialRecord, list[IntervalRecord]]) -> None:
    figure = deba_signals(*run)
    compared = [x for x, _ in points(figure, "c compared")]
    assert compared == [
        record.signals.examples_seen for record in run[1] if record.decision.reason.startswith("c=")
    ]
    assert len(compared) + len(points(figure, "c waited")) == len(run[1]) - 1


def test_the_last_interval_of_a_stopped_trial_counts_as_compared(
    run: tuple[TrialRecord, list[IntervalRecord]],
) -> None:
    stopped = replace(run[0], status="pruned")
    assert deba_trace(stopped, run[1][:5])["decided"].tolist() == [False, True, False, True]
    assert deba_trace(run[0], run[1])["decided"].tolist()[-1] is False


def test_deba_on_a_page_tells_value_and_decision_at_each_point(
    run: tuple[TrialRecord, list[IntervalRecord]],
) -> None:
    drawn = draw_deba(*run, style=PAGE)
    value = DEBA.indicators([record.signals for record in run[1][:3]])[1]
    reason = run[1][2].decision.reason
    assert f"norm variation dG = {value:.3g}; grow 32 → 48: {reason}" in told(drawn)
    assert len(told(drawn)) == 3 * 9
    assert texts(drawn.figure) == []


def test_signals_of_other_schedulers_are_those_that_were_measured() -> None:
    rows = [interval_at(0), interval_at(1, action="grow"), interval_at(2)]
    noisy = [replace(r, signals=replace(r.signals, grad_noise=3.5)) for r in rows]
    assert told(draw_signals(noisy, style=PAGE))[1] == "grad_noise = 3.5; grow 32 → 48: because"
    assert told(draw_signals(rows, style=PAGE))[0].startswith("train_loss = 2;")


def test_signals_over_decades_have_ticks_that_a_person_can_read() -> None:
    rows = [
        replace(interval_at(i), signals=replace(interval_at(i).signals, grad_noise=scale, grad_sq_norm=small))
        for i, (scale, small) in enumerate([(30.0, 0.02), (2000.0, 0.3), (400_000.0, 0.5)])
    ]
    noise, square = draw_signals(rows, style=PAGE).figure.axes
    assert {"100", "1,000", "10k", "100k"} <= set(ticks(noise))  # over more than two decades
    assert {"0.03", "0.1", "0.3"} <= set(ticks(square))  # over little more than one
    assert not [text for text in [*ticks(noise), *ticks(square)] if "$" in text]


def ticks(axes: Axes) -> list[str]:
    axes.figure.canvas.draw()
    return [label.get_text() for label in axes.get_yticklabels()]
