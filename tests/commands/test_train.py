"""``train`` as Python calls it: one run in this process, kept in the store, that goes on where it was cut."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from adasearch.commands import train
from adasearch.errors import InputError
from adasearch.records import Signals, TrialRecord
from adasearch.runtime import RunOptions
from adasearch.store import Store
from adasearch.studies.request import Request
from tests.trackers.shown import read_tensorboard

REQUEST = Request(
    architectures=("tests.own_nets:good",), subset=100, epochs=3, interval="0.5", smallest=16, largest=32
)
OPTIONS = RunOptions(checkpoint_every=1)


class Cut(io.StringIO):
    """A terminal at which somebody presses Ctrl-C after so many lines of intervals."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._left = lines

    def write(self, text: str) -> int:
        self._left -= text.startswith("epoch")
        if self._left < 0:
            raise KeyboardInterrupt
        return super().write(text)


@pytest.fixture
def results(tmp_path: Path) -> str:
    return str(tmp_path / "results")


def run(request: Request, results: str, out: io.StringIO | None = None) -> TrialRecord:
    console = Console(file=out or io.StringIO(), width=200)
    return train(request, results=results, console=console, options=OPTIONS)


def signals_of(results: str, trial: TrialRecord) -> list[Signals]:
    return [record.signals for record in Store(results).intervals("train")[trial.trial_id]]


def test_a_run_is_returned_as_it_is_kept(results: str) -> None:
    trial = run(REQUEST, results)
    assert Store(results).trials("train") == [trial]
    assert (trial.phase, trial.status, trial.scheduler, trial.number) == ("train", "complete", "constant", 0)
    assert len(signals_of(results, trial)) == 6
    study = Store(results).train_study(trial)
    assert study is not None
    assert (study.budget, study.interval, study.scheduler) == (300, 50, "constant")


def test_a_run_that_was_cut_goes_on_to_what_it_would_have_been(results: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(REQUEST, results, Cut(2))
    (cut,) = Store(results).trials("train")
    assert cut.status == "running"
    out = io.StringIO()
    trial = run(REQUEST, results, out)
    assert f"{cut.trial_id} goes on after 1.60 epochs" in out.getvalue()
    assert (trial.number, trial.status) == (0, "complete")
    whole = str(tmp_path / "whole")
    assert signals_of(results, trial) == signals_of(whole, run(REQUEST, whole))


@pytest.mark.parametrize("changed", [{"epochs": 2.0}, {"seed": 1}, {"fixed": ("train/lr=0.01",)}])
def test_another_run_does_not_go_on_with_one_that_was_cut(results: str, changed: dict[str, object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(REQUEST, results, Cut(2))
    assert run(replace(REQUEST, **changed), results).number == 1  # type: ignore[arg-type]
    assert run(REQUEST, results).number == 0


def test_a_request_without_a_network_is_refused_and_nothing_is_written(results: str) -> None:
    with pytest.raises(InputError, match="give --architecture NAME"):
        run(Request(), results)
    assert not Path(results).exists()


def test_a_run_that_goes_on_is_in_a_tracker_once(results: str) -> None:
    pytest.importorskip("tensorboardX", reason="it comes with ray[tune]")
    console = Console(file=Cut(3), width=200)
    with pytest.raises(KeyboardInterrupt):
        train(REQUEST, results=results, console=console, options=OPTIONS, log=["tensorboard"])
    console = Console(file=io.StringIO(), width=200)
    trial = train(REQUEST, results=results, console=console, options=OPTIONS, log=["tensorboard"])
    (run,) = read_tensorboard(Path(results) / "logs").values()
    seen = [signals.examples_seen for signals in signals_of(results, trial)]
    assert [step for step, _ in run.points["train/loss"]] == seen
    assert run.points["val/error"][-1][1] == pytest.approx(trial.val_error)
    assert run.status == "complete"
    assert run.params["trial/phase"] == "train"
