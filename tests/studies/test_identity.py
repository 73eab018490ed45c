"""A study is that study as long as nothing that it was asked for changes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.errors import InputError
from adasearch.spaces.space import load_space
from adasearch.studies.identity import refuse_other, same_study
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
from tests.data.layouts import write_rows
from tests.rows import STUDY

NOW = replace(STUDY, train_space=load_space("architectures", "resnet18").complete().to_json())


def without(field: str) -> str:
    space = json.loads(NOW.train_space)
    del space["fields"][field]
    return json.dumps(space)


def test_study_of_a_version_that_lacked_a_field_goes_on() -> None:
    """What it did then is the field's default now."""
    stored = replace(NOW, train_space=without("nesterov"))
    assert same_study(stored, NOW)
    refuse_other(stored, NOW)


def test_a_field_that_is_asked_for_makes_another_study() -> None:
    other = json.loads(NOW.train_space)
    other["fields"]["nesterov"] = {"fixed": True}
    asked = replace(NOW, train_space=json.dumps(other))
    assert not same_study(replace(NOW, train_space=without("nesterov")), asked)
    said = r'exists with train_space nesterov={"fixed":false} but .* nesterov={"fixed":true};'
    with pytest.raises(InputError, match=said):
        refuse_other(replace(NOW, train_space=without("nesterov")), asked)


def test_space_that_cannot_be_read_is_compared_as_it_stands() -> None:
    assert same_study(replace(NOW, train_space="gone"), replace(NOW, train_space="gone"))
    assert not same_study(replace(NOW, train_space="gone"), NOW)


@pytest.mark.parametrize("prefix", ["mine", None])
def test_study_knows_the_prefix_that_the_user_gave(prefix: str | None) -> None:
    asked = Request(architectures=("tests.own_nets:good",), schedulers=("deba",), subset=160, study=prefix)
    studies = [each.record for each in resolve(asked, lambda name: None, lambda text: None)]
    assert [study.prefix for study in studies] == [prefix, prefix]
    assert {study.study.startswith("mine-") for study in studies} == {prefix is not None}


def test_what_is_selected_of_the_data_is_kept_and_goes_on(tmp_path: Path) -> None:
    labels = [row % 2 for row in range(200)]
    weights = [1.0 + label for label in labels]
    columns: dict[str, Sequence[object]] = {
        "fine_label": labels,
        "coarse_label": labels[::-1],
        "weight": weights,
    }
    write_rows(tmp_path / "train.parquet", 200, columns)
    source = f"parquet:{tmp_path}"
    asked = Request(
        architectures=("tests.own_nets:good",),
        schedulers=("constant",),
        dataset=source,
        label_column="coarse_label",
        split="train",
        weights="weight",
    )
    told: list[str] = []
    (study,) = resolve(asked, lambda name: None, told.append)
    record = study.record
    assert (record.label_column, record.split, record.weights) == ("coarse_label", "train", "weight")
    assert told[0] == (
        "160 training, 40 test images, 2 classes (0, 1); label column `coarse_label`; split `train` to train "
        "on; the test images are drawn, for want of a test split; examples are drawn by column `weight`"
    )
    plain = replace(asked, label_column=None, split=None, weights=None)
    (again,) = resolve(plain, lambda name: record, told.append)
    assert again.data == study.data
    (other,) = resolve(replace(plain, label_column="fine_label"), lambda name: None, told.append)
    assert other.record.fingerprint != record.fingerprint
    with pytest.raises(InputError, match="exists with weights=weight but this search has weights=balanced"):
        resolve(replace(asked, weights="balanced"), lambda name: record, told.append)
