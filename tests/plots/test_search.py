"""What the figures show: the data behind every line and mark, and that they can be drawn."""

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from adasearch.analysis.search_table import complete_trials, describe, search_rows
from adasearch.analysis.selection import comparable
from adasearch.analysis.trajectory import changes, deba_trace
from adasearch.plots import batch_sizes, deba_signals, pareto
from adasearch.records import (
    Action,
    Decision,
    IntervalRecord,
    Limits,
    Params,
    Signals,
    Status,
    StudyRecord,
    TrialRecord,
)
from adasearch.schedulers.deba import Deba
from adasearch.store.trials import close_trial

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
LIMITS = Limits(smallest=16, largest=128)
DEBA = Deba(confidence_threshold=1.0, stability_threshold=0.1, window=5, cooldown=2)


def study(scheduler: str, architecture: str = "resnet18") -> StudyRecord:
    return StudyRecord(
        study=f"{architecture}-{scheduler}",
        architecture=architecture,
        scale="nano",
        scheduler=scheduler,
        dataset="digits",
        fingerprint="f",
        subset=None,
        seed=0,
        train_examples=1000,
        val_examples=400,
        budget=10_000,
        interval=1000,
        evaluate_every=1000,
        workers=1,
        objectives="val_error,train_seconds",
        clock="measured",
        device="cpu",
        device_profile=None,
        precision="float32",
        sampler="tpe",
        stopper="halving",
        smallest=16,
        largest=128,
        multiple_of=1,
        train_space="{}",
        scheduler_space="{}",
        created_at=NOW,
    )


def trial(
    of: StudyRecord,
    number: int = 0,
    val_error: float | None = None,
    seconds: float | None = None,
    status: Status = "complete",
    params: Params | None = None,
) -> TrialRecord:
    return TrialRecord(
        trial_id=f"{of.study}-search-{number}",
        number=number,
        study=of.study,
        phase="search",
        role="search",
        architecture=of.architecture,
        scale=of.scale,
        scheduler=of.scheduler,
        dataset=of.dataset,
        seed=0,
        params=params or {},
        status=status,
        val_error=val_error,
        train_seconds=seconds,
        adaptations=0 if of.scheduler == "constant" else 2,
        workers=1,
        device="cpu",
        started_at=NOW,
    )


def deba_run(losses: Sequence[float], norms: Sequence[float]) -> tuple[TrialRecord, list[IntervalRecord]]:
    """Return a trial as DEBA would have steered it on these signals, one interval per loss."""
    history: list[Signals] = []
    intervals: list[IntervalRecord] = []
    size = 32
    for index, (loss, norm) in enumerate(zip(losses, norms, strict=True)):
        last = Signals(
            interval=index,
            epoch=float(index + 1),
            step=10 * (index + 1),
            examples_seen=1000 * (index + 1),
            initial_batch_size=32,
            batch_size=size,
            lr=0.1,
            lr_scale=1.0,
            train_loss=loss,
            grad_norm=norm,
            grad_component_variance=norm**2,
        )
        history.append(last)
        decision = DEBA.decide(history, LIMITS)
        if index == len(losses) - 1:
            decision = Decision(batch_size=size, lr_scale=1.0, action="hold", reason="end of the budget")
        intervals.append(interval(last, decision))
        size = decision.batch_size
    params = {
        "scheduler/confidence_threshold": DEBA.confidence_threshold,
        "scheduler/stability_threshold": DEBA.stability_threshold,
        "scheduler/window": DEBA.window,
        "scheduler/cooldown": DEBA.cooldown,
    }
    begun = trial(study("deba"), params=params)
    return close_trial(begun, intervals, status="complete", ended_at=NOW), intervals


def interval(signals: Signals, decision: Decision) -> IntervalRecord:
    return IntervalRecord(
        signals=signals,
        decision=decision,
        device_batch=128,
        passes=1,
        val_error=0.5,
        train_seconds=1.0,
        measure_seconds=0.1,
        resize_seconds=0.0,
        eval_seconds=0.1,
    )


# Grows after intervals 2 and 4; then loss and gradient jump, and it shrinks after interval 7.
LOSSES = (2.0, 1.98, 1.96, 1.94, 1.92, 1.5, 1.4, 2.4, 2.4, 2.4)
NORMS = (1.0, 0.99, 0.98, 0.97, 0.96, 1.0, 1.1, 1.3, 1.3, 1.3)


@pytest.fixture
def run() -> tuple[TrialRecord, list[IntervalRecord]]:
    return deba_run(LOSSES, NORMS)


def lines(figure: Figure, gid: str) -> list[Line2D]:
    return [line for axes in figure.axes for line in axes.lines if line.get_gid() == gid]


def across(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_xdata(), dtype=float)]


def up(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_ydata(), dtype=float)]


