"""Searches of training functions of the user's own through the real command line, on real workers."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adasearch import load_schedule
from adasearch.errors import InputError
from adasearch.functions.train_function import train_function
from adasearch.records import IntervalRecord
from adasearch.runs.live_trial import LiveTrial
from adasearch.runtime import RunOptions
from adasearch.store import Store
from adasearch.studies.settings import rungs_of
from tests import own_loops
from tests.commands.test_search import adasearch, run

pytestmark = pytest.mark.ray

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ROOT = Path(__file__).parents[2]
SEARCHED = [
    ("segmentation", "deba", "--epochs 3 --train-space segmentation.yaml", "loss", {"iou"}),
    ("gan", "noise_scale", "--epochs 2", "distance", set()),
    ("nano_gpt", "noise_scale", "--epochs 2 --set train/batch_size=32", "loss", set()),
]


def space(folder: Path, **fields: Any) -> str:
    path = folder / "space.yaml"
    path.write_text(json.dumps({"fields": fields}))
    return str(path)


@pytest.mark.parametrize(("name", "scheduler", "flags", "objective", "further"), SEARCHED)
def test_example_is_searched_with_two_workers_a_trial(
    name: str, scheduler: str, flags: str, objective: str, further: set[str], tmp_path: Path
) -> None:
    """With one each is trained in ``tests/functions/test_examples.py``."""
    results = tmp_path / "results"
    command = f"search --train {name}:train --scheduler {scheduler} --trials 1 --slots 1 --workers 2 {flags}"
    found = run(
        *command.split(), "--interval", "0.5", "--results", str(results), cwd=EXAMPLES,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert found.code == 0, found.out + found.err
    assert f"val {objective}" in found.out
    store = Store(str(results))
    studies = {study.scheduler: study for study in store.studies()}
    assert {*studies} == {"constant", scheduler}
    for study in studies.values():
        assert (study.task, study.objective, study.workers) == ("own", objective, 2)
        (trial,) = store.trials(study.study)
        assert (trial.status, trial.objective) == ("complete", objective)
        rows = store.intervals(study.study, [trial.trial_id])[trial.trial_id]
        assert trial.val_error == rows[-1].val_error is not None
        assert {*rows[-1].metrics} == further
        assert rows[-1].signals.examples_seen >= study.budget
        assert rows[-1].signals.train_loss < rows[0].signals.train_loss or name == "gan"
    assert found.out.count("complete,") == 2


def test_search_of_a_function_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    flags = "--train tests.own_loops:slow --scheduler deba --no-baseline --objective loss --trials 1 "
    flags += "--epochs 4 --interval 0.5 --slots 1 --checkpoint-every 2 --results results --train-space"
    fields = {"batch_size": {"fixed": 16}, "lr": {"fixed": 0.01}, "pause": {"choice": [0.15, 0.2]}}
    command = ["search", *flags.split(), space(tmp_path, **fields)]
    env = {"PYTHONPATH": str(ROOT)}
    first = adasearch(*command, cwd=tmp_path, env=env)
    intervals = tmp_path / "results" / "tests.own_loops-slow-deba-own" / "intervals"
    deadline = time.monotonic() + 200
    while not list(intervals.glob("*.parquet")):  # which are written with a checkpoint that counts
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    store = Store(str(tmp_path / "results"))
    (study,) = store.studies()
    (trial,) = store.trials(study.study)
    assert trial.status == "running"
    before = store.intervals(study.study, [trial.trial_id])[trial.trial_id]
    assert 2 <= len(before) < 8
    found = run(*command, cwd=tmp_path, env=env)
    assert found.code == 0, found.out + found.err
    (trial,) = store.trials(study.study)
    assert trial.status == "complete"
    rows = store.intervals(study.study, [trial.trial_id])[trial.trial_id]
    assert [row.train_seconds for row in rows[:2]] == [row.train_seconds for row in before[:2]]  # not anew
    whole: list[IntervalRecord] = []
    task = LiveTrial(trial, store).task(study, None, RunOptions(), evaluate_at=rungs_of(study))  # type: ignore[arg-type]
    assert task.function is not None
    quick = {**task.function.params, "pause": 0.0}
    task = replace(
        task,
        checkpoints=str(tmp_path / "elsewhere" / "there"),
        checkpoint_every=0,
        function=replace(task.function, params=quick),
    )

    def on_interval(record: IntervalRecord) -> bool:
        whole.append(record)
        return True

    train_function(task, torch.device("cpu"), on_interval)
    assert [row.signals for row in rows] == [row.signals for row in whole]
    assert [row.val_error for row in rows] == [row.val_error for row in whole]


def test_what_a_function_does_wrong_is_one_failed_row_each_and_nothing_hangs(tmp_path: Path) -> None:
    faults = list(own_loops.FAULTS)
    flags = "--train tests.own_loops:faulty --scheduler constant --objective loss --results results "
    flags += f"--trials {len(faults)} --epochs 2 --sampler grid --silence 0.05 --slots 1 --train-space"
    fields = {"batch_size": {"fixed": 16}, "lr": {"fixed": 0.01}, "fault": {"choice": faults}}
    found = run(
        "search", *flags.split(), space(tmp_path, **fields), cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    assert found.code == 0, found.out + found.err
    store = Store(str(tmp_path / "results"))
    trials = store.trials("tests.own_loops-faulty-constant-own")
    assert len(trials) == len(faults)
    for trial in trials:
        fault = str(trial.params["train/fault"])
        assert trial.status == ("complete" if fault == "none" else "failed"), trial
        assert (trial.error or "").startswith(own_loops.FAULTS[fault]), trial
        assert "\n" not in (trial.error or "")
        if trial.status == "failed" and fault != "nan":
            _, _, file = str(trial.error).partition("; traceback: ")
            told = Path(tmp_path, "results", file).read_text()
            assert ("own_loops.py" in told) != (fault == "returns")  # which is seen after its end


def test_search_of_a_function_is_confirmed_repeated_replayed_exported_and_reported(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT)}
    flags = (
        "--train tests.own_loops:with_test_data --scheduler noise_scale --trials 1 --epochs 4 --interval 0.5"
    )
    study, said = "tests.own_loops-with_test_data-noise_scale-own", {}
    for command in (
        "profile --train tests.own_loops:with_test_data --kind speed --smallest 16 --largest 64",
        f"search {flags} --interval 0.5 --slots 1 --smallest 16 --largest 64 --set train/batch_size=16",
        "confirm --seeds 1 --controls all --slots 1",
        f"rerun {study}-search-0",
        f"replay {study}-search-0 --scheduler cabs",
        f"export {study} --output schedule.yaml",
        "report --output report.html",
        "compare --format json",
    ):
        found = run(*command.split(), "--results", "results", cwd=tmp_path, env=env)
        assert found.code == 0, command + found.out + found.err
        said[command.split()[0]] = found.out
    store = Store(str(tmp_path / "results"))
    confirmed = [trial for trial in store.trials(study) if trial.phase == "confirm"]
    assert {trial.role for trial in confirmed} == {
        *("candidate", "reference", "mean_batch", "decay", "largest", "adabatch")
    }
    assert {trial.status for trial in confirmed} == {"complete"}
    assert {trial.test_error for trial in confirmed}.isdisjoint({trial.val_error for trial in confirmed})
    assert "speed profile" in said["search"]
    for study_record in store.studies():
        assert study_record.clock == "modelled"
    for trial in store.trials(study):  # the steps alone, and the machine may be busy
        if trial.status == "complete":
            assert trial.modelled_seconds is not None
            assert trial.train_seconds is not None
            assert 0 < trial.modelled_seconds < 10 * trial.train_seconds
    candidate = next(trial for trial in confirmed if trial.role == "candidate")
    assert candidate.adaptations > 0
    assert "equal in all" in said["rerun"]
    assert "noise" in said["replay"]
    rows = json.loads(said["compare"])["rows"]
    assert {row["objective"] for row in rows} == {"loss"}
    schedule = load_schedule(tmp_path / "schedule.yaml")
    assert schedule.provenance.params["batch_size"] == 16 == schedule.batch_size
    with pytest.raises(InputError, match="makes its own optimizer"):
        schedule.optimizer(torch.nn.Linear(1, 1))
    assert "validation loss" in (tmp_path / "report.html").read_text()
