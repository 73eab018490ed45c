"""Flags of language tasks: which go with which data, what tokens come to in sequences, what a study says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adasearch.errors import InputError
from adasearch.records import StudyRecord
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
from adasearch.studies.wanted import nothing_stored


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the place of a text of 100,000 bytes."""
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_text("0123456789" * 10_000)
    return f"text:{path}"


def asked(source: str | None, **changes: Any) -> Request:
    base = Request(
        architectures=("gpt",), schedulers=("deba",), dataset=source, subset=200, sequence_length=100
    )
    return replace(base, **changes)


def study(request: Request, stored: StudyRecord | None = None) -> StudyRecord:
    def lookup(name: str) -> StudyRecord | None:
        return stored if stored is not None and name == stored.study else None

    found = resolve(replace(request, baseline=False), lookup, lambda text: None)
    return found[0].record


def test_study_says_what_it_is_of(text: str) -> None:
    record = study(asked(text))
    assert (record.task, record.objective, record.sequence_length) == ("language", "loss", 100)
    assert (record.image_size, record.tokenizer, record.train_examples) == (None, None, 200)
    assert record.dataset == f"{text}@100"
    assert record.source == text
    assert (record.smallest, record.largest) == (4, 25)
    assert study(asked(text, subset=None)).train_examples == 900
    assert study(asked(text, sequence_length=None, scale="full", subset=None)).sequence_length == 1024


def test_spans_are_understood_in_tokens(text: str) -> None:
    record = study(asked(text, budget="2e6tokens", interval="10000tokens", evaluate_every="3ex"))
    assert (record.budget, record.interval, record.evaluate_every) == (20_000, 100, 3)
    record = study(asked(text))
    assert (record.budget, record.interval, record.evaluate_every) == (200, 10, 100)  # 50 validate
    record = study(asked(text, epochs=2.0))
    assert (record.budget, record.interval, record.evaluate_every) == (400, 20, 200)


def test_search_goes_on_as_it_was_stored(text: str) -> None:
    first = study(asked(text, sequence_length=None, budget="6400tokens", interval="640tokens"))
    assert (first.sequence_length, first.dataset) == (128, text)
    again = study(asked(text, sequence_length=None), stored=first)
    assert (again.budget, again.interval, again.sequence_length) == (50, 5, 128)


def test_network_of_the_users_own_takes_the_space_of_language_models(text: str) -> None:
    record = study(asked(text, architectures=("tests.own_nets:language",)))
    assert '"optimizer":{"fixed":"adamw"}' in record.train_space
    assert '"max_grad_norm":{"fixed":1.0}' in record.train_space
    assert record.architecture == "tests.own_nets:language"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image_size": 16}, "--image-size is for images but got 16 with the text of --dataset text:"),
        ({"label_column": "y"}, "--label-column is for images but got y with the text of"),
        ({"split": "train"}, "--split is for images but got train with the text of"),
        ({"weights": "balanced"}, "--weights is for images but got balanced with the text of"),
        ({"download": True}, "--download is for images but got --dataset text:"),
        ({"sequence_length": 0}, "--sequence-length must lie in 1 to 1048576 but got 0"),
        ({"sequence_length": 10**5}, "--sequence-length 100000 is longer than the training split of text:"),
        ({"epochs": 1.0, "budget": "2ex"}, "give --epochs or --budget, not both"),
        (
            {"budget": "2k"},
            "--budget must be epochs (0.5), tokens (100000tokens) or sequences (2000ex) but got '2k'",
        ),
        ({"budget": "-5tokens"}, "--budget must be greater than 0 but got '-5tokens'"),
        (
            {"architectures": ("resnet18",)},
            "architecture 'resnet18' classifies images and the data are text; language models are gpt, ",
        ),
        ({"architectures": ("gtp",)}, "unknown language model 'gtp'; did you mean 'gpt'?"),
        (
            {"architectures": ("tests.own_nets:good",)},
            "architecture 'tests.own_nets:good' was called with vocabulary=256, sequence_length=100 and",
        ),
        (
            {"architectures": ("tests.own_nets:last_token_only",)},
            "must return logits (2, 100, 256) of floats for tokens (2, 100) but returned (2, 256)",
        ),
        ({"dataset": "text"}, "dataset text needs a place: text:PATH"),
        ({"dataset": "python_source:x"}, "dataset python_source has no place but got 'python_source:x'"),
    ],
)
def test_what_does_not_go_with_text_is_refused_in_one_line(
    text: str, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as raised:
        study(asked(text, **changes))
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (
            Request(architectures=("resnet18",), schedulers=("deba",), sequence_length=64),
            "--sequence-length is for text but got 64 with the images of --dataset digits",
        ),
        (
            Request(architectures=("resnet18",), schedulers=("deba",), tokenizer="x.json"),
            "--tokenizer is for text but got x.json with the images of --dataset digits",
        ),
        (
            Request(architectures=("resnet18",), schedulers=("deba",), budget="100tokens"),
            "--budget must be epochs (0.5) or examples (2000ex) but got '100tokens'",
        ),
        (
            Request(architectures=("gpt",), schedulers=("deba",)),
            "architecture 'gpt' is a language model and the data are images; text is --dataset python_source",
        ),
    ],
)
def test_what_does_not_go_with_images_is_refused_in_one_line(request_: Request, says: str) -> None:
    with pytest.raises(InputError) as raised:
        study(request_)
    assert says in str(raised.value)


def test_tokenizer_is_named_by_its_whole_path(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tokenizers")
    from tests.tasks.test_language import write_tokenizer

    write_tokenizer(tmp_path / "words.json")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.txt").write_text("w1 w2 w3 " * 2000)
    record = study(asked("text:b.txt", tokenizer="words.json", subset=None, sequence_length=10))
    assert record.tokenizer == str(tmp_path / "words.json")
    assert resolve(asked(text, baseline=False), nothing_stored, lambda line: None)
