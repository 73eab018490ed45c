"""A search by Muon of a network without matrices is refused before its first trial."""

from types import SimpleNamespace
from typing import Any

import pytest

from adasearch.errors import InputError
from adasearch.runs.rehearsals import rehearse_studies
from adasearch.spaces.space import load_space
from tests.rows import study_of


def a_study(architecture: str, optimizer: str) -> Any:
    record = study_of("deba", architecture=architecture)
    space = load_space("architectures", architecture).with_fixed("optimizer", optimizer)
    return SimpleNamespace(
        record=record,
        train_space=space,
        scheduler_space=load_space("schedulers", "deba"),
        card=SimpleNamespace(classes=10, image_size=16, task="images"),
    )


def test_muon_is_tried_beforehand() -> None:
    with pytest.raises(InputError, match=r"architecture 'resnet18' .* 'muon' trains the matrices between"):
        rehearse_studies([a_study("resnet18", "muon")])
    rehearse_studies([a_study("vit_b_16", "muon"), a_study("resnet18", "sgd")])
