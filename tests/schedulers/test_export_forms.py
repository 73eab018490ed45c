import json
import math

import pytest

from adasearch.errors import InputError
from adasearch.schedulers.export_forms import EXPORT_FORMS, SizePath, exported
from adasearch.schedulers.points import Point

PATH = SizePath(initial=32, points=[Point(4000, 64), Point(10_000, 128)], epoch=4000)


def of_megatron(text: str) -> list[tuple[int, int]]:
    """Read the string as its documentation tells: thresholds with suffixes, the first 0, rising."""
    suffixes = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
    found = []
    for word in text.split():
        mark, size = word.split(":")
        found.append((int(float(mark.rstrip("KMBT")) * suffixes.get(mark[-1], 1)), int(size)))
    assert found[0][0] == 0
    assert found == sorted(found)
    return found


def test_megatron_in_samples_and_in_tokens() -> None:
    text, said = exported(PATH, "megatron")
    assert of_megatron(text) == [(0, 32), (4000, 64), (10_000, 128)]
    assert said == ["thresholds are samples; micro-batch size times data-parallel size must divide 32"]
    tokens = SizePath(initial=32, points=PATH.points, epoch=4000, sequence_length=1024)
    assert of_megatron(exported(tokens, "megatron")[0]) == [(0, 32), (4_096_000, 64), (10_240_000, 128)]


def test_olmo_in_tokens_with_the_root_of_the_batch() -> None:
    points = [Point(4000, 64, math.sqrt(2)), Point(10_000, 128, 2.0)]
    text, _ = exported(SizePath(initial=32, points=points, epoch=4000, sequence_length=10), "olmo")
    assert json.loads(text) == {"batch_sizes": [320, 640, 1280], "schedule": [0, 40_000, 100_000]}


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([Point(4000, 48, math.sqrt(1.5))], "by whole numbers, but it goes from 32 to 48 at 4000"),
        ([Point(4000, 64)], "by the root of the batch, 1.414 at 4000, but this schedule has the factor 1"),
        ([Point(4000, 16, math.sqrt(0.5))], "by whole numbers, but it goes from 32 to 16"),
    ],
)
def test_olmo_refuses_what_it_cannot_do(points: list[Point], says: str) -> None:
    with pytest.raises(InputError, match=says):
        exported(SizePath(initial=32, points=points, epoch=4000, sequence_length=10), "olmo")


def test_olmo_needs_to_know_the_tokens_of_an_example() -> None:
    with pytest.raises(InputError, match="olmo counts in tokens: give --sequence-length"):
        exported(PATH, "olmo")


def test_lightning_by_epoch_says_what_is_lost() -> None:
    text, said = exported(PATH, "lightning")
    assert json.loads(text) == {"0": 1, "1": 2, "2": 4}
    assert said == ["a loader's batch is 32", "the turn to 128 at epoch 2.50 is at 2"]
    close = SizePath(initial=32, points=[Point(4000, 64), Point(4400, 128)], epoch=4000)
    text, said = exported(close, "lightning")
    assert json.loads(text) == {"0": 1, "1": 4}
    assert said[1:] == [
        "the turn to 128 at epoch 1.10 is at 1",
        "64 is left out: 128 begins in the same epoch",
    ]


# 4,000 examples of 32 are 125 steps, 6,000 of 64 are 93.75: the turn comes with the 94th.
def test_hugging_face_by_step() -> None:
    text, _ = exported(PATH, "hf")
    assert json.loads(text) == [
        {"step": 0, "gradient_accumulation_steps": 1},
        {"step": 125, "gradient_accumulation_steps": 2},
        {"step": 219, "gradient_accumulation_steps": 4},
    ]


def test_json_holds_all_of_it() -> None:
    points = [Point(4000, 48, 0.75), Point(8000, 64)]
    rows = json.loads(exported(SizePath(initial=32, points=points, epoch=4000), "json")[0])
    assert [tuple(row.values()) for row in rows] == [(0, 32, 1.0), (4000, 48, 0.75), (8000, 64, 0.75)]


@pytest.mark.parametrize("form", ["megatron", "lightning", "hf"])
def test_a_factor_on_the_learning_rate_is_refused_where_none_can_be_held(form: str) -> None:
    with pytest.raises(InputError, match=f"{form} holds sizes alone, but at 4000 examples the"):
        exported(SizePath(initial=32, points=[Point(4000, 64, 0.5)], epoch=4000), form)


@pytest.mark.parametrize("form", ["lightning", "hf"])
def test_accumulation_needs_whole_batches(form: str) -> None:
    with pytest.raises(InputError, match=f"{form} accumulates whole batches of 32, but at 4000 examples"):
        exported(SizePath(initial=32, points=[Point(4000, 48)], epoch=4000), form)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("megatron", "0:32\n"),
        ("olmo", {"batch_sizes": [256], "schedule": [0]}),
        ("lightning", {"0": 1}),
        ("hf", [{"step": 0, "gradient_accumulation_steps": 1}]),
        ("json", [{"examples": 0, "batch_size": 32, "lr_scale": 1.0}]),
    ],
)
def test_a_constant_size_is_one_stage(form: str, text: object) -> None:
    found, _ = exported(SizePath(initial=32, points=[], epoch=4000, sequence_length=8), form)
    assert (found if isinstance(text, str) else json.loads(found)) == text


def test_every_form_is_tried_here() -> None:
    assert set(EXPORT_FORMS) == {"megatron", "olmo", "lightning", "hf", "json"}
