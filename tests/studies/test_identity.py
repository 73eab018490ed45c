"""A study is that study as long as nothing that it was asked for changes."""

import json
from dataclasses import replace

import pytest

from adasearch.errors import InputError
from adasearch.spaces.space import load_space
from adasearch.studies.identity import refuse_other, same_study
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
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
    with pytest.raises(InputError, match="exists with train_space="):
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
