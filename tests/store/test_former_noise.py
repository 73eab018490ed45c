"""Rows, spaces and schedules of versions that knew noise of one kind only go on with it."""

import json
from pathlib import Path

import pytest
import yaml

from adasearch.schedule_file import load_schedule
from adasearch.schedulers.goodput import Goodput
from adasearch.store.former_defaults import with_former_fields, with_former_space
from adasearch.training.same_run import difference

FORMER_REPR = (
    "Goodput(seconds_per_step=0.01, seconds_per_example=0.0001, hysteresis=0.05, decay=0.8, "
    "coupling='adascale')"
)


@pytest.mark.parametrize(
    ("scheduler", "params", "noise"),
    [
        ("goodput", {"scheduler/coupling": "adascale"}, "raw"),
        ("deba", {"scheduler/coupling": "none"}, "raw"),
        ("goodput", {"scheduler/coupling": "adascale", "scheduler/noise": "auto"}, "auto"),
        ("cabs", {"scheduler/scale": 1.0}, None),
        ("mine:Rule", {"scheduler/coupling": "none"}, None),
    ],
)
def test_trials_of_before_have_raw_noise(scheduler: str, params: dict[str, str], noise: str | None) -> None:
    assert with_former_fields(scheduler, dict(params)).get("scheduler/noise") == noise


def test_spaces_of_before_have_raw_noise() -> None:
    space = {"scheduler": "goodput", "fields": {"coupling": {"fixed": "adascale"}}}
    found = json.loads(with_former_space("goodput", json.dumps(space)))
    assert found["fields"] == {"coupling": {"fixed": "adascale"}, "noise": {"fixed": "raw"}}
    present = json.dumps({**space, "fields": {**space["fields"], "noise": {"fixed": "auto"}}})  # type: ignore[dict-item]
    assert with_former_space("goodput", present) == present
    assert with_former_space("goodput", "no space") == "no space"


def test_a_checkpoint_of_before_is_of_the_same_run_where_the_noise_is_raw() -> None:
    assert difference(FORMER_REPR, Goodput(noise="raw")) is None
    assert difference(FORMER_REPR, Goodput()) is None  # until an optimiser settles it
    divided = Goodput(noise="preconditioned", coupling="adascale_root")
    assert difference(FORMER_REPR, divided) == "coupling 'adascale', not 'adascale_root'"


def test_a_schedule_of_before_has_raw_noise(tmp_path: Path) -> None:
    content = {
        "schedule_version": 2,
        "name": "goodput",
        "fields": {"coupling": "adascale"},
        "batch_size": 32,
        "smallest": 16,
        "largest": 64,
        "interval": 1.0,
        "epochs": 3.0,
        "train": {"lr": 0.1, "optimizer": "adamw"},
        "provenance": {
            **dict.fromkeys(("study", "trial", "form", "verdict", "architecture", "scale", "dataset"), "x"),
            **{"search_seed": 0, "fingerprint": "y", "train_examples": 100, "precision": "float32"},
            "versions": {},
        },
    }
    path = tmp_path / "schedule.yaml"
    path.write_text(yaml.safe_dump(content))
    assert load_schedule(path).scheduler == Goodput(noise="raw")
    content["fields"] = {"coupling": "adascale", "noise": "auto"}
    path.write_text(yaml.safe_dump(content))
    assert load_schedule(path).scheduler == Goodput()
