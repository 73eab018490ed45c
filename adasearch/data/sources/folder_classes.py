"""Whether folders with images are the classes of a set, or something else that looks alike by its shape."""

import os
from collections import Counter
from pathlib import PurePath

from adasearch.data.sources.folder_tree import Folder
from adasearch.data.sources.split_names import is_split_name, splits_in, words_of
from adasearch.errors import InputError, few

__all__ = ["labels_in_files", "notes_of_classes", "notes_of_tables", "refuse_other_trees"]

_IMAGES = {
    *("image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "jpegimages", "rgb"),
    *("frame", "frames", "original", "originals", "raw", "input", "inputs"),
}
_NEVER_CLASSES = {
    *("annotation", "annotations", "annots", "labels", "segmentation", "segmentations", "bbox", "bboxes"),
    *("groundtruth", "trimap", "trimaps"),
}
_MASKS = _NEVER_CLASSES | {"mask", "masks", "label", "gt", "depth", "edges", "heatmaps", "target", "targets"}
"""Of these some may be classes, as a mask that is worn is, where nothing beside them is called images."""
_OTHERS = _IMAGES | {"class", "object"}
_TABLES = (".csv", ".tsv", ".txt", ".lst", ".jsonl", ".json", ".parquet", ".xlsx", ".mat")
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "labels.csv")


def refuse_other_trees(level: Folder, where: str) -> None:
    """Refuse folders that are domains or folds, each with the same classes, and masks beside images.

    ``level`` is the folder with what is taken for the classes.

    Raises:
        InputError: with their names, and what to give instead.
    """
    _refuse_masks(level, where)
    inner = {name: folder.unwrapped(into_splits=True) for name, folder in level.filled.items()}
    below = {name: list(folder.filled) for name, folder in inner.items() if not folder.images}
    often = Counter(name for names in below.values() for name in names)
    shared = sorted(
        name for name, count in often.items() if count > 1 and not (_is_year(name) or is_split_name(name))
    )
    if len(shared) > 1:
        tops = [name for name, names in below.items() if set(shared) & set(names)]
        raise InputError(
            f"{where}: {few(tops)} hold folders of the same names, {few(shared)}, so nobody can tell which "
            f"of both are the classes; give one of them, as folder:{os.path.join(level.path, tops[0])}, or "
            "one folder for each class without others in it"
        )


def _is_year(name: str) -> bool:
    return name.isdecimal() and len(name) == 4


def _refuse_masks(level: Folder, where: str) -> None:
    for folder in level.walk():
        images = [name for name in folder.filled if _called(name, _IMAGES) and not _called(name, _MASKS)]
        beside = bool(images or (folder.images and folder is not level))
        if not beside and folder is not level:
            continue
        found = [name for name in folder.filled if _called(name, _MASKS if beside else _NEVER_CLASSES)]
        if not found:
            continue
        instead = f"move {few(found)} out of {folder.path}"
        if images and folder is level and folder.filled[images[0]].has_classes:
            instead = f"give folder:{os.path.join(folder.path, images[0])}"
        raise InputError(
            f"{where}: {os.path.join(folder.path, found[0])} is called as what tells of images, not as a "
            f"class of them; {instead}"
        )


def _called(name: str, words: set[str]) -> bool:
    """Tell whether a name is made of such words, and of words for images and splits, alone."""
    parts = words_of(name)
    if "".join(parts) in words:
        return True
    others = {part for part in parts if part not in words}
    return len(others) < len(parts) and all(part in _OTHERS or splits_in(part) for part in others)


def labels_in_files(level: Folder) -> str:
    """Return the end of a message where tables lie beside images that no class folder holds."""
    tables = [name for folder in level.walk() for name in folder.others if name.lower().endswith(_TABLES)]
    return f"; labels in files ({few(tables, 2)}) are not read" if tables else ""


def notes_of_classes(level: Folder) -> list[str]:
    """Return a line about folders below the classes."""
    several = [of for of in level.filled.values() if sum(bool(inner.images) for inner in of.walk()) > 1]
    deeper = [inner.path for of in several for inner in list(of.walk())[1:] if inner.images]
    notes = []
    if deeper:
        one = os.path.relpath(deeper[0], level.path)
        notes.append(
            f"images in folders below the classes ({len(deeper):,}, as {one}) are of the class above"
        )
    return notes


def notes_of_tables(root: Folder) -> list[str]:
    """Return a line about files that may tell labels or splits, which are not read."""
    told = [
        os.path.relpath(os.path.join(folder.path, name), root.path)
        for folder in root.walk()
        for name in (folder.others if folder.filled or not folder.images else ())  # not within a class
        if name.lower() in _METADATA or (name.lower().endswith(_TABLES) and splits_in(PurePath(name).stem))
    ]
    return [f"not read: {few(told, 3)}; folders tell classes and splits"] if told else []
