"""From a source of text or tokens to the splits of a language task."""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from adasearch.callbacks import Progress, no_progress
from adasearch.data.cards import TextCard
from adasearch.data.sources.cache import keep_numbers, kept_numbers
from adasearch.data.spec import DataSpec, Selection
from adasearch.data.text.documents import Document, Texts, python_source, text_files
from adasearch.data.text.encode import BYTES, Tokenizer, as_bytes
from adasearch.data.text.parquet_text import parquet_texts
from adasearch.data.text.sequences import Sequences, TextData
from adasearch.data.text.token_files import TokenFile, token_files
from adasearch.data.text.tokens import Splits, Tokens, drawn_splits
from adasearch.errors import InputError

__all__ = ["card_of", "load_text"]

MIN_HELD_OUT = 96  # sequences, or a quarter of a subset's where it has fewer than four times as many
PIECE = 2**24  # tokens looked at together

READERS: dict[str, Callable[[str, Selection, Progress], Texts]] = {
    "text": text_files,
    "python_source": python_source,
    "parquet": parquet_texts,
}


def card_of(spec: DataSpec, progress: Progress = no_progress) -> TextCard:
    """Open a source and split it.

    Raises:
        InputError: as :func:`load_text`.
    """
    data, lines = _loaded(spec, progress)
    return TextCard(
        train=len(data.train),
        val=len(data.val),
        vocabulary=data.vocabulary,
        sequence_length=data.sequence_length,
        fingerprint=data.fingerprint,
        understood=lines,
    )


def load_text(spec: DataSpec, *, include_test: bool = False, progress: Progress = no_progress) -> TextData:
    """Return sequences of the splits of a source.

    Raises:
        InputError: a source without text, damaged files, tokens beyond the vocabulary, or a split that is
            shorter than a sequence.
    """
    data, _ = _loaded(spec, progress)
    return data if include_test else replace(data, test=None)


def _loaded(spec: DataSpec, progress: Progress) -> tuple[TextData, Sequence[str]]:
    length = spec.sequence_length
    assert length is not None, "the data are of a language task"
    kind, _, place = spec.source.partition(":")
    notes: Sequence[str] = ()
    tokenizer = None if spec.tokenizer is None else Tokenizer(spec.tokenizer)
    if kind == "tokens":
        parts, vocabulary, what = _of_files(place, tokenizer, progress)
    else:
        documents, notes = READERS[kind](place, spec.selection, progress)
        parts, vocabulary, what = _of_text(documents, tokenizer, progress)
    splits = drawn_splits(*parts, seed=spec.seed, length=length)
    train, val, test = (
        Sequences(blocks=each.blocks, length=length, size=each.size)
        for each in (splits.train, splits.val, splits.test)
    )
    for name, split in (("training", train), ("validation", val), ("test", test)):
        if not len(split):
            every = sum(len(part) for part in parts if part is not None)
            raise InputError(
                f"--sequence-length {length} is longer than the {name} split of {spec.source}, which has "
                f"{every:,} tokens in all"
            )
    fingerprint = _digest(parts, vocabulary, length)
    data = TextData(
        train=train,
        val=val,
        test=test,
        vocabulary=vocabulary,
        sequence_length=length,
        fingerprint=fingerprint,
    )
    return _subset(data, spec), (_understood(data, spec, splits, what), *notes)


Parts = tuple[Tokens, Tokens | None, Tokens | None]


def _of_text(
    documents: Sequence[Document], tokenizer: Tokenizer | None, progress: Progress
) -> tuple[Parts, int, str]:
    """Return the tokens of the splits that names tell, the vocabulary, and what the source is."""

    def part(split: str) -> Tokens | None:
        mine = [each for each in documents if (each.split or "train") == split]
        if not mine:
            return None
        return as_bytes(mine) if tokenizer is None else tokenizer.tokens(mine, progress)

    train = part("train")
    assert train is not None, "documents without a split are for training"
    vocabulary = BYTES if tokenizer is None else tokenizer.vocabulary
    unit = "bytes" if tokenizer is None else f"tokens of {vocabulary:,}"
    many = "s" if len(documents) > 1 else ""
    what = f"{len(documents):,} document{many}, {unit}"
    return (train, part("validation"), part("test")), vocabulary, what


