"""Studies of a training function of the user's own: what they are, and when they go on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adasearch.errors import InputError
from adasearch.functions.source import digest_of
from adasearch.records import StudyRecord
from adasearch.studies.request import Request, ResolvedStudy
from adasearch.studies.resolve import resolve
from adasearch.studies.wanted import import_paths, nothing_stored

PLAIN = "tests.own_loops:plain"
REQUEST = Request(train=PLAIN, schedulers=("deba",), epochs=4, objective="loss")
Stored = Callable[[str], StudyRecord | None]


def resolved(
    request: Request = REQUEST, stored: Stored = nothing_stored, said: list[str] | None = None, **changes: Any
) -> list[ResolvedStudy]:
    lines: list[str] = [] if said is None else said
    return resolve(replace(request, **changes), stored, lines.append)


def lookup(studies: list[ResolvedStudy], **changes: Any) -> Stored:
    records = {study.record.study: replace(study.record, **changes) for study in studies}
    return records.get


def test_study_of_a_function_is_what_its_first_steps_showed() -> None:
    constant, deba = (study.record for study in resolved())
    assert (constant.scheduler, deba.scheduler) == ("constant", "deba")
    assert deba.study == "tests.own_loops-plain-deba-own"
    assert (deba.architecture, deba.task, deba.objective) == (PLAIN, "own", "loss")
    assert (deba.train_examples, deba.budget, deba.interval) == (200, 800, 200)
    assert deba.code == digest_of(PLAIN) == constant.code
    assert (deba.smallest, deba.largest) == (16, 25)
    assert import_paths(deba) == [PLAIN]  # which travels to a cluster's workers


def test_space_of_a_function_has_any_names() -> None:
    fields = {
        "lr": {"float": [1e-4, 1e-2], "log": True},
        "dropout": {"float": [0, 0.5]},
        "kind": {"choice": ["a"]},
    }
    _, deba = resolved(train_space={"fields": fields}, fixed=("train/kind=b", "train/more=3"))
    assert {*deba.train_space.distributions()} == {"train/lr", "train/dropout", "train/batch_size"}
    assert deba.train_space.ends("batch_size") == (16, 25)  # as usual, within the limits
    assert deba.train_space.fixed() == {"train/kind": "b", "train/more": 3}
    again = resolved(stored=lookup([deba]))[1]
    assert again.record.train_space == deba.record.train_space


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architectures": ("resnet18",)}, "--architecture does not go with --train"),
        ({"dataset": "digits"}, "--dataset does not go with --train"),
        ({"precision": "bfloat16"}, "--precision does not go with --train"),
        ({"train": "plain"}, "--train must be module:function but got 'plain'"),
        ({"train": None}, "--objective goes with --train"),
        ({"objective": "iou"}, "evaluate returns loss, error, and not the objective 'iou'"),
        ({"train_space": {"fields": {"lr": {"float": [-1, 1]}}}}, "lr must be greater than 0"),
        (
            {"train_space": {"function": "other:train", "fields": {}}},
            "is for other:train, not tests.own_loops",
        ),
        ({"train_space": {"fields": {"batch_size": {"fixed": 500}}}}, "batch_size must lie in 16 to 25"),
        ({"schedulers": ("lr_tail",)}, "follows the plan of a run"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        resolved(**changes)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_objective_is_the_only_figure_or_the_loss() -> None:
    assert resolved(objective=None)[0].record.objective == "loss"
    assert (
        resolved(train="tests.own_loops:one_figure", objective="perplexity")[0].record.objective
        == "perplexity"
    )
    with pytest.raises(InputError, match="evaluate returns error, margin: say which of them is minimised"):
        resolved(train="tests.own_loops:two_figures", objective=None)


@pytest.mark.parametrize("objective", [None, "val/accuracy"])
def test_objective_that_is_to_be_large_by_its_name_is_refused(objective: str | None) -> None:
    with pytest.raises(InputError, match=r"the objective is minimised, and 'val/accuracy' is to be large"):
        resolved(train="tests.own_loops:only_accuracy", objective=objective)
    stored = lookup(resolved(), objective="val/accuracy")  # of before
    assert resolved(stored=stored, objective=None)[1].record.objective == "val/accuracy"


def test_function_that_is_as_it_was_takes_no_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    studies = resolved()
    monkeypatch.setattr("adasearch.studies.own_function.rehearse_function", None)
    again = resolved(Request(train=PLAIN, schedulers=("deba",)), stored=lookup(studies))
    assert [study.record for study in again] == [study.record for study in studies]


def test_changed_source_is_said_and_goes_on_where_it_is_accepted() -> None:
    stored = lookup(resolved(), code="0123456789abcdef")
    with pytest.raises(InputError, match=r"changed since it was searched; .* --accept-changed-code"):
        resolved(stored=stored)
    said: list[str] = []
    again = resolved(stored=stored, said=said, accept_changed_code=True)
    assert [study.record.code for study in again] == [digest_of(PLAIN)] * 2
    assert sum("changed since it was searched, which is accepted" in line for line in said) == 2


@pytest.mark.parametrize(
    ("schedulers", "known", "baseline"),
    [
        (("deba",), "constant deba", False),  # goes on beside a baseline of the former source
        (("noise_scale",), "constant", False),  # begins beside it
        (("noise_scale",), "constant", None),
        (("deba",), "deba", None),
        (("constant",), "constant", None),
    ],
)
def test_changed_source_is_asked_about_wherever_former_trials_are_compared(
    schedulers: tuple[str, ...], known: str, baseline: bool | None
) -> None:
    studies = [each for each in resolved() if each.record.scheduler in known.split()]
    stored = lookup(studies, code="0123456789abcdef")
    request = replace(REQUEST, schedulers=schedulers, baseline=baseline)
    with pytest.raises(InputError, match=r"changed since it was searched; .* --accept-changed-code"):
        resolved(request, stored=stored)
    said: list[str] = []
    resolved(request, stored=stored, said=said, accept_changed_code=True)
    assert sum("which is accepted" in line for line in said) == len(studies)


def test_baseline_of_the_former_source_is_asked_about_where_its_candidate_has_the_new_one() -> None:
    constant, deba = resolved()
    records = {deba.record.study: deba.record} | {
        constant.record.study: replace(constant.record, code="0123456789abcdef")
    }
    with pytest.raises(InputError, match=r"constant-own: the source of .* changed"):
        resolved(stored=records.get, baseline=False)


def test_function_may_lie_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "space.yaml").write_text("fields:\n  lr: {fixed: 1e-3}\n  width: {int: [2, 8]}\n")
    (tmp_path / "loop_in_a_folder.py").write_text("from tests.own_loops import plain as train\n")
    _, deba = resolved(train="loop_in_a_folder:train", train_space="space.yaml")
    assert {*deba.train_space.distributions()} == {"train/width", "train/batch_size"}
    assert deba.record.study == "loop_in_a_folder-train-deba-own"
