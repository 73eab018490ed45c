"""What would fail in the first steps of every trial of a function fails before there is one."""

import signal
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from adasearch.errors import InputError
from adasearch.functions.rehearsal import FunctionRehearsal, Learnt, rehearse_function

FINE = FunctionRehearsal(
    function="tests.own_loops:plain",
    params={"batch_size": 16, "lr": 1e-3},
    scheduler="deba",
    fields={},
    epochs=20.0,
)


def wish(name: str, scheduler: str = "deba", **others: Any) -> FunctionRehearsal:
    return replace(FINE, function=f"tests.own_loops:{name}", scheduler=scheduler, **others)


@pytest.mark.parametrize("scheduler", ["constant", "noise_scale", "plateau"])
def test_first_steps_tell_what_a_study_must_know_and_leave_no_trace(scheduler: str) -> None:
    before = torch.get_rng_state(), str(np.random.get_state())
    learnt = rehearse_function(wish("resumes", scheduler))
    assert learnt == Learnt(examples=200, figures=("loss", "error"), tests=False, resumes=True)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]


def test_one_figure_is_called_what_is_minimised() -> None:
    assert rehearse_function(wish("with_test")) == Learnt(
        examples=200, figures=("loss",), tests=True, resumes=False
    )
    assert rehearse_function(wish("one_figure", objective="perplexity")).figures == ("perplexity",)


def test_several_workers_are_several_processes_and_tell_the_same() -> None:
    assert rehearse_function(wish("resumes", "noise_scale", workers=2)) == Learnt(
        examples=200, figures=("loss", "error"), tests=False, resumes=True
    )


@pytest.mark.parametrize(
    ("rehearsal", "says"),
    [
        (wish("never_reports"), "returned without trial.controller()"),
        (wish("raises"), "ZeroDivisionError: no luck (own_loops.py, line"),
        (wish("exits"), "called sys.exit(3)"),
        (wish("bad_state"), "must be tensors, numbers, texts, and lists and dictionaries of them"),
        (wish("no_loop", workers=2), "among 2 workers: the training function trained nothing"),
        (wish("raises", workers=2), "among 2 workers: ZeroDivisionError: no luck (own_loops.py, line"),
        (wish("plain", objective="iou"), "evaluate returns loss, error, and not the objective 'iou'"),
        (wish("plain", "lr_tail"), "follows the plan of a run"),
        (wish("asleep", silence_seconds=0.5), "nothing was heard of it for"),
        (wish("missing"), "cannot be imported"),
        (wish("updates_itself"), "the loop makes no update: call controller.step(loss)"),
        (wish("enumerates"), "an iterator (enumerate) ends with the first"),
    ],
)
@pytest.mark.filterwarnings("default::adasearch.errors.LoopWarning")
def test_what_fails_is_said_in_one_line(rehearsal: FunctionRehearsal, says: str) -> None:
    with pytest.raises(InputError) as caught:
        rehearse_function(rehearsal)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"training function '{rehearsal.function}' with scheduler")
    assert "\n" not in str(caught.value)


def test_silence_is_noticed_where_interrupts_are_ignored() -> None:
    """As in what a shell's script starts with ``&``."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(InputError, match="nothing was heard of it for"):
            rehearse_function(wish("asleep", silence_seconds=0.5))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)
