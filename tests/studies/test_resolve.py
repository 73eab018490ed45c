"""What a request becomes: which studies, with which settings, spaces and data."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adasearch.environment import versions
from adasearch.errors import InputError
from adasearch.records import StudyRecord
from adasearch.studies.device import on_device
from adasearch.studies.request import Request, ResolvedStudy
from adasearch.studies.resolve import resolve
from adasearch.studies.wanted import nothing_stored
from tests.rows import START

NET = "tests.own_nets:good"
REQUEST = Request(architectures=(NET,), schedulers=("deba",), subset=160)
CONSTANT, DEBA = (f"tests.own_nets-good-{name}-digits" for name in ("constant", "deba"))


def resolved(
    request: Request, stored: Sequence[StudyRecord] = (), said: list[str] | None = None
) -> list[ResolvedStudy]:
    known = {study.study: study for study in stored}
    return resolve(request, known.get, (lambda text: None) if said is None else said.append)


def records(request: Request, stored: Sequence[StudyRecord] = ()) -> list[StudyRecord]:
    return [study.record for study in resolved(request, stored)]


def space_of(study: StudyRecord, kind: str = "scheduler") -> dict[str, object]:
    fields: dict[str, object] = json.loads(getattr(study, f"{kind}_space"))["fields"]
    return fields


@pytest.mark.parametrize(
    ("schedulers", "baseline", "found"),
    [
        ((), None, ["constant"]),
        (("deba",), None, ["constant", "deba"]),
        (("deba", "cabs", "deba"), None, ["constant", "deba", "cabs"]),
        (("deba", "constant"), None, ["constant", "deba"]),
        (("deba",), False, ["deba"]),
        (("deba", "constant"), False, ["constant", "deba"]),
    ],
)
def test_the_baseline_comes_first_unless_it_is_left_out_and_none_twice(
    schedulers: tuple[str, ...], baseline: bool | None, found: list[str]
) -> None:
    request = replace(REQUEST, schedulers=schedulers, baseline=baseline)
    assert [study.scheduler for study in records(request)] == found


def test_each_architecture_has_every_scheduler() -> None:
    studies = records(replace(REQUEST, architectures=(NET, "resnet18", NET)))
    assert [(study.architecture, study.scheduler) for study in studies] == [
        (NET, "constant"),
        (NET, "deba"),
        ("resnet18", "constant"),
        ("resnet18", "deba"),
    ]


def test_what_is_left_open_is_built_in() -> None:
    study = records(REQUEST)[1]
    assert study.study == DEBA
    assert (study.scale, study.dataset, study.image_size, study.prefix) == ("nano", "digits", None, None)
    assert (study.subset, study.seed, study.train_examples) == (160, 0, 160)
    assert (study.budget, study.interval) == (20 * 160, 160)
    assert study.evaluate_every == 2 * 160  # a fifth validates
    assert (study.smallest, study.largest, study.multiple_of) == (16, 20, 1)  # an eighth of the examples
    assert (study.workers, study.device, study.precision) == (1, "cpu", "float32")
    assert (study.compile, study.per_example) == (False, False)
    assert (study.sampler, study.stopper) == ("tpe", "halving")
    assert (study.clock, study.objectives) == ("measured", "val_error,train_seconds")
    assert (study.device_profile, study.stability_profile) == (None, None)
    assert study.versions == versions()


def test_what_is_given_counts() -> None:
    request = replace(
        REQUEST,
        study="mine",
        seed=3,
        epochs=2,
        interval="0.5",
        evaluate_every="100ex",
        workers=2,
        smallest=8,
        largest=64,
        compile=True,
        sampler="random",
        stopper="none",
        device="cuda",
    )
    study = records(request)[1]
    assert (study.study, study.prefix, study.seed) == (f"mine-{DEBA}", "mine", 3)
    assert (study.budget, study.interval, study.evaluate_every) == (320, 80, 100)
    assert (study.workers, study.smallest, study.largest) == (2, 8, 64)
    assert (study.compile, study.sampler, study.stopper, study.device) == (True, "random", "none", "cuda")


def test_data_are_those_of_the_request() -> None:
    data = resolved(replace(REQUEST, image_size=16, seed=3))[0].data
    assert (data.source, data.image_size, data.subset, data.seed) == ("digits", 16, 160, 3)


def test_fields_that_are_given_are_fixed_and_those_of_a_scheduler_in_its_own_space_alone() -> None:
    fixed = ("train/lr=0.3", "scheduler/window=7")
    constant, deba = records(replace(REQUEST, fixed=fixed, largest=64))
    assert space_of(constant, "train")["lr"] == space_of(deba, "train")["lr"] == {"fixed": 0.3}
    assert space_of(deba)["window"] == {"fixed": 7}
    assert "fields" not in json.loads(constant.scheduler_space)


def test_what_is_said_of_several_studies_is_said_once() -> None:
    said: list[str] = []
    resolved(replace(REQUEST, schedulers=("deba", "cabs")), said=said)
    assert said == [
        "160 of 1,437 training, 360 test images, 10 classes (0, ..., 9); the test images are drawn, for want "
        "of a test split",
        f"{NET} has no search space of its own and takes 'any' (see --train-space)",
        "initial batch sizes lie in 16 to 20 only (see --smallest and --largest)",
    ]


def test_a_stored_study_goes_on_as_it_was() -> None:
    asked = replace(REQUEST, seed=3, epochs=2, interval="0.5", largest=64, sampler="random", compile=True)
    former = [replace(study, created_at=START, versions={"adasearch": "0.0.1"}) for study in records(asked)]
    again = resolved(replace(REQUEST, subset=None), former)
    assert [study.record for study in again] == former
    assert [study.stored for study in again] == [True, True]


def test_a_scheduler_that_joins_a_stored_baseline_takes_its_settings_and_its_training_space() -> None:
    asked = replace(REQUEST, seed=3, epochs=2, largest=64, fixed=("train/lr=0.3",))
    former = records(replace(asked, schedulers=()))
    constant, deba = resolved(replace(REQUEST, subset=None), former)
    assert (constant.stored, deba.stored) == (True, False)
    assert (deba.record.subset, deba.record.seed, deba.record.budget) == (160, 3, 320)
    assert deba.record.largest == 64
    assert space_of(deba.record, "train")["lr"] == {"fixed": 0.3}
    assert deba.record.created_at > former[0].created_at


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"seed": 4}, "exists with seed=0 but this search has seed=4"),
        ({"epochs": 3.0}, r"exists with budget=3200 \(--epochs 20\) but this search has budget=480"),
        ({"device": "cuda"}, "exists with device=cpu but this search has device=cuda"),
        ({"fixed": ("train/lr=0.3",)}, "exists with train_space lr="),
    ],
)
def test_a_stored_study_is_not_continued_with_other_settings(changed: dict[str, object], says: str) -> None:
    former = records(REQUEST)
    with pytest.raises(InputError, match=says):
        records(replace(REQUEST, **changed), former)  # type: ignore[arg-type]
    other = records(replace(REQUEST, study="mine", **changed), former)  # type: ignore[arg-type]
    assert [study.study for study in other] == [f"mine-{CONSTANT}", f"mine-{DEBA}"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"architectures": ("resnet19",)}, "unknown architecture 'resnet19'"),
        ({"schedulers": ("debba",)}, "unknown scheduler 'debba'"),
        (
            {"schedulers": ("deba", "cabs"), "space": "deba"},
            "--space needs exactly one scheduler .* but got --space deba and 2: deba, cabs",
        ),
        (
            {"schedulers": (), "space": "deba"},
            "--space needs exactly .* --space deba and none",
        ),
        ({"subset": 0}, "--subset must be at least 1 but got 0"),
        ({"workers": 0}, "--workers must be at least 1 but got 0"),
        ({"smallest": 0}, "--smallest must be at least 1 but got 0"),
        ({"epochs": 0.0}, r"--epochs must be greater than 0 but got 0\.0"),
        ({"epochs": float("inf")}, "--epochs must be greater than 0 but got inf"),
        ({"seed": -1}, "--seed must lie in 0 to .* but got -1"),
        ({"study": "train"}, "--study must be letters, .* and not reserved but got 'train'"),
        ({"study": "a/b"}, "--study must be letters, .* but got 'a/b'"),
        ({"fixed": ("train/lr",)}, "train/lr"),
        ({"precision": "float16", "per_example": True}, "--precision must not be float16 with it"),
    ],
)
def test_what_breaks_a_rule_is_refused(changed: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve(replace(REQUEST, **changed), nothing_stored, lambda text: None)  # type: ignore[arg-type]


def test_a_study_is_the_same_on_another_device_but_for_the_device() -> None:
    study = resolved(REQUEST)[1]
    moved = on_device(study, replace(REQUEST, device="cuda"), (), lambda text: None)
    assert moved.record == replace(study.record, device="cuda")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"interval": "often"}, "--interval must be epochs"),
        ({"interval": "-1"}, "--interval must be greater than 0"),
        ({"evaluate_every": "x"}, "--evaluate-every must be epochs"),
        ({"interval": "3", "epochs": 2}, "--interval must be at most the run's 2 epochs but got 3"),
        ({"smallest": 64, "largest": 32}, "--smallest must be at most --largest but got 64 and 32"),
        ({"largest": 0}, "--largest must be at least 1"),
    ],
)
def test_numbers_that_no_data_could_mend_are_refused_before_any_are_read(
    changed: dict[str, object], says: str
) -> None:
    asked = replace(REQUEST, dataset="folder:no/such/folder", **changed)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=says):
        resolve(asked, nothing_stored, lambda text: None)
