"""Which Parquet files are of which split and configuration, told by their names.

A split stands in a file's name between signs (``my_train_1.parquet``, ``train-00000-of-00002.parquet``) or is
a folder's name (``full/train/0000.parquet``). Files that name none are the training split where nothing else
is, as ``0000.parquet`` or ``a.parquet``. A configuration is what else names tell apart: the folder, or the
words beside the split; :mod:`adasearch.data.sources.parquet_names` says what is a part of one instead.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from adasearch.data.sources.parquet_names import ROOT, SHARD, Named, named, telling
from adasearch.data.sources.split_names import SPLITS, refuse_hidden_splits, splits_in, words_of
from adasearch.data.spec import Selection
from adasearch.errors import InputError, few, unknown

__all__ = ["files_by_split", "refuse_broken_shards"]


def files_by_split(
    paths: Sequence[str], selection: Selection, where: str
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the files of each split, "train", "validation" and "test", by name, and lines about them.

    ``paths`` are relative to the set.

    Raises:
        InputError: several configurations or splits could be meant, or what was selected is not there.
    """
    files = _told_apart([named(path, selection.config) for path in sorted(paths)])
    if selection.config is not None:
        files = _of_config(files, selection.config, where)
    files = _of_split(files, selection.split, where)
    _refuse_several(files, where)
    found = {split: [file.path for file in files if file.split == split] for split in SPLITS}
    if not found["train"]:
        there = few([split for split, of in found.items() if of])
        raise InputError(f"{where}: only {there} files found, no training data; --split NAME trains on one")
    words = {str(file.split): file.words for file in files if file.words}
    if len(set(words.values())) < 2:
        return found, []
    return found, ["; ".join(f"the {split} split is `{words[split]}`" for split in SPLITS if split in words)]


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
            shard = _shard(path)
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


def _told_apart(files: list[Named]) -> list[Named]:
    """Return files with what counts them in their configurations, where it counts no parts of one set."""
    alike: dict[tuple[str | None, str], list[Named]] = {}
    for file in files:
        alike.setdefault((file.split, file.shape), []).append(file)
    told = []
    for same in alike.values():
        count = telling([file.counters for file in same], marked=bool(_shard(same[0].path)))
        told += [file.apart(count) for file in same]
    return told


def _shard(path: str) -> re.Match[str] | None:
    return SHARD.search(PurePosixPath(path).stem)


def _of_config(files: list[Named], config: str, where: str) -> list[Named]:
    """Return the files of one configuration, and for splits that it lacks those of none."""
    own = [file for file in files if file.config == config]
    own = own or [file.numbered() for file in files if file.numbered().config == config]
    own = own or [file for file in files if config in PurePosixPath(file.path).parts[:-1]]
    if not own:
        configs = {file.config for file in files}
        raise unknown(f"configuration of {where}", config, configs if configs != {ROOT} else ())
    had = {file.split or "train" for file in own}
    return own + [f for f in files if f.config == ROOT != config and (f.split or "train") not in had]


def _refuse_several(files: list[Named], where: str) -> None:
    """Refuse several configurations of one split, folders that differ, and files that are no parts of one."""
    folders = {file.folder for file in files} - {""}
    by_split = Counter(split for split, _ in {(file.split, file.config) for file in files})
    if len(folders) > 1 or max(by_split.values()) > 1:
        several = [f for f in files if len(folders) > 1 or by_split[f.split] > 1]
        rivals = sorted({file.config for file in several})
        numbers = all(re.fullmatch(r"[\d-]+", file.words) and not file.folder for file in several)
        raise InputError(
            f"{where} holds {len(rivals)} configurations: {few(rivals)}; --config NAME takes one of them"
            + ("; parts of one count from 0 or 1" if numbers else "")
        )
    for split in by_split:
        shapes = {file.shape: file.path for file in files if file.split == split}
        if len(shapes) > 1:
            raise InputError(
                f"{where}: {few(sorted(shapes.values()))} are of one split, but not called as parts of it or "
                "as configurations; leave one out, or number all from 0"
            )


def _of_split(files: list[Named], split: str | None, where: str) -> list[Named]:
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
