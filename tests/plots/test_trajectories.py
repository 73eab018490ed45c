"""What the figures of runs show."""

from dataclasses import replace

import pytest

from adasearch.analysis.trajectory import changes
from adasearch.plots import batch_sizes
from adasearch.plots.trajectories import DrawnRun, draw_trajectories
from adasearch.records import IntervalRecord, TrialRecord
from tests.plots.figures import PAGE, across, deba_run, lines, points, size_of_png, texts, told, up
from tests.rows import interval_at


@pytest.fixture
def run() -> tuple[TrialRecord, list[IntervalRecord]]:
    return deba_run()


def test_the_run_of_these_tests_grows_twice_and_shrinks_once(
    run: tuple[TrialRecord, list[IntervalRecord]],
) -> None:
    made = changes(run[1])
    assert made["action"].tolist() == ["grow", "grow", "shrink"]
    assert made["interval"].tolist() == [2, 4, 7]
    assert made["from"].tolist() == [32, 48, 72]
    assert made["to"].tolist() == [48, 72, 57]
    assert len(made) == run[0].adaptations


def test_changes_gives_each_decision_its_reason(run: tuple[TrialRecord, list[IntervalRecord]]) -> None:
    made = changes(run[1])
    assert list(made.columns) == ["interval", "examples_seen", "from", "to", "action", "reason"]
    for row in made.to_dict("records"):
        assert run[1][row["interval"]].decision.reason == row["reason"]
        assert run[1][row["interval"]].signals.examples_seen == row["examples_seen"]


def test_batch_sizes_steps_at_each_change(run: tuple[TrialRecord, list[IntervalRecord]]) -> None:
    figure = batch_sizes(*run)
    sizes = [record.signals.batch_size for record in run[1]]
    assert points(figure, "batch size") == list(
        zip([0, *(1000 * end for end in range(1, 11))], [*sizes, sizes[-1]], strict=True)
    )
    (step,) = lines(figure, "batch size")
    assert step.get_drawstyle() == "steps-post"
    assert size_of_png(figure) > 0


def test_batch_sizes_numbers_each_change_and_lists_its_reason(
    run: tuple[TrialRecord, list[IntervalRecord]],
) -> None:
    figure = batch_sizes(*run)
    assert points(figure, "grow") == [(3000, 48), (5000, 72)]
    assert points(figure, "shrink") == [(8000, 57)]
    assert texts(figure) == ["1", "2", "3"]
    listed = figure.get_supxlabel().splitlines()
    assert len(listed) == run[0].adaptations
    for line, row in zip(listed, changes(run[1]).to_dict("records"), strict=True):
        assert line.endswith(f"{row['from']} → {row['to']}:  {row['reason']}")


def test_batch_sizes_says_that_nothing_changed(run: tuple[TrialRecord, list[IntervalRecord]]) -> None:
    figure = batch_sizes(run[0], run[1][:2])
    assert "never changed" in figure.get_supxlabel()
    assert points(figure, "grow") == points(figure, "shrink") == []


def test_batch_sizes_lists_the_first_reasons_of_many(run: tuple[TrialRecord, list[IntervalRecord]]) -> None:
    many = [interval_at(index, action="grow", batch_size=32 + index) for index in range(15)]
    figure = batch_sizes(run[0], many)
    assert figure.get_supxlabel().splitlines()[-1] == "and 3 more"
    assert len(points(figure, "grow")) == 15
    assert size_of_png(figure) > 0


def drawn_run(trial: TrialRecord, intervals: list[IntervalRecord], **changes: object) -> DrawnRun:
    ends = [1.5 * (index + 1) for index in range(len(intervals))]
    run = DrawnRun(label="deba", role="scheduler", series=1, trial=trial, intervals=intervals, seconds=ends)
    return replace(run, **changes)  # type: ignore[arg-type]


def test_trajectories_over_examples_tell_each_change_and_list_them_in_their_order(
    run: tuple[TrialRecord, list[IntervalRecord]],
) -> None:
    still = drawn_run(
        run[0], [interval_at(0), interval_at(1)], label="reference", role="reference", series=None
    )
    drawn = draw_trajectories([still, drawn_run(*run)], clock=None, style=PAGE)
    batches, rates, errors = drawn.figure.axes
    assert points(drawn.figure, "grow") == [(3000, 48), (5000, 72)]
    assert points(drawn.figure, "shrink") == [(8000, 57)]
    expected = [
        f"deba, after 3,000 examples: grow 32 → 48: {run[1][2].decision.reason}",
        f"deba, after 5,000 examples: grow 48 → 72: {run[1][4].decision.reason}",
        f"deba, after 8,000 examples: shrink 72 → 57: {run[1][7].decision.reason}",
    ]
    assert list(drawn.listed) == list(told(drawn)) == expected
    assert texts(drawn.figure) == []
    assert {line.get_color() for line in rates.get_lines()} == {PAGE.grey, PAGE.series[1]}
    assert up(errors.get_lines()[1]) == [50.0] * 10
    assert across(errors.get_lines()[1]) == [1000.0 * end for end in range(1, 11)]
    assert batches.get_lines()[0].get_linestyle() == "-"


def test_trajectories_over_time_end_with_their_intervals(
    run: tuple[TrialRecord, list[IntervalRecord]],
) -> None:
    drawn = draw_trajectories([drawn_run(*run, role="default", series=None)], clock="measured", style=PAGE)
    assert [x for x, _ in points(drawn.figure, "batch size")] == [1.5 * end for end in range(11)]
    assert drawn.figure.axes[0].get_lines()[0].get_linestyle() == "--"
    assert drawn.figure.axes[-1].get_xlabel() == "training time (s, measured clock)"
    assert not drawn.listed
