"""Which Parquet files are of which split and configuration, told by their names.

A split stands in a file's name between signs (``my_train_1.parquet``, ``train-00000-of-00002.parquet``) or is
a folder's name (``full/train/0000.parquet``). Files that name none are the training split where nothing else
is, as ``0000.parquet`` or ``a.parquet``. A configuration is what else names tell apart: the folder, or the
words beside the split.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from adasearch.data.sources.split_names import SPLITS, refuse_hidden_splits, split_of, splits_in, words_of
from adasearch.data.spec import Selection
from adasearch.errors import InputError, few, unknown

__all__ = ["files_by_split", "refuse_broken_shards"]

_SHARD = re.compile(r"[-_.](\d+)[-_.]of[-_.](\d+).*")  # with the hash that may follow
_NUMBERED = re.compile(r"((part|shard|chunk|batch|data)?[-_]?\d+|data|.*=.*)", re.IGNORECASE)
_COUNTED = re.compile(r"(?!v\d).*\d.*|[0-9a-f]{4,}|.?")  # part7, a hash, a letter; not v2, a version
ROOT = "."  # the configuration of files that name none


class _Named(NamedTuple):
    """What the name of a file says; its split is None where it names none."""

    path: str
    split: str | None
    folder: str
    words: str

    @property
    def config(self) -> str:
        return "/".join(part for part in (self.folder, self.words) if part) or ROOT


def files_by_split(paths: Sequence[str], selection: Selection, where: str) -> dict[str, list[str]]:
    """Return the files of each split, "train", "validation" and "test", by name.

    ``paths`` are relative to the set.

    Raises:
        InputError: several configurations or splits could be meant, or what was selected is not there.
    """
    files = [_named(path, selection.config) for path in sorted(paths)]
    files = _of_config(files, selection.config, where)
    files = _of_split(files, selection.split, where)
    found = {split: [file.path for file in files if file.split == split] for split in SPLITS}
    if not found["train"]:
        there = few([split for split, of in found.items() if of])
        raise InputError(f"{where}: only {there} files found, no training data; --split NAME trains on one")
    return found


def refuse_broken_shards(by_split: Mapping[str, Sequence[str]], where: str) -> None:
    """Refuse a split of which a numbered file is missing, or that is there in two versions.

    Less or more than the set would be trained on, and nothing else tells so. Files are of one count where
    their folder and all before their number is the same. They count from 0, or from 1.

    Raises:
        InputError: with the split and these files.
    """
    for split, paths in by_split.items():
        groups: dict[str, list[tuple[int, int, str]]] = {}
        for path in paths:
            whole = PurePosixPath(path)
            shard = _SHARD.search(whole.stem)
            if shard:
                group = str(whole.with_name(whole.stem[: shard.start()] + "-"))
                groups.setdefault(group, []).append((int(shard[1]), int(shard[2]), path))
        for shards in groups.values():
            numbers = sorted(number for number, _, _ in shards)
            counted = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] in (0, 1)
            if not counted or {total for _, total, _ in shards} != {len(shards)}:
                raise InputError(
                    f"{where}: the {split} split is not whole: {few([path for _, _, path in shards])}; of "
                    "files called N-of-TOTAL each number must be there once, with the same total"
                )


def _named(path: str, config: str | None) -> _Named:
    whole = PurePosixPath(path)
    folders = [part for part in whole.parts[:-1] if part != config]
    stem = _SHARD.sub("", whole.stem)
    split = split_of("/".join([*folders, stem]))
    chosen = [config] if len(folders) < len(whole.parts) - 1 and config else []
    others = [part for part in folders if not splits_in(part) and not _NUMBERED.fullmatch(part)]
    tokens = [token for token in re.split(r"[\W_]+", stem.lower()) if not _COUNTED.fullmatch(token)]
    words = [token for token in tokens if not splits_in(token)] if splits_in(stem) else []
    return _Named(path, split, "/".join([*chosen, *others]), "-".join(words))


def _of_config(files: list[_Named], config: str | None, where: str) -> list[_Named]:
    """Return the files of one configuration, and for splits that it lacks those of none."""
    configs = sorted({file.config for file in files})
    if config is not None:
        if config not in configs:
            raise unknown(f"configuration of {where}", config, configs)
        own = [file for file in files if file.config == config]
        had = {file.split or "train" for file in own}
        return own + [f for f in files if f.config == ROOT != config and (f.split or "train") not in had]
    folders = {file.folder for file in files} - {""}
    by_split = Counter(split for split, _ in {(file.split or "train", file.config) for file in files})
    if len(folders) > 1 or max(by_split.values()) > 1:
        rivals = sorted({f.config for f in files if len(folders) > 1 or by_split[f.split or "train"] > 1})
        raise InputError(
            f"{where} holds {len(rivals)} configurations: {few(rivals)}; --config NAME takes one of them"
        )
    return files


def _of_split(files: list[_Named], split: str | None, where: str) -> list[_Named]:
    """Return the files with the training split named, and those of no split left out."""
    unnamed = [file for file in files if file.split is None]
    if split is None:
        if not any(file.split == "train" for file in files):
            refuse_hidden_splits([PurePosixPath(file.path).stem for file in unnamed], where)
            return [file._replace(split=file.split or "train") for file in files]
        if unnamed:
            raise InputError(
                f"{where}: {few([file.path for file in unnamed])} of no split beside a training split; "
                "--split train leaves out what has no split, --split NAME trains on what is called so"
            )
        return files
    known = splits_in(split)
    if known:
        mine = [file for file in files if file.split in known]
    else:
        mine = [f for f in unnamed if split.lower() in (p.lower() for p in re.split(r"[-_./\d]+", f.path))]
    if not mine:
        there = {file.split for file in files if file.split} | {
            word for file in unnamed for word in words_of(PurePosixPath(file.path).stem)
        }
        raise unknown(f"split of {where}", split, there)
    rest = [file for file in files if file.split in ("validation", "test") and file not in mine]
    return [file._replace(split="train") for file in mine] + rest
