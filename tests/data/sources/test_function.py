"""A user's own function: what it may return, and what is said about anything else."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from adasearch.data.sources.registry import decode, open_source
from adasearch.errors import InputError
from tests.pictures import Calls, pictures

IMAGES = pictures(6)
LABELS = [0, 1, 2, 2, 1, 0]


class Listed:
    """A data set of given examples, perhaps with more attributes."""

    def __init__(self, examples: object, **attributes: object) -> None:
        self.examples = list(examples)  # type: ignore[call-overload]
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, row: int) -> object:
        return self.examples[row]


def pairs(rows: slice = slice(None)) -> list[tuple[Image.Image, int]]:
    """Return Pillow images with labels."""
    found = [Image.fromarray(image.transpose(1, 2, 0)) for image in IMAGES[rows]]
    return list(zip(found, LABELS[rows], strict=True))


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], str]:
    """Let ``mine:load`` return a value and give its name."""

    def install(value: object) -> str:
        module = ModuleType("mine")
        module.load = lambda: value  # type: ignore[attr-defined]
        module.value = value  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "mine", module)
        return "mine:load"

    return install


def test_tensors_pictures_and_arrays_give_the_same_examples(returned: Callable[[object], str]) -> None:
    forms = [
        TensorDataset(torch.from_numpy(IMAGES), torch.tensor(LABELS)),
        Listed(pairs()),
        Listed(zip(IMAGES, np.array(LABELS), strict=True)),
        Listed(pairs(), targets=LABELS, classes=["a", "b", "c"]),
        Listed(pairs(), targets=LABELS, classes=3),
    ]
    for form in forms:
        found = decode(returned((form, None)))
        np.testing.assert_array_equal(found.images, IMAGES)
        assert found.labels.tolist() == LABELS
        assert (found.classes, found.test_from, found.flip) == (3, None, True)


def test_a_test_set_a_class_count_and_flip_are_taken_over(returned: Callable[[object], str]) -> None:
    train = Listed(pairs(slice(4)), classes=list("abcde"), flip=False)
    found = decode(returned((train, Listed(pairs(slice(4, 6))))))
    assert (found.classes, found.test_from, found.flip) == (5, 4, False)
    np.testing.assert_array_equal(found.images, IMAGES)


def test_grey_tensors_become_three_channels(returned: Callable[[object], str]) -> None:
    grey = TensorDataset(torch.from_numpy(IMAGES[:, :1]), torch.tensor(LABELS))
    np.testing.assert_array_equal(decode(returned((grey, None))).images, np.repeat(IMAGES[:, :1], 3, axis=1))


def test_targets_spare_a_pass_over_the_examples(returned: Callable[[object], str]) -> None:
    calls = Calls()
    many = TensorDataset(torch.zeros(1000, 3, 2, 2, dtype=torch.uint8), torch.arange(1000) % 3)
    open_source(returned((many, None)), progress=calls)
    assert calls.told == [("reading labels", 500, 1000), ("reading labels", 1000, 1000)]
    many.targets = torch.arange(1000) % 3  # type: ignore[attr-defined]
    told = Calls()
    open_source(returned((many, None)), progress=told)
    assert told.told == []


def test_fingerprint_changes_with_images_and_labels(returned: Callable[[object], str]) -> None:
    def fingerprint(images: np.ndarray, labels: list[int]) -> str:
        data = TensorDataset(torch.from_numpy(images), torch.tensor(labels))
        return open_source(returned((data, None))).fingerprint

    same = [fingerprint(IMAGES, LABELS), fingerprint(IMAGES.copy(), LABELS)]
    assert same[0] == same[1]
    assert fingerprint(IMAGES ^ 1, LABELS) != same[0] != fingerprint(IMAGES, [*LABELS[:5], 1])


def test_a_module_of_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder_of_mine.py").write_text(
        "import torch\nfrom torch.utils.data import TensorDataset\n"
        "images = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)\n"
        "def load():\n    return TensorDataset(images, torch.arange(4)), None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert decode("folder_of_mine:load").classes == 4


PAIR = "dataset 'mine:load' must return a pair (train, test) of map-style data sets, test may be None but "
FLOATS = Listed([(image / 255, label) for image, label in zip(IMAGES, LABELS, strict=True)])
WRONG = {
    "nothing": (None, PAIR + "returned NoneType"),
    "one set": (Listed(pairs()), PAIR + "returned tests.data.sources.test_function.Listed"),
    "three": ((Listed(pairs()), None, None), PAIR + "returned tuple of 3"),
    "no map": ((iter(pairs()), None), PAIR + "one of them is list_iterator, which has no len() or no [i]"),
    "empty": ((Listed([]), None), PAIR + "one of them has no examples"),
    "test alone": ((None, Listed(pairs())), PAIR + "one of them has no examples"),
    "floats": ((FLOATS, None), "of shape (3, 8, 8) and type float64"),
    "channels last": (
        (Listed([(image.transpose(1, 2, 0), 0) for image in IMAGES]), None),
        "example 0 of train of mine:load: the image must be a Pillow image or uint8 of shape "
        "(3, height, width) or (1, height, width) but is ndarray of shape (8, 8, 3) and type uint8",
    ),
    "no pair": ((Listed(IMAGES), None), "example 0 must be a pair (image, label) but is ndarray"),
    "label": ((Listed([(IMAGES[0], "cat")]), None), "the label must be an integer but is str: 'cat'"),
    "float label": ((Listed([(IMAGES[0], 1.0)]), None), "the label must be an integer but is float: 1.0"),
    "negative label": ((Listed([(IMAGES[0], -1), *pairs()]), None), "label -1 is outside 0 to 2"),
    "too few classes": (
        (Listed(pairs(), classes=["a", "b"]), None),
        "example 2 of train of mine:load: label 2 is outside 0 to 1",
    ),
    "classes of another kind": (
        (Listed(pairs(), classes=2.5), None),
        "dataset 'mine:load': classes must be their names or their number but is",
    ),
    "other classes": (
        (Listed(pairs(), classes="abc"), Listed(pairs(), classes="abcd")),
        "dataset 'mine:load': train has 3 classes but test has 4",
    ),
    "targets": (
        (Listed(pairs(), targets=[0.5] * 6), None),
        "'targets' must be 6 integers but is list of shape (6,) and type float64",
    ),
    "short targets": (
        (Listed(pairs(), targets=[0]), None),
        "'targets' must be 6 integers but is list of shape (1,)",
    ),
    "lying targets": (
        (Listed(pairs(), targets=LABELS[::-1]), Listed(pairs(), targets=[1] * 6)),
        "example 0 of test of mine:load came with label 0, but 'targets' or an earlier look gave 1",
    ),
}


@pytest.mark.parametrize(("value", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_beside_what_was_expected(
    value: object, message: str, returned: Callable[[object], str]
) -> None:
    with pytest.raises(InputError) as caught:
        decode(returned(value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_that_lead_nowhere_are_refused(returned: Callable[[object], str]) -> None:
    returned(None)
    for name, reason in {
        "nowhere_at_all:load": "dataset 'nowhere_at_all:load' cannot be imported: ModuleNotFoundError",
        "mine:lod": "dataset 'mine:lod' cannot be imported: AttributeError",
        "mine:value": "dataset 'mine:value' must be a function but is NoneType",
    }.items():
        with pytest.raises(InputError) as caught:
            decode(name)
        assert reason in str(caught.value)


def test_a_function_or_data_set_that_raises_is_told_with_its_error(
    monkeypatch: pytest.MonkeyPatch, returned: Callable[[object], str]
) -> None:
    class Raising(Listed):
        def __getitem__(self, row: int) -> object:
            raise OSError("disk\ngone")

    with pytest.raises(InputError, match="example 0 raised OSError: disk gone"):
        decode(returned((Raising(pairs()), None)))
    monkeypatch.setattr("mine.load", lambda: 1 / 0)
    with pytest.raises(InputError, match="dataset 'mine:load' raised ZeroDivisionError: division by zero"):
        decode("mine:load")
