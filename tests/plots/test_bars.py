"""What the figures of bars show."""

from adasearch.plots.bars import draw_states, draw_time_spent
from tests.plots.figures import PAGE, told
from tests.rows import at_marks


def test_bars_of_time_split_the_measured_seconds() -> None:
    drawn = draw_time_spent({"reference": at_marks((0.5, 3.0), (0.1, 5.0))}, style=PAGE)
    assert told(drawn) == [
        "reference, compute: 7.25 s (80.6%)",
        "reference, measuring signals: 0.5 s (5.6%)",
        "reference, deciding, resizing: 0.25 s (2.8%)",
        "reference, evaluation: 1 s (11.1%)",
    ]
    bars = [bar for bar, _ in drawn.tips]
    assert [bar.get_x() for bar in bars] == [0.0, 7.25, 7.75, 8.0]  # type: ignore[attr-defined]


def test_states_are_counted_by_study_and_those_of_no_trial_are_left_out() -> None:
    drawn = draw_states({"first": {"complete": 3, "failed": 1}, "second": {"running": 2}}, style=PAGE)
    assert told(drawn) == [
        "first: 3 of 4 complete",
        "second: 0 of 2 complete",
        "first: 1 of 4 failed",
        "second: 0 of 2 failed",
        "first: 0 of 4 unfinished",
        "second: 2 of 2 unfinished",
    ]
