"""Folders of image files, one sub-folder a class, as torchvision's ``ImageFolder`` and ImageNet have them.

Where folders are called as splits and hold class folders they are the splits, by the names of
:mod:`adasearch.data.sources.split_names`; otherwise the folders are the classes. Folders around the set, as
an archive leaves them, are gone through. Images lie at any depth below their class.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
from PIL import Image

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Kind, Listing
from adasearch.data.sources.decoding import frames_in, picture
from adasearch.data.sources.folder_classes import (
    labels_in_files,
    notes_of_classes,
    notes_of_tables,
    refuse_other_trees,
)
from adasearch.data.sources.folder_tree import EXTENSIONS, Folder, scan, splits_of
from adasearch.data.sources.split_names import held_out, is_split_name
from adasearch.data.spec import Selection
from adasearch.errors import InputError, few, one_line

__all__ = ["FOLDER"]

FRAMED = {".gif", ".png", ".webp", ".tif", ".tiff", ".avif"}


class _FileReader:
    """Image files by name; an Arrow array of names takes little memory in every process that reads."""

    def __init__(self, root: str, names: Sequence[str]) -> None:
        self._root = root
        self._names = pa.array(names, pa.large_string())

    def _path(self, row: int) -> str:
        return os.path.join(self._root, self._names[row].as_py())

    def image(self, row: int) -> Image.Image:
        """Return a file's picture."""
        return picture(self._path(row), self.where(row))

    def where(self, row: int) -> str:
        """Name the file."""
        return f"image file {self._path(row)}"


def _open(place: str, selection: Selection, progress: Progress) -> Listing:
    where = f"dataset folder:{place}"
    root = Path(place).expanduser()
    if not root.is_dir():
        raise InputError(f"{where}: no such folder")
    try:
        tree = scan(str(root), where)
    except OSError as error:
        raise InputError(f"{where} cannot be read: {one_line(error)}") from error
    splits, notes = splits_of(tree, selection.split, where)
    train = splits["train"][0]
    classes = list(train.folders)
    if len(classes) < 2:
        found = f"{classes[0]!r} alone" if classes else "none"
        raise InputError(
            f"{where}: expected a folder for each class in {train.path} but found {found}"
            + labels_in_files(train)
        )
    refuse_other_trees(train, where)
    notes += [*notes_of_classes(train), *notes_of_tables(tree)]
    for split in ("validation", "test"):
        notes += _checked(splits, split, classes, where)
    notes += held_out(splits)
    paths: list[str] = []
    labels: list[int] = []
    starts: dict[str, int | None] = {}
    for split, folders in splits.items():
        starts[split] = len(paths) if folders else None
        for folder in folders:
            more, more_labels = _files(folder, classes, where, progress, some_empty=split != "train")
            paths, labels = paths + more, labels + more_labels
            notes += _left_out(folder)
    notes += _with_frames(paths)
    try:
        return _listing(root, paths, labels, classes, starts, notes, progress)
    except (OSError, UnicodeError) as error:  # links to nothing, names that are no text
        raise InputError(f"{where} cannot be read: {one_line(error)}") from error


def _checked(splits: dict[str, list[Folder]], split: str, classes: Sequence[str], where: str) -> list[str]:
    """Leave a split without labels out, and return a line that says so.

    Raises:
        InputError: it has a class that training lacks.
    """
    for folder in splits[split]:
        extra = [name for name in folder.filled if name not in classes]
        if len(folder.filled) == len(extra) == 1 and not folder.filled[extra[0]].has_classes:
            splits[split] = []
            return [f"the {split} split is left out, since {folder.path} holds no folder for each class"]
        if extra:
            raise InputError(
                f"{where}: {folder.path} has a class {few([repr(name) for name in extra])} that is not among "
                f"the {len(classes)} classes in {splits['train'][0].path}"
            )
    return []