def points(figure: Figure, gid: str) -> list[tuple[float, float]]:
    """Return the data of all lines of that name."""
    return [point for line in lines(figure, gid) for point in zip(across(line), up(line), strict=True)]


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def size_of_png(figure: Figure) -> int:
    """Draw the figure for real; a warning would be an error."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return len(stream.getvalue())


# --- pareto ----------------------------------------------------------------------------------------


CONSTANT, ADAPTIVE = study("constant"), study("deba")
TRIALS = [
    trial(CONSTANT, 0, 0.10, 10.0),
    trial(CONSTANT, 1, 0.20, 5.0),
    trial(CONSTANT, 2, 0.30, 7.0),
    trial(CONSTANT, 3, 0.01, 1.0, status="pruned"),
    trial(ADAPTIVE, 0, 0.11, 6.0),
    trial(ADAPTIVE, 1, 0.50, 2.0),
    trial(ADAPTIVE, 2, None, None, status="failed"),
]


def test_pareto_draws_the_complete_trials_in_percent_and_seconds() -> None:
    figure = pareto([CONSTANT, ADAPTIVE], TRIALS)
    assert points(figure, "constant trials") == [(10, 10), (5, 20), (7, 30)]
    assert points(figure, "deba trials") == [(6, 11), (2, 50)]
    assert size_of_png(figure) > 0


def test_pareto_draws_each_schedulers_front_as_steps_by_seconds() -> None:
    figure = pareto([CONSTANT, ADAPTIVE], TRIALS)
    assert points(figure, "constant front") == [(5, 20), (10, 10)]
    assert points(figure, "deba front") == [(2, 50), (6, 11)]
    assert {line.get_drawstyle() for line in lines(figure, "deba front")} == {"steps-post"}


def test_pareto_marks_the_reference_the_candidate_and_the_error_bound() -> None:
    figure = pareto([CONSTANT, ADAPTIVE], TRIALS)
    assert points(figure, "constant row") == [(10, 10)]
    assert points(figure, "deba row") == [(6, 11)]
    assert {"constant: reference", "deba: candidate"} <= set(texts(figure))
    (bound,) = lines(figure, "E")
    assert up(bound) == [pytest.approx(11.5)] * 2  # 10 % + sqrt(0.1 * 0.9 / 400)


def test_pareto_says_where_nothing_is_gained() -> None:
    figure = pareto([CONSTANT, ADAPTIVE], [*TRIALS[:4], trial(ADAPTIVE, 0, 0.3, 6.0)])
    assert "deba: no gain" in texts(figure)
    assert points(figure, "deba row") == [(6, 30)]


def test_pareto_gives_each_scheduler_a_colour_and_a_shape_of_its_own() -> None:
    other = study("adabatch")
    figure = pareto([CONSTANT, ADAPTIVE, other], [*TRIALS, trial(other, 0, 0.1, 8.0)])
    looks = [lines(figure, f"{name} trials")[0] for name in ("constant", "deba", "adabatch")]
    assert len({line.get_color() for line in looks}) == 3
    assert len({line.get_marker() for line in looks}) == 3


@pytest.mark.parametrize(
    "some",
    [[], TRIALS[4:], TRIALS[:4], [trial(CONSTANT, 0, 0.0, 3.0)]],
    ids=["none", "adaptive", "constant", "zero"],
)
def test_pareto_draws_what_there_is(some: list[TrialRecord]) -> None:
    assert size_of_png(pareto([CONSTANT, ADAPTIVE], some)) > 0


# --- one trial -------------------------------------------------------------------------------------


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
    signals = run[1][0].signals
    many = [
        interval(
            replace(signals, interval=index, examples_seen=1000 * (index + 1), batch_size=32 + index),
            Decision(batch_size=33 + index, lr_scale=1.0, action="grow", reason="because"),
        )
        for index in range(15)
    ]
    figure = batch_sizes(run[0], many)
    assert figure.get_supxlabel().splitlines()[-1] == "and 3 more"
    assert len(points(figure, "grow")) == 15
    assert size_of_png(figure) > 0


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


def test_deba_signals_marks_each_change_in_each_panel(run: tuple[TrialRecord, list[IntervalRecord]]) -> None:
    figure = deba_signals(*run)
    for axes in figure.axes:
        assert places(axes, "grow") == [3000, 5000]
        assert places(axes, "shrink") == [8000]
    assert [text for text in texts(figure) if text.isdigit()] == ["1", "2", "3"]


def places(axes: Axes, action: Action) -> list[float]:
    return [across(line)[0] for line in axes.lines if line.get_gid() == action]


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


# --- what goes with the figures --------------------------------------------------------------------


def test_studies_of_different_networks_are_not_comparable() -> None:
    other = study("deba", "vit_b_16")
    assert comparable([CONSTANT, other, ADAPTIVE]) == [[CONSTANT, ADAPTIVE], [other]]


def test_complete_trials_use_the_clock_of_their_study() -> None:
    modelled = [replace(one, clock="modelled") for one in (CONSTANT, ADAPTIVE)]
    frame = complete_trials(modelled, [replace(TRIALS[0], modelled_seconds=3.5)])
    assert frame["seconds"].tolist() == [3.5]


@pytest.mark.parametrize(
    ("some", "expected"),
    [
        (
            TRIALS,
            "resnet18, deba: 11.0 % validation error in 6.0 s, 1.67 times as fast as the reference (not",
        ),
        (
            [*TRIALS[:4], trial(ADAPTIVE, 0, 0.3, 6.0)],
            "resnet18, deba: no gain; the lowest error of 1 complete",
        ),
        (TRIALS[:4], "resnet18, deba: none of 0 trials is complete."),
        (TRIALS[4:], "resnet18, deba: 11.0 % validation error in 6.0 s (no reference"),
    ],
)
def test_describe_says_what_the_row_says(some: list[TrialRecord], expected: str) -> None:
    assert describe(search_rows([CONSTANT, ADAPTIVE], some)[1]).startswith(expected)
