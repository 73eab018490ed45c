"""A folder of images as a tree, and which of its folders are the splits of a set and which the classes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

from adasearch.data.sources.split_names import (
    SPLITS,
    is_hidden,
    is_like_split_name,
    is_split_name,
    refuse_hidden_splits,
    splits_in,
)
from adasearch.errors import InputError, few, unknown

__all__ = ["EXTENSIONS", "Folder", "scan", "splits_of"]

EXTENSIONS = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".ppm",
    ".pgm",
    ".pnm",
    ".bmp",
    ".tif",
    ".tiff",
    ".webp",
    ".gif",
    ".avif",
    ".jp2",
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder: the images in it, its other files, and the folders below; nothing hidden."""

    path: str
    images: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: dict[str, "Folder"] = field(default_factory=dict)

    def walk(self) -> Iterator["Folder"]:
        """Yield this folder and all below it."""
        yield self
        for folder in self.folders.values():
            yield from folder.walk()

    @property
    def count(self) -> int:
        """How many images there are, here and below."""
        return sum(len(folder.images) for folder in self.walk())

    @property
    def filled(self) -> dict[str, "Folder"]:
        """The folders that hold images."""
        return {name: folder for name, folder in self.folders.items() if folder.count}

    @property
    def has_classes(self) -> bool:
        """Whether folders with images lie in it."""
        return bool(self.filled)

    def unwrapped(self, *, into_splits: bool = False) -> "Folder":
        """Return the first folder, from this one down, that is not just around another with classes in it."""
        filled = self.filled
        if self.images or len(filled) != 1:
            return self
        (name, inner), *_ = filled.items()
        if inner.images or not inner.has_classes or (splits_in(name) and not into_splits):
            return self
        return inner.unwrapped(into_splits=into_splits)

    def files(self) -> list[str]:
        """Return the paths of all images, folder after folder by name, as torchvision's reader has them."""
        by_path = sorted(self.walk(), key=lambda folder: folder.path)
        return [os.path.join(folder.path, name) for folder in by_path for name in sorted(folder.images)]


def scan(
    path: str, where: str, around: frozenset[str] = frozenset(), known: dict[str, str] | None = None
) -> Folder:
    """Return the tree of a folder; ``known`` are those that were found, by where they really are.

    Raises:
        InputError: a link goes round, or two folders are one.
        OSError: a folder cannot be read.
    """
    found = Folder(path)
    known = {} if known is None else known
    real = os.path.realpath(path)
    if real in around:
        raise InputError(f"{where}: {path} is a link to a folder around it")
    if real in known:
        raise InputError(f"{where}: {known[real]} and {path} are one folder, by a link")
    known[real] = path
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                found.folders[entry.name] = scan(entry.path, where, around | {real}, known)
            else:
                (found.images if entry.name.lower().endswith(EXTENSIONS) else found.others).append(entry.name)
    return found


def splits_of(root: Folder, chosen: str | None, where: str) -> tuple[dict[str, list[Folder]], list[str]]:
    """Return the folder with the classes of each split, if there is one, and lines about what is left out.

    ``chosen`` is the name of the split to train on.

    Raises:
        InputError: nobody can tell splits from classes, or what was chosen is not there.
    """
    level = root.unwrapped()
    filled = level.filled
    found: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name, folder in filled.items():
        for split in splits_in(name) if folder.has_classes else ():
            found[split].append(name)
    if chosen is not None:
        found = _with_chosen(found, filled, chosen, where)
    elif not any(found.values()):
        _refuse_flat(level, where)
        return {"train": [level], "validation": [], "test": []}, []
    else:
        _refuse_unclear(found, level, where)
    splits = {
        split: [filled[name].unwrapped(into_splits=True) for name in names] for split, names in found.items()
    }
    notes = _notes_of_places(splits) if chosen is None else []
    notes += [
        f"folder {name} is left out, since it holds no folder for each class"
        for name in filled
        if len(filled[name].unwrapped().filled) < 2 and not any(name in names for names in found.values())
    ]
    return splits, notes


def _notes_of_places(splits: dict[str, list[Folder]]) -> list[str]:
    """Return a line where the classes of the splits lie in folders of different names, as domains have."""
    places = {
        split: [part.lower() for part in PurePath(folder.path).parts if not splits_in(part)]
        for split, folders in splits.items()
        for folder in folders
    }
    if all(place == places["train"] for place in places.values()):
        return []
    return ["; ".join(f"{split} is in {folders[0].path}" for split, folders in splits.items() if folders)]


def _with_chosen(
    found: dict[str, list[str]], filled: dict[str, Folder], chosen: str, where: str
) -> dict[str, list[str]]:
    """Return the folders of each split where the user names the one to train on."""
    same = [name for name in filled if name.lower() == chosen.lower()]
    same = same or [name for split in splits_in(chosen) for name in found[split]]
    if len(same) != 1:
        raise unknown(f"split of {where}", chosen, filled)
    chosen_splits = {"train": same}
    for split in ("validation", "test"):
        others = [name for name in found[split] if name not in same]
        chosen_splits[split] = [name for name in others if is_split_name(name)] or others
        if len(chosen_splits[split]) > 1:
            raise InputError(f"{where}: {few(chosen_splits[split])} are folders of the same split")
    return chosen_splits


def _refuse_unclear(found: dict[str, list[str]], level: Folder, where: str) -> None:
    """Refuse folders of which some are splits with classes, and which do not make one set."""
    names = [name for of in found.values() for name in of]
    twice = next((of for of in found.values() if len(of) > 1), None)
    others = [
        name
        for name, folder in level.filled.items()
        if name not in names and len(folder.unwrapped().filled) > 1
    ]
    if twice:
        problem = f"{few(twice)} are folders of the same split"
    elif len(set(names)) < len(names):
        problem = f"{few([name for name in names if names.count(name) > 1][:1])} names two splits"
    elif others:
        problem = f"{few(names)} are called as splits but {few(others)} not"
    elif not found["train"]:
        problem = f"only {few(names)} found, no training data"
    else:
        return
    raise InputError(
        f"{where}: {problem}; --split NAME trains on one of the folders, and classes called as splits belong "
        "below a folder train"
    )


def _refuse_flat(level: Folder, where: str) -> None:
    """Refuse folders with images in them, of which some are called as splits and may be no classes.

    A class may be called ``train``, as the vehicle is, or ``bullet_train``.
    """
    names = list(level.filled)
    refuse_hidden_splits(names, where)
    splits = {split for name in names for split in splits_in(name)}
    trains = [name for name in names if is_split_name(name) and splits_in(name) == {"train"}]
    held_out = [name for name in names if is_like_split_name(name) and name not in trains]
    all_are = all(splits_in(name) for name in names) and (len(splits) > 1 or any(map(is_split_name, names)))
    if held_out or (names and all_are):
        raise InputError(
            f"{where}: {few(held_out or names)} may be a split or a class, since images lie in it without a "
            "folder for each class; put the classes below a folder train, or leave it out"
        )
