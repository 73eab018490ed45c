"""A training function of the user's own as a trial: its intervals, its end, and where it goes on."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adasearch.callbacks import Say, say_nothing
from adasearch.data.spec import DataSpec
from adasearch.errors import InputError
from adasearch.functions.train_function import train_function
from adasearch.records import IntervalRecord, Limits
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.task import FunctionTask, Outcome, TrialTask
from tests import own_loops

PLACE = "tests.own_loops:"
BUDGET = 500  # two passes and a half of 200 examples


def task_of(
    name: str, folder: Path, *, scheduler: str = "deba", config: dict[str, Any] | None = None, **told: Any
) -> TrialTask:
    (folder / "study").mkdir(exist_ok=True)
    settings: dict[str, Any] = {
        "budget": BUDGET,
        "interval": 100,
        "evaluate_every": 200,
        "evaluate_at": (250,),
    }
    return TrialTask(
        trial_id=f"{name}-search-0",
        config=TrainConfig(
            architecture=f"{PLACE}{name}",
            scale="nano",
            seed=3,
            hyperparameters=Hyperparameters(batch_size=16, lr=1e-2),
            **{**settings, **(config or {})},
        ),
        scheduler=scheduler,
        scheduler_fields={"window": 3} if scheduler == "deba" else {},
        limits=Limits(smallest=16, largest=64),
        data=DataSpec(source="own"),
        checkpoints=str(folder / "study" / "checkpoints" / name),
        checkpoint_every=1,
        function=FunctionTask(
            **{
                "params": {"batch_size": 16, "lr": 1e-2, "dropout": 0.1},
                "epochs": BUDGET / own_loops.EXAMPLES,
                "examples": own_loops.EXAMPLES,
                "objective": "loss",
                **told,
            }
        ),
    )


def run(
    task: TrialTask, stop_after: int | None = None, say: Say = say_nothing
) -> tuple[list[IntervalRecord], Outcome | None]:
    records: list[IntervalRecord] = []

    def on_interval(record: IntervalRecord) -> bool:
        records.append(record)
        return record.signals.interval + 1 != stop_after

    outcome = train_function(task, torch.device("cpu"), on_interval, say=say)
    return records, outcome


def essence(records: list[IntervalRecord]) -> list[object]:
    return [
        (each.signals, each.decision, each.val_error, each.metrics, each.passes, each.decided)
        for each in records
    ]


def test_intervals_reach_the_search_as_those_of_built_in_training(tmp_path: Path) -> None:
    records, outcome = run(task_of("plain", tmp_path))
    assert outcome is not None
    assert outcome.status == "complete"
    assert [each.signals.interval for each in records] == list(range(len(records)))
    seen = [each.signals.examples_seen for each in records]
    assert seen[-1] >= BUDGET > seen[-2]
    for record, mark in zip(records, range(100, BUDGET + 1, 100), strict=True):
        assert mark <= record.signals.examples_seen < mark + record.signals.batch_size
    assert [each.decided for each in records] == [True] * (len(records) - 1) + [False]
    assert records[-1].decision.reason == "end of the budget"
    # The cadence of 200, the rung at 250, the end.
    assert [each.val_error is not None for each in records] == [False, True, True, True, True]
    assert all(set(each.metrics) == {"error"} for each in records if each.val_error is not None)
    assert all(each.signals.val_loss == each.val_error for each in records)
    assert all(each.train_seconds > each.measure_seconds > 0 for each in records)
    assert all((each.eval_seconds > 0) == (each.val_error is not None) for each in records)


def test_loss_that_schedulers_see_is_the_loss_whatever_is_minimised(tmp_path: Path) -> None:
    records, _ = run(task_of("plain", tmp_path, objective="error"))
    last = records[-1]
    assert last.val_error != last.signals.val_loss
    assert last.metrics["loss"] == last.signals.val_loss
    assert last.val_error in {number / 100 for number in range(101)}


def test_loop_over_epochs_that_is_left_early_trains_the_same_number_of_examples(tmp_path: Path) -> None:
    records, outcome = run(task_of("epochs", tmp_path))
    assert outcome is not None
    assert outcome.status == "complete"
    assert BUDGET <= records[-1].signals.examples_seen < BUDGET + 64


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4])
@pytest.mark.parametrize("scheduler", ["deba", "noise_scale", "constant"])
def test_trial_that_was_cut_goes_on_bit_for_bit(tmp_path: Path, stop_after: int, scheduler: str) -> None:
    whole, _ = run(replace(task_of("resumes", tmp_path, scheduler=scheduler), checkpoint_every=0))
    task = task_of("resumes", tmp_path, scheduler=scheduler)
    first, outcome = run(task, stop_after)
    assert outcome is None
    rest, outcome = run(replace(task, stored=stop_after))
    assert outcome is not None
    assert outcome.status == "complete"
    assert len(rest) < len(whole)
    assert essence(first) + essence(rest) == essence(whole)


def test_checkpoint_of_other_code_is_passed_over(tmp_path: Path) -> None:
    task = task_of("resumes", tmp_path)
    run(task, 2)
    files = Path(task.checkpoints)
    assert sorted(each.name for each in files.iterdir()) == ["00000001.pt", "00000002.pt"]
    others = replace(task, scheduler_fields={"window": 4}, stored=2)
    said: list[str] = []
    records, _ = run(others, say=said.append)
    assert records[0].signals.interval == 0
    assert all("is of another run: window 3, not 4" in each for each in said)
    assert len(said) == 2


def test_test_split_is_evaluated_where_it_is_asked_for(tmp_path: Path) -> None:
    records, _ = run(task_of("with_test", tmp_path, config={"test": True}))
    assert [each.test_error for each in records] == [None] * (len(records) - 1) + [0.25]
    assert records[-1].val_error == 0.5
    own, _ = run(task_of("plain", tmp_path, config={"test": True}))
    assert own[-1].test_error == own[-1].val_error  # it has no test of its own


@pytest.mark.parametrize("stop_after", [None, 2])
def test_function_that_asks_for_its_batches_itself_ends_as_a_loop_over_them(
    tmp_path: Path, stop_after: int | None
) -> None:
    looped, said = run(task_of("plain", tmp_path), stop_after)
    asked, outcome = run(task_of("one_by_one", tmp_path), stop_after)
    assert getattr(outcome, "status", None) == getattr(said, "status", None)
    assert essence(asked) == essence(looped)


def test_evaluation_that_leaves_gradients_off_is_put_right(tmp_path: Path) -> None:
    _, outcome = run(task_of("leaves_gradients_off", tmp_path))
    assert outcome is not None
    assert outcome.status == "complete"
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "epochs_around",
            "trial.batches(loader) goes over all epochs, so a loop over epochs around it runs once",
        ),
        ("drops_updates", "controller.update() was not called for 8 of 10 batches that were complete"),
        ("epochs", None),
        ("plain", None),
    ],
)
@pytest.mark.filterwarnings("default::adasearch.errors.LoopWarning")
def test_what_a_function_does_beside_its_controller_is_told(
    tmp_path: Path, name: str, says: str | None, recwarn: pytest.WarningsRecorder
) -> None:
    said: list[str] = []
    _, outcome = run(task_of(name, tmp_path), say=said.append)
    assert outcome is not None
    assert outcome.status == "complete"
    assert len(said) == (says is not None)
    assert all(each.startswith(says or "") for each in said)
    assert not recwarn.list


@pytest.mark.filterwarnings("default::adasearch.errors.LoopWarning")
def test_each_trial_of_a_process_is_told_what_its_function_does(tmp_path: Path) -> None:
    told = []
    for number in range(2):
        said: list[str] = []
        folder = tmp_path / str(number)
        folder.mkdir()
        run(task_of("drops_updates", folder), say=said.append)
        told.append(said)
    assert told[0] == told[1] != []


def test_search_stops_a_trial_within_an_interval(tmp_path: Path) -> None:
    asked = iter([False] * 5 + [True] * 100)
    outcome = train_function(
        task_of("plain", tmp_path), torch.device("cpu"), lambda record: True, halted=lambda: next(asked)
    )
    assert outcome is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("never_reports", "returned without trial.controller(): nothing was trained"),
        ("no_loop", "trained nothing: iterate over trial.batches(loader)"),
        ("returns_early", "returned after 80 of 500 examples: iterate over trial.batches(loader) until"),
        ("own_passes", "iterate over trial.batches(loader): there the search hears of intervals"),
        ("no_batch", "no batch was begun"),
        (
            "no_state",
            "trial.checkpoint(model=...) takes what has state_dict and load_state_dict, but got int",
        ),
        ("late_checkpoint", "within the loop"),
        ("two_controllers", "trial.controller() was called before"),
        ("percent", "evaluate returns error, and not the objective 'loss'"),
        ("grows", "have 203 examples, but the study was made with 200"),
        ("exits", "called sys.exit(3)"),
        ("raises", "no luck"),
        ("updates_itself", "the loop makes no update: call controller.step(loss)"),
        ("leaves_out_what_is_not_finite", "none of the last 50 batches was used whole"),
        ("leaves_out_parts", "none of the last 50 batches was used whole"),
        ("overflows", "gradients overflow (is the loss finite?)"),
        ("enumerates", "an iterator (enumerate) ends with the first: give it the loader"),
        ("gone_over_once", "the loader does not draw from controller.sampler: an iterator is gone over once"),
        ("missing", "training function 'tests.own_loops:missing' cannot be imported"),
        ("NUMBER", "must be a function of a trial but is int"),
    ],
)
@pytest.mark.filterwarnings("default::adasearch.errors.LoopWarning")
def test_what_a_function_does_wrong_is_said_in_one_line(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises((InputError, RuntimeError, ZeroDivisionError)) as caught:
        run(task_of(name, tmp_path))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fraction_beyond_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"error must be a fraction in 0 to 1, as its name says, but is 12\.5"
    ):
        run(task_of("percent", tmp_path, objective="error"))


def test_objective_that_is_not_finite_fails_the_trial_as_diverged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_loops.Parts, "evaluate", lambda self: {"loss": float("nan")})
    records, outcome = run(task_of("plain", tmp_path))
    assert outcome is not None
    assert (outcome.status, outcome.cause) == ("failed", "diverged")
    assert outcome.error is not None
    assert outcome.error.startswith("val_loss is nan in interval 1")
    assert records[-1].decision.reason == "val_loss is nan"
    assert len(records) == 2


@pytest.mark.parametrize("name", ["sleeps", "swallows"])
def test_function_of_which_nothing_is_heard_ends_as_failed_and_says_where_it_was(
    tmp_path: Path, name: str
) -> None:
    found: list[Outcome] = []

    def stuck(outcome: Outcome) -> None:  # a worker would end here
        found.append(outcome)
        import signal
        import threading

        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    begun = time.monotonic()
    task = task_of(name, tmp_path, silence_seconds=0.5)
    outcome = train_function(task, torch.device("cpu"), lambda record: True, stuck=stuck)
    assert time.monotonic() - begun < 30
    assert outcome == found[0]
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error.startswith("nothing was heard of the training function for 0.00833333 minutes")
    assert outcome.traceback is not None
    assert f"in {name}" in outcome.traceback
