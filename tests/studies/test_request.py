"""What a request takes from an experiment or a schedule, and what it keeps."""

from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.commands import export
from adasearch.errors import InputError
from adasearch.schedule_file import Schedule, load_schedule
from adasearch.spaces.experiments import load_experiment
from adasearch.store import Store
from adasearch.studies.request import Request, departures, with_experiment, with_schedule

STUDY = "resnet18-nano-deba-digits"


@pytest.fixture(scope="module")
def schedule(small_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Schedule:
    file = tmp_path_factory.mktemp("schedule") / "found.yaml"
    export(Store(str(small_results)), STUDY, output=str(file))
    return load_schedule(file)


def test_request_keeps_what_it_says_and_takes_the_rest() -> None:
    mine = Request(architectures=("a",), seed=0, compile=False, fixed=("train/lr=1",))
    other = Request(
        architectures=("b",), schedulers=("deba",), seed=3, compile=True, epochs=2, fixed=("train/lr=2",)
    )
    assert mine.filled(other) == Request(
        architectures=("a",),
        schedulers=("deba",),
        seed=0,
        compile=False,
        epochs=2,
        fixed=("train/lr=2", "train/lr=1"),  # the later one counts
    )


def test_every_flag_overrides_its_line_of_an_experiment() -> None:
    experiment = load_experiment("deba_window")
    plain = with_experiment(Request(), experiment)
    assert (plain.scale, plain.baseline, plain.sampler, plain.stopper) == ("full", False, "grid", "none")
    nano = with_experiment(Request(scale="nano", epochs=3, dataset="digits"), experiment)
    assert (nano.scale, nano.epochs, nano.dataset) == ("nano", 3, "digits")
    assert nano.schedulers == plain.schedulers == ("deba",)
    assert nano.experiment == experiment.at("nano")


def test_schedule_is_run_on_its_own_network_and_data(schedule: Schedule) -> None:
    request = with_schedule(Request(seed=7, fixed=("train/lr=1",)), schedule)
    assert (request.architectures, request.schedulers) == (("resnet18",), ("deba",))
    assert (request.dataset, request.subset, request.scale) == ("digits", 120, "nano")
    assert (request.smallest, request.largest, request.seed) == (16, 64, 7)
    assert request.fixed[-1] == "train/lr=1"
    assert "train/batch_size=16" in request.scheduled
    assert departures(Request(seed=7), schedule) == ""


def test_budget_of_a_request_takes_the_place_of_epochs(schedule: Schedule) -> None:
    request = with_schedule(Request(budget="100ex"), schedule)
    assert (request.budget, request.epochs) == ("100ex", None)
    request = Request(epochs=3).filled(Request(budget="100ex", seed=2))
    assert (request.budget, request.epochs, request.seed) == (None, 3, 2)


def test_schedule_of_a_language_model_is_run_on_its_own_sequences(schedule: Schedule) -> None:
    changed = {"dataset": "python_source", "sequence_length": 64, "tokenizer": "/words.json"}
    found = schedule.model_copy(update={"provenance": schedule.provenance.model_copy(update=changed)})
    request = with_schedule(Request(), found)
    assert (request.dataset, request.sequence_length, request.tokenizer) == tuple(changed.values())
    other = with_schedule(Request(dataset="text:a.txt"), found)
    assert (other.sequence_length, other.tokenizer) == (None, None)


def test_other_data_have_other_sizes(schedule: Schedule) -> None:
    sized = schedule.model_copy(
        update={"provenance": schedule.provenance.model_copy(update={"image_size": 32})}
    )
    assert with_schedule(Request(), sized).image_size == 32
    other = Request(dataset="cifar10", scale="nano", subset=50, architectures=("vit_b_16",))
    assert departures(other, sized) == "architecture vit_b_16, dataset cifar10, subset 50"
    assert with_schedule(other, sized).image_size is None
    assert with_schedule(replace(other, subset=None), sized).subset is None


def test_a_schedule_goes_on_with_what_was_selected_of_its_own_data(schedule: Schedule) -> None:
    selected = schedule.model_copy(
        update={"provenance": schedule.provenance.model_copy(update={"label_column": "y", "weights": "w"})}
    )
    request = with_schedule(Request(), selected)
    assert (request.label_column, request.weights, request.split) == ("y", "w", None)
    assert with_schedule(Request(dataset="cifar10"), selected).label_column is None
    assert with_schedule(Request(weights="balanced"), selected).weights == "balanced"


def test_schedule_beside_a_scheduler_is_refused(schedule: Schedule) -> None:
    with pytest.raises(InputError, match="--schedule names a scheduler already"):
        with_schedule(Request(schedulers=("deba",)), schedule)
