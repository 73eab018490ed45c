"""Folders of image files, one sub-folder a class, as torchvision's ``ImageFolder`` and ImageNet have them.

``PATH/train`` and ``PATH/test`` or ``PATH/val`` are splits if they hold class folders; otherwise the folders
in ``PATH`` are the classes. Validation is drawn from the training split for every source alike, so ``val``
is what the run never sees: the test split, as ImageNet's ``val`` is by custom (its own ``test`` has no
labels). Where both have class folders ``test`` is used and ``val`` is not.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from adasearch.callbacks import Progress
from adasearch.data.sources.base import Kind, Listing, picture
from adasearch.errors import InputError

__all__ = ["FOLDER"]


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


def _open(place: str, progress: Progress) -> Listing:
    root = Path(place).expanduser()
    if not root.is_dir():
        raise InputError(f"dataset folder:{place}: no such folder")
    train, test = _splits(root)
    classes = _class_folders(train)
    if not classes:
        raise InputError(
            f"dataset folder:{place}: expected a folder for each class in {train} but found none"
        )
    extra = sorted(set(_class_folders(test)) - set(classes)) if test else []
    if extra:
        raise InputError(
            f"dataset folder:{place}: {test} has a class {extra[0]!r} that is not among the "
            f"{len(classes)} classes in {train}"
        )
    files, labels = _files(train, classes, progress)
    test_from = None
    if test:
        test_from = len(files)
        more, more_labels = _files(test, classes, progress, some_empty=True)
        files, labels = files + more, labels + more_labels
    names, state = hashlib.sha256(), hashlib.sha256(str(root.absolute()).encode())
    relative = []
    for done, (path, label) in enumerate(zip(files, labels, strict=True), start=1):
        found = os.stat(path)
        relative.append(os.path.relpath(path, root))
        names.update(f"{relative[-1]}\0{found.st_size}\0{label}\n".encode())
        state.update(f"{relative[-1]}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
        if done % 1000 == 0 or done == len(files):
            progress("looking at image files", done, len(files))
    return Listing(
        reader=_FileReader(str(root), relative),
        labels=np.array(labels, dtype=np.int64),
        classes=len(classes),
        test_from=test_from,
        flip=True,
        names=f"{names.hexdigest()} {classes} {test_from}",
        state=state.hexdigest(),
    )


def _splits(root: Path) -> tuple[Path, Path | None]:
    """Return the folder with the classes to train on, and that of the test split if there is one."""
    if not _class_folders(root / "train"):
        return root, None
    tests = [root / name for name in ("test", "val") if _class_folders(root / name)]
    return root / "train", tests[0] if tests else None


def _class_folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except OSError:
        return []


def _files(
    folder: Path, classes: Sequence[str], progress: Progress, *, some_empty: bool = False
) -> tuple[list[str], list[int]]:
    """Return the image files of a split, class after class, and the label of each."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        try:
            found = make_dataset(folder, {name: label}, IMG_EXTENSIONS, allow_empty=some_empty)
        except FileNotFoundError:
            raise InputError(
                f"class folder {folder / name} has no image file ({' '.join(IMG_EXTENSIONS)})"
            ) from None
        files += [path for path, _ in found]
        labels += [label] * len(found)
        progress(f"listing {folder.name}", label + 1, len(classes))
    return files, labels


FOLDER = Kind(
    usage="folder:PATH",
    what="image files in a folder per class, also below train/ and val/ (or test/), as ImageNet has them",
    open=_open,
)
