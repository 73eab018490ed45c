"""What is shown while data are read."""

import io

import pytest
from rich.console import Console

from adasearch.io.progress import Goal, SearchDisplay, StepDisplay


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
