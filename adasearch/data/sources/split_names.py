"""Which names mean which split, for files and folders alike, as the Hugging Face Hub documents them."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TypeVar

from adasearch.errors import InputError, few

__all__ = [
    "HIDDEN",
    "SPLITS",
    "SPLIT_COLUMNS",
    "held_out",
    "is_hidden",
    "is_like_split_name",
    "is_split_name",
    "parted",
    "refuse_hidden_splits",
    "split_of",
    "splits_in",
    "words_of",
]

T = TypeVar("T")

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLIT_COLUMNS = {
    *("split", "splits", "data_split", "dataset_split", "split_name", "subset", "partition", "set", "phase"),
    "usage",
}
"""Columns whose values may name splits, in lower case."""
_SPLIT_OF = {word: split for split, words in SPLITS.items() for word in words}
_WORD = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # of TrainImages
_ANY = "|".join(sorted(_SPLIT_OF, key=len, reverse=True))
_OF_A_SET = re.compile(rf"({_ANY})(set|data|images|imgs)s?")  # testset
_WITH_SPLITS = {"set", "data", "dataset", "images", "image", "imgs", "img", "split", "folder", "samples"}
_INSIDE = re.compile(_ANY)

HIDDEN = (
    *(".", "__macosx", "__pycache__", "@eadir", "thumbs.db", "desktop.ini", "$recycle.bin", "lost+found"),
    "system volume information",
)
"""How names begin, in lower case, that a system has put there, at any level: not of the set."""


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case: what stands between signs, digits and humps.

    >>> words_of("my-Set_train.00000"), words_of("TestImages2")
    (['my', 'set', 'train'], ['test', 'images'])
    """
    return _WORD.findall(_HUMP.sub(" ", name).lower())


def parted(name: str) -> list[str]:
    """Return what stands between the signs and humps of a name, in lower case, with its digits.

    >>> parted("my-Set_train.00000"), parted("TestImages2")
    (['my', 'set', 'train', '00000'], ['test', 'images2'])
    """
    return _TOKEN.findall(_HUMP.sub(" ", name).lower())


def splits_in(name: str) -> set[str]:
    """Return the splits that a name of a file or folder has among its words.

    >>> splits_in("Train_set"), splits_in("testudo"), sorted(splits_in("train-test"))
    ({'train'}, set(), ['test', 'train'])
    """
    found = set()
    for word in words_of(name):
        joined = _OF_A_SET.fullmatch(word)
        split = _SPLIT_OF.get(joined[1] if joined else word)
        if split:
            found.add(split)
    return found


def split_of(path: str) -> str | None:
    """Return the split that a path names, by its file or by a folder above it; None if none.

    Raises:
        InputError: it names two.
    """
    parts = PurePosixPath(path).parts
    found = {split for part in parts for split in splits_in(part)}
    if len(found) > 1:
        raise InputError(
            f"{path} names two splits, {' and '.join(sorted(found))}; give the folder that is no split as "
            "--config NAME, or as part of the set's path"
        )
    return found.pop() if found else None


def refuse_hidden_splits(names: Sequence[str], where: str) -> None:
    """Refuse names that name no split but differ in one inside a word: mytrain, mytest.

    Raises:
        InputError: with the names.
    """
    alike: dict[str, dict[str, str]] = {}
    for name in names:
        word = "".join(words_of(name))
        found = _INSIDE.search(word)
        if found and not splits_in(name):
            alike.setdefault(_INSIDE.sub("*", word), {})[found[0]] = name
    for same in alike.values():
        if len(same) > 1:
            raise InputError(
                f"{where}: {few(sorted(same.values()))} may be splits, whose names are told where signs are "
                "around them, as in my_train"
            )


def is_split_name(name: str) -> bool:
    """Tell whether a whole name, in any case, is that of a split.

    >>> is_split_name("Valid"), is_split_name("bullet_train")
    (True, False)
    """
    return name.lower() in _SPLIT_OF


def is_like_split_name(name: str) -> bool:
    """Tell whether a name has words of splits alone, and words that go with them.

    >>> is_like_split_name("validation_set2"), is_like_split_name("test tube")
    (True, False)
    """
    return bool(splits_in(name)) and all(splits_in(word) or word in _WITH_SPLITS for word in words_of(name))


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder is hidden, or left by a system: .DS_Store, ._1.png, __MACOSX.

    >>> is_hidden("._1.png"), is_hidden("1.png")
    (True, False)
    """
    return name.lower().startswith(HIDDEN)


def held_out(splits: dict[str, list[T]]) -> list[str]:
    """Let the validation split be the test split where there is none; return a line that says so."""
    if splits["test"] or not splits["validation"]:
        return []
    splits["test"], splits["validation"] = splits["validation"], []
    return [
        "there is no labelled test split, so the validation split is the test split, as ImageNet has it, and "
        "images to validate with are drawn from the training split"
    ]
