"""Flat files of tokens, mapped into memory: as nanoGPT, modded-nanogpt, llm.c and OLMo write them.

A file is nothing but uint16 or uint32 in little-endian order, or has before them a header of 256 int32
(magic 20240520 for uint16, 20240801 for uint32, the version, and the number of tokens), or NumPy's own. Where
nothing says which of the two a file holds, its upper halves do: those of uint32 are all below 16, since no
vocabulary reaches a million, and those of uint16 in natural text are not.
"""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adasearch.callbacks import Progress
from adasearch.data.sources.split_names import is_hidden, splits_in
from adasearch.errors import InputError, few

__all__ = ["TokenFile", "token_files"]

HEADER = 256  # int32
MAGIC: dict[int, str] = {20240520: "<u2", 20240801: "<u4"}
NUMPY = b"\x93NUMPY"
SAMPLE = 4096  # tokens by which the type of a flat file is told
UPPER = 16  # above every upper half of a token in uint32
ENDINGS = (".bin", ".npy", ".u16", ".u32", ".tokens", ".dat")


@dataclass(frozen=True, slots=True, eq=False)
class TokenFile:
    """The tokens of a file, and the split that its name says, or None."""

    path: Path
    tokens: np.ndarray
    split: str | None


def token_files(place: str, progress: Progress) -> list[TokenFile]:
    """Return the files at a path, in a folder, or of a glob, by name.

    Raises:
        InputError: there are none, or one holds something else than tokens.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        files = [each for each in path.iterdir() if each.is_file() and not is_hidden(each.name)]
        files = [each for each in files if each.suffix in ENDINGS]
    else:
        files = [Path(each) for each in glob.glob(str(path), recursive=True) if Path(each).is_file()]
    if not files:
        kinds = f" (in a folder those ending in {few(ENDINGS)})" if path.is_dir() else ""
        raise InputError(f"dataset tokens:{place}: no such files{kinds}")
    found = []
    for done, file in enumerate(sorted(files)):
        progress("opening token files", done, len(files))
        names = splits_in(file.stem)
        found.append(TokenFile(file, _mapped(file), names.pop() if len(names) == 1 else None))
    progress("opening token files", len(files), len(files))
    types = sorted({str(each.tokens.dtype) for each in found})
    if len(types) > 1:
        raise InputError(f"dataset tokens:{place}: files hold tokens of several types: {few(types)}")
    return found


def _mapped(file: Path) -> np.ndarray:
    size = file.stat().st_size
    with open(file, "rb") as opened:
        start = opened.read(4 * HEADER)
    if start.startswith(NUMPY):
        try:
            tokens: np.ndarray = np.load(file, mmap_mode="r")
        except ValueError as error:
            raise InputError(f"{file}: a damaged NumPy file ({error})") from error
        if tokens.ndim != 1 or tokens.dtype.kind not in "ui":
            raise InputError(f"{file} must hold tokens in line but holds {tokens.dtype} of {tokens.shape}")
        return tokens
    header = np.frombuffer(start, dtype="<i4") if len(start) == 4 * HEADER else np.zeros(3, dtype="<i4")
    if int(header[0]) in MAGIC:
        kind, count = MAGIC[int(header[0])], int(header[2])
        there = (size - 4 * HEADER) / np.dtype(kind).itemsize
        if there != count:
            raise InputError(f"{file}: its header tells of {count:,} tokens but {there:,.10g} follow")
        return np.memmap(file, dtype=kind, mode="r", offset=4 * HEADER, shape=(count,))
    if size < 2 or size % 2:
        raise InputError(f"{file}: {size:,} bytes are no whole number of tokens of 2 or 4 bytes")
    halves = np.memmap(file, dtype="<u2", mode="r")
    if size % 4 == 0 and _is_wide(halves[: 2 * SAMPLE]):
        return np.memmap(file, dtype="<u4", mode="r")
    return halves


def _is_wide(halves: Sequence[int] | np.ndarray) -> bool:
    """Tell whether pairs of uint16 are uint32: every second one is small, and not every first one."""
    lower, upper = np.asarray(halves)[::2], np.asarray(halves)[1::2]
    return bool((upper < UPPER).all() and (lower >= UPPER).any())