def _files(
    folder: Folder, classes: Sequence[str], where: str, progress: Progress, *, some_empty: bool
) -> tuple[list[str], list[int]]:
    """Return the image files of a split, class after class, and the label of each.

    Raises:
        InputError: a class has no image, or holds a folder called as a split or as another class. That is a
            part of the set, or a copy of it, which would be trained on as one class.
    """
    files: list[str] = []
    labels: list[int] = []
    known = set(classes)
    for label, name in enumerate(classes):
        below = folder.folders.get(name)
        for inner in list(below.walk())[1:] if below else ():
            called = PurePath(inner.path).name
            if is_split_name(called):
                raise InputError(
                    f"{where}: class folder {name} holds a folder called as a split: {inner.path}"
                    + (f"; give folder:{os.path.join(folder.path, name)}" if inner.has_classes else "")
                )
            if called != name and called in known and inner.count:
                raise InputError(
                    f"{where}: class folder {name} holds a folder called as another class: {inner.path}"
                )
        found = below.files() if below else []
        if not found and not some_empty:
            raise InputError(
                f"class folder {os.path.join(folder.path, name)} has no image file ({few(EXTENSIONS)})"
            )
        files += found
        labels += [label] * len(found)
        progress(f"listing {PurePath(folder.path).name}", label + 1, len(classes))
    return files, labels


def _left_out(folder: Folder) -> list[str]:
    """Return lines about files of a split that are no examples."""
    notes = []
    if folder.images:
        notes.append(f"left out: {len(folder.images):,} images of {folder.path} that are in no class folder")
    others = [name for below in folder.folders.values() for each in below.walk() for name in each.others]
    if others:
        kinds = few(sorted({PurePath(name).suffix.lower() or name for name in others}))
        notes.append(f"left out: {len(others):,} below {folder.path} that are no images ({kinds})")
    return notes


def _with_frames(paths: Sequence[str]) -> list[str]:
    """Return a line about pictures that move, or have pages, by the first file of each kind that may."""
    firsts: dict[str, str] = {}
    for path in paths:
        firsts.setdefault(PurePath(path).suffix.lower(), path)
    for kind in sorted(FRAMED & set(firsts)):
        count = frames_in(firsts[kind])
        if count > 1:
            return [
                f"of files with several frames, as {firsts[kind]} with {count}, the first one is trained on"
            ]
    return []


def _listing(
    root: Path,
    paths: Sequence[str],
    labels: Sequence[int],
    classes: Sequence[str],
    starts: dict[str, int | None],
    notes: Sequence[str],
    progress: Progress,
) -> Listing:
    names, state = hashlib.sha256(), hashlib.sha256(str(root.absolute()).encode())
    relative = []
    for done, (path, label) in enumerate(zip(paths, labels, strict=True), start=1):
        found = os.stat(path)
        if not found.st_size:
            raise InputError(f"image file {path} is empty")
        relative.append(os.path.relpath(path, root))
        names.update(f"{relative[-1]}\0{found.st_size}\0{label}\n".encode())
        state.update(f"{relative[-1]}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
        if done % 1000 == 0 or done == len(paths):
            progress("looking at image files", done, len(paths))
    val_from, test_from = starts["validation"], starts["test"]
    own = "" if val_from is None else f" {val_from}"
    state.update(f"{val_from} {test_from}".encode())
    return Listing(
        reader=_FileReader(str(root), relative),
        labels=np.array(labels, dtype=np.int64),
        classes=len(classes),
        test_from=test_from,
        flip=True,
        names=f"{names.hexdigest()} {classes} {test_from}{own}",
        state=state.hexdigest(),
        val_from=val_from,
        class_names=classes,
        notes=notes,
    )


FOLDER = Kind(
    usage="folder:PATH",
    what="image files in a folder per class, also below train/, validation/ and test/, as ImageNet has them",
    open=_open,
    selects=frozenset({"split"}),
)
