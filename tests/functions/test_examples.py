"""The documentation's training functions, each as a trial of one worker; two are searched on Ray."""

from pathlib import Path

import pytest
import torch

from adasearch.callbacks import say_nothing
from adasearch.functions.train_function import train_function
from adasearch.records import IntervalRecord
from adasearch.runs.live_trial import LiveTrial
from adasearch.runtime import RunOptions
from adasearch.store import Store
from adasearch.store.trials import begin_trial
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("name", "scheduler", "changed", "objective", "further"),
    [
        ("segmentation", "deba", {"train_space": "segmentation.yaml"}, "loss", {"iou"}),
        ("gan", "noise_scale", {}, "distance", set()),
        ("nano_gpt", "noise_scale", {"fixed": ("train/batch_size=32",)}, "loss", set()),
    ],
)
def test_example_learns_in_a_trial_of_one_worker(
    name: str,
    scheduler: str,
    changed: dict[str, object],
    objective: str,
    further: set[str],
    constant: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.syspath_prepend(EXAMPLES)
    request = Request(
        train=f"{name}:train",
        schedulers=("constant" if constant else scheduler,),
        epochs=2,
        interval="0.5",
        baseline=False,
        **changed,  # type: ignore[arg-type]
    )
    store = Store(str(tmp_path / "results"))
    (study,) = resolve(request, store.study, say_nothing)
    assert study.record.objective == objective
    spaces = (study.train_space, study.scheduler_space)
    params = {field: value for space in spaces for field, value in (space.fixed() | space.first()).items()}
    trial = begin_trial(study.record, phase="search", number=0, params=params, seed=0, versions={})
    records: list[IntervalRecord] = []

    def on_interval(record: IntervalRecord) -> bool:
        records.append(record)
        return True

    task = LiveTrial(trial, store).task(study.record, study.data, RunOptions())
    outcome = train_function(task, torch.device("cpu"), on_interval)
    assert outcome is not None
    assert outcome.status == "complete", outcome
    assert records[-1].val_error is not None
    assert {*records[-1].metrics} == further
    assert records[-1].signals.examples_seen >= study.record.budget
    assert records[-1].signals.train_loss < records[0].signals.train_loss or name == "gan"
