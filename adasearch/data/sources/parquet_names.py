"""What the name of a Parquet file says: its split, its configuration, and which part of them it is.

A part is what its name counts: ``N-of-TOTAL``; a number behind a split, behind ``part``, ``shard`` and the
like, or by itself, in the file's name or in that of a folder below the split; a checksum. All other words and
numbers, and numbered folders above a split, tell configurations apart.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from adasearch.data.sources.split_names import SPLIT_COLUMNS, parted, split_of, splits_in

__all__ = ["ROOT", "SHARD", "Named", "named", "telling"]

ROOT = "."  # the configuration of files that name none
SHARD = re.compile(r"(?:^|[-_. ])(\d+)[-_.]of[-_.](\d+).*")  # with the hash that may follow

_UUID = re.compile(r"[-_.]?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}([-_.]c\d+)?", re.IGNORECASE)
_PARTS = ("part", "shard", "chunk", "batch", "file", "piece", "block", "rank", "worker")
_PLAIN = ("data", "image", "img")  # behind which a number counts, too
_CONFIGS = ("config", "subset", "version", "fold")  # keys of Hive folders that are not of one table
_NUMBERED = re.compile(r"([^\W\d_]*)(\d*)")
_CHECKSUM = re.compile(r"[0-9a-f]{6,}")
_ENDING = re.compile(r"(?<=.)-\d+$")
_NUMBER, _PART, _HASH, _LETTER = "number", "part", "hash", "letter"


class _Counter(NamedTuple):
    """What counts files: its kind and text."""

    kind: str
    text: str


_Row = tuple[_Counter, ...]


class Named(NamedTuple):
    """What the name of a file says.

    ``split`` is None where it names none. ``config`` is made of what neither splits nor counts; ``counters``
    stand in the order of the path, and files whose names differ in them alone have the same ``shape``.
    """

    path: str
    split: str | None
    folder: str
    words: str
    counters: _Row
    shape: str

    @property
    def config(self) -> str:
        """The folder and the words, or :data:`ROOT`."""
        return "/".join(part for part in (self.folder, self.words) if part) or ROOT

    def apart(self, count: int) -> "Named":
        """Return the same file where its first counters tell configurations apart."""
        texts = [counter.text for counter in self.counters[:count]]
        return self._replace(words="-".join(part for part in (self.words, *texts) if part))

    def numbered(self) -> "Named":
        """Return the same file where the number that its configuration ends with is of a part.

        >>> named("train_clean_0.parquet", None).numbered().config
        'clean'
        """
        words = _ENDING.sub("", self.words)
        return self if words == self.words else self._replace(words=words, shape=words)


def named(path: str, config: str | None) -> Named:
    """Return what a name, relative to the set, says; a folder called ``config`` is of no split.

    Raises:
        InputError: it names two splits.
    """
    whole = PurePosixPath(path)
    stem = SHARD.sub("", whole.stem)
    folders = list(whole.parts[:-1])
    of_splits = ["" if part == config or _is_column(part) else part for part in folders] + [stem]
    last = max((number for number, part in enumerate(of_splits) if splits_in(part)), default=-1)
    literals: list[str] = []
    counters: list[_Counter] = []
    shape: list[str] = []
    for number, part in enumerate([*folders, stem]):
        is_folder = number < len(folders)
        key = part.partition("=")[0].lower()
        if is_folder and "=" in part and key not in _CONFIGS and part != config:
            literals.append("")
            counters.append(_Counter(_PART, part))
            shape.append(key)
            continue
        chosen = is_folder and part == config
        words, counts = ([part], []) if chosen else _parsed(part, is_folder=is_folder, above=number < last)
        whole_folder = is_folder and not counts and (chosen or not splits_in(part))
        literals.append("-".join(words) if not whole_folder else "" if part.lower() == "data" else part)
        counters += counts
        shape.append("/".join([*words, *(kind for kind, _ in counts), *splits_in(part)]))
    if not splits_in(stem) and len(stem) == 1 and stem.isalpha():
        literals[-1], shape[-1] = "", _LETTER
        counters.append(_Counter(_LETTER, stem.lower()))
    shape.append("N-of-TOTAL" if SHARD.search(whole.stem) else "")
    return Named(
        path=path,
        split=split_of("/".join(part for part in of_splits if part)),
        folder="/".join(part for part in literals[:-1] if part),
        words=literals[-1],
        counters=tuple(counters),
        shape="//".join(shape),
    )


def _is_column(folder: str) -> bool:
    """Tell whether a folder names a value of a column, as ``label=test``, that is of no split."""
    key, sign, _ = folder.partition("=")
    return bool(sign) and key.lower() not in SPLIT_COLUMNS


def _parsed(part: str, *, is_folder: bool, above: bool) -> tuple[list[str], list[_Counter]]:
    """Return the words of a folder or of a file's stem that are none of a split, and what counts.

    ``above`` tells that a split is named further down, where plain numbers are of whole sets.
    """
    words: list[str] = []
    counters: list[_Counter] = []
    without = _UUID.sub("", part)
    if without != part:
        counters.append(_Counter(_PART, part))
    before = _NUMBER  # the kind of what a number that comes next would be
    for token in parted(without):
        found = _NUMBERED.fullmatch(token)
        word, digits = (found[1], found[2]) if found else (token, "")
        if _CHECKSUM.fullmatch(token) and not token.isdecimal() and not token.isalpha() and not is_folder:
            counters.append(_Counter(_HASH, token))
            continue
        plain = word.removesuffix("s") in _PLAIN
        if not word:
            pass
        elif splits_in(word):
            words += [] if found else re.findall(r"\d+", word)  # of 2014train
            before = _NUMBER
        elif word.removesuffix("s") in _PARTS:
            before = _PART
        elif plain or not digits:
            words.append(word)
            before = _NUMBER if plain else ""
        else:
            words.append(token)  # v2, fold0, 10k
            before = ""
            continue
        if digits and before and not (above and before == _NUMBER):
            counters.append(_Counter(before, digits))
        elif digits:
            words.append(digits)
    return words, counters


def telling(rows: Sequence[Sequence[_Counter]], *, marked: bool) -> int:
    """Return how many of the first counters of files of one shape tell no parts of one set apart.

    Plain numbers count parts from 0 or 1 without a gap, folder by folder or all through. ``marked`` are files
    whose names end with their number and how many there are, which is checked elsewhere.
    """
    found = [tuple(row) for row in rows]
    most = len(found[0])
    if most and found[0][-1].kind == _NUMBER and _counted([row[-1:] for row in found], marked):
        return 0
    for count in range(most):
        if all(_counted(rest, marked) for rest in _by_first(found, count).values()):
            return count
    return most


def _by_first(rows: list[_Row], count: int) -> dict[_Row, list[_Row]]:
    """Return what follows the first counters, by these."""
    grouped: dict[_Row, list[_Row]] = {}
    for row in rows:
        grouped.setdefault(row[:count], []).append(row[count:])
    return grouped


def _counted(rows: list[_Row], marked: bool) -> bool:
    if len(rows) == 1:
        return True
    if not rows[0]:
        return marked
    kind = rows[0][0].kind
    grouped = _by_first(rows, 1)
    if len(grouped) > 1 and not _in_order(kind, [first.text for (first,) in grouped]):
        return False
    return all(_counted(rest, marked or kind == _PART) for rest in grouped.values())


def _in_order(kind: str, texts: list[str]) -> bool:
    if kind == _PART:
        return True
    if kind == _HASH:  # of one length, and most of them mix letters and digits as no word and year does
        mixed = sum(len(re.findall(r"\d+|\D+", text)) > 2 for text in texts)
        return len(set(map(len, texts))) == 1 and 2 * mixed > len(texts)
    numbers = sorted(int(text) if kind == _NUMBER else ord(text) - ord("a") for text in texts)
    return numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