def _of_files(place: str, tokenizer: Tokenizer | None, progress: Progress) -> tuple[Parts, int, str]:
    files = token_files(place, progress)
    highest, sums = 0, dict[Path, int]()
    for done, file in enumerate(files):
        progress("looking through the tokens", done, len(files))
        top, sums[file.path] = _looked_at(file)
        highest = max(highest, top)
        if tokenizer is not None and top >= tokenizer.vocabulary:
            raise InputError(
                f"{file.path} has token {top:,}, but the tokenizer knows {tokenizer.vocabulary:,}"
            )
    progress("looking through the tokens", len(files), len(files))
    vocabulary = highest + 1 if tokenizer is None else tokenizer.vocabulary
    named = any(file.split == "train" for file in files) and len({file.split for file in files}) > 1

    def part(split: str) -> Tokens | None:
        mine = [each for each in files if (each.split if named else "train") == split]
        known = " ".join(f"{len(each.tokens)}:{sums[each.path]:08x}" for each in mine)
        return Tokens(blocks=[each.tokens for each in mine], known_sum=known) if mine else None

    train = part("train")
    assert train is not None
    many = "s" if len(files) > 1 else ""
    what = f"{len(files):,} file{many} of {files[0].tokens.dtype}, tokens of {vocabulary:,}"
    return (train, part("validation"), part("test")), vocabulary, what


def _looked_at(file: TokenFile) -> tuple[int, int]:
    """Return a file's largest token and its checksum, which are kept: a large file takes a while to read."""
    state = file.path.stat()
    key = f"tokens {file.path.absolute()} {state.st_size} {state.st_mtime_ns}"
    kept = kept_numbers(key)
    if kept is None:
        top = checksum = 0
        for start in range(0, len(file.tokens), PIECE):
            piece = np.ascontiguousarray(file.tokens[start : start + PIECE])
            top, checksum = max(top, int(piece.max())), zlib.crc32(piece.data, checksum)
        kept = [[top, checksum]]
        keep_numbers(key, kept)
    return int(kept[0][0]), int(kept[0][1])


def _digest(parts: Parts, vocabulary: int, length: int) -> str:
    sums = ["" if part is None else part.checksum for part in parts]
    return hashlib.sha256(f"{vocabulary} {length} {sums}".encode()).hexdigest()[:16]


def _subset(data: TextData, spec: DataSpec) -> TextData:
    """Return the training sequences asked for, in proportion to validate with, and no more to test."""
    wanted = spec.subset
    if wanted is None:
        return data
    if not 1 <= wanted <= len(data.train):
        raise InputError(
            f"--subset must lie between 1 and {len(data.train)} (the training sequences of {spec.source}) "
            f"but got {wanted}"
        )
    least = max(round(wanted * len(data.val) / len(data.train)), min(MIN_HELD_OUT, wanted // 4), 2)
    draw = np.random.default_rng(spec.seed)

    def some(split: Sequences, count: int) -> Sequences:
        return replace(split, chosen=np.sort(draw.permutation(len(split))[:count]))

    return replace(
        data,
        train=some(data.train, wanted),
        val=some(data.val, least),
        test=None if data.test is None else some(data.test, max(wanted, least)),
    )


def _understood(data: TextData, spec: DataSpec, splits: Splits, what: str) -> str:
    counts = [
        f"{each.tokens:,} {name}"
        for name, each in (("training", data.train), ("validation", data.val), ("test", data.test))
        if each is not None
    ]
    some = "" if spec.subset is None else f", of which {spec.subset * data.sequence_length:,} train"
    drawn = f"; {splits.drawn}" if splits.drawn else ""
    length = data.sequence_length
    return f"{what}: {', '.join(counts)} tokens{some}, in sequences of {length:,}{drawn}"
