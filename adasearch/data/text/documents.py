"""Text in files, document by document: a file, a folder, a glob, or the standard library's own source."""

import glob
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adasearch.callbacks import Progress
from adasearch.data.sources.split_names import is_hidden, splits_in
from adasearch.data.spec import Selection
from adasearch.errors import InputError

__all__ = ["Document", "Texts", "python_source", "text_files"]

NOT_TEXT = 8192  # bytes of a file within which a zero byte tells that it is no text, as git has it
LEFT_OUT = frozenset({"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "lib2to3"})
"""Folders beside the standard library's own modules, or such as not every installation has."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text, and the split that its file's name or folder says: "train", "validation", "test", or None."""

    text: bytes
    split: str | None = None


Texts = tuple[list[Document], Sequence[str]]
"""Documents, and lines about what was left out."""


def python_source(place: str, selection: Selection, progress: Progress) -> Texts:  # noqa: ARG001
    """Return the modules of the standard library, by name.

    Raises:
        InputError: this Python has none of them as source.
    """
    root = Path(sysconfig.get_path("stdlib"))
    files = [path for path in root.rglob("*.py") if not LEFT_OUT & set(path.relative_to(root).parts)]
    found = _texts(sorted(files), root, progress)
    if not found:
        raise InputError(f"dataset python_source: {root} has no source of the standard library")
    return [Document(each.text) for each in found], ()


def text_files(place: str, selection: Selection, progress: Progress) -> Texts:  # noqa: ARG001
    """Return the texts at a file, a folder with all below it, or a glob, by name.

    Splits are told by the first folder below the place, or by the names of files that lie in it, where one of
    them names the training split; files that then name none are left out.

    Raises:
        InputError: nothing is there, or nothing of it is text.
    """
    path = Path(place).expanduser()
    if path.is_file():
        root, files = path.parent, [path]
    elif path.is_dir():
        root, files = path, [each for each in path.rglob("*") if each.is_file()]
        files = [each for each in files if not any(map(is_hidden, each.relative_to(root).parts))]
    else:
        files = [Path(each) for each in glob.glob(str(path), recursive=True) if Path(each).is_file()]
        root = Path(str(path).partition("*")[0]).parent if files else path
        if not files:
            raise InputError(f"dataset text:{place}: no such file or folder, and no file of that pattern")
    found = _texts(sorted(files), root, progress)
    if not any(each.text.strip() for each in found):
        raise InputError(
            f"dataset text:{place}: no text in {len(files):,} files (binary and empty ones are none)"
        )
    if not any(each.split == "train" for each in found) or len({each.split for each in found}) < 2:
        return [Document(each.text) for each in found], ()
    named = [each for each in found if each.split is not None]
    left = len(found) - len(named)
    return named, [f"{left:,} files that name no split are left out"] if left else ()


def _texts(files: Sequence[Path], root: Path, progress: Progress) -> list[Document]:
    found = []
    for done, file in enumerate(files):
        if done % 100 == 0:
            progress("reading text", done, len(files))
        try:
            text = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
        if text and b"\0" not in text[:NOT_TEXT]:
            found.append(Document(text, _split(file, root)))
    progress("reading text", len(files), len(files))
    return found


def _split(file: Path, root: Path) -> str | None:
    try:
        first = file.relative_to(root).parts[0]
    except ValueError:  # of a pattern with several folders
        first = file.name
    names = splits_in(Path(first).stem if first == file.name else first)
    return names.pop() if len(names) == 1 else None
