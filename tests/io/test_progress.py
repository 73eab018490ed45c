"""What is shown while data are read."""

import io

import pytest
from rich.console import Console

from adasearch.io.progress import ENDING, Goal, SearchDisplay, StepDisplay
from tests.rows import interval_at, study_of, trial_of


def test_steps_are_told_in_a_line_each_once_they_take_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("adasearch.io.progress.time.monotonic", lambda: now)
    out = io.StringIO()
    with StepDisplay(Console(file=out, width=200)) as show:
        for what, pace in (("listing", 0.1), ("decoding", 0.6), ("measuring", 2.0)):
            for done in range(1, 4):
                show(what, done, 3)
                now += pace
    assert out.getvalue().splitlines() == ["decoding: 3 of 3 so far", "measuring: 2 of 3 so far"][1:]


def test_a_step_that_takes_long_is_told_of_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("adasearch.io.progress.time.monotonic", lambda: now)
    out = io.StringIO()
    with StepDisplay(Console(file=out, width=200)) as show:
        for block in range(100):
            show("timed", block // 20, 5)
            now += 1.5
    said = [f"timed: {done} of 5 so far" for done in (0, 1, 2, 3, 4)]
    assert out.getvalue().splitlines() == said


def test_a_terminal_shows_a_bar_for_each_step() -> None:
    out = io.StringIO()
    with StepDisplay(Console(file=out, width=200, force_terminal=True)) as show:
        for what in ("listing", "decoding"):
            for done in range(4):
                show(what, done, 3)
    assert "listing" in out.getvalue()
    assert "decoding" in out.getvalue()


def test_a_terminal_shows_how_long_workers_have_been_starting() -> None:
    now = 100.0
    out = io.StringIO()
    goal = Goal(study="s", budget=100, trials=2, finished=0, best=None)
    with SearchDisplay(Console(file=out, width=200, force_terminal=True), [goal], lambda: now):
        now += 12
    assert "workers are starting, 12 s so far, usually 40 s or less" in out.getvalue()


def test_lines_tell_of_the_time_left_every_half_minute_and_of_a_long_search_less_often() -> None:
    now = 0.0
    out = io.StringIO()
    study, budget = study_of("constant"), 1000
    trial = trial_of(study, 0, status="running", val_error=None, seconds=None)
    goal = Goal(study=study.study, budget=budget, trials=1, finished=0, best=None)
    with SearchDisplay(Console(file=out, width=200), [goal], lambda: now) as display:
        display.started(trial)
        for k in range(100):
            now += 10.0
            display.progressed(trial, interval_at(k, seen=10 * (k + 1)))
        display.interrupted()
    first, second, *lines, last = out.getvalue().splitlines()
    assert (first, second) == ("workers are starting; 1 trials to run", "training")
    assert lines[0] == "about 12 min left"  # after 30 of 750 seconds; 4 of 100 parts are done
    assert len(lines) == 21  # each half minute of the first five, then by tenths of what was spent
    assert last == ENDING
