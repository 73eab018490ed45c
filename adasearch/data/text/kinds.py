"""Which sources are of text or tokens, and how a user writes them."""

from pathlib import Path

from adasearch.errors import InputError

__all__ = ["PLACED", "TEXT_SOURCES", "absolute", "is_text"]

TEXT_SOURCES = {
    "python_source": "for language models: the standard library's own source code, byte by byte; no download",
    "text:PATH": "for language models: a file, a folder or a glob of text; bytes, or --tokenizer FILE",
    "tokens:PATH": "for language models: flat files of uint16 or uint32, as nanoGPT and OLMo have them",
}
PLACED = frozenset(usage.partition(":")[0] for usage in TEXT_SOURCES if ":" in usage)
"""Those that name a place."""


def is_text(source: str) -> bool:
    """Tell whether a source is of text or tokens and of nothing else.

    >>> is_text("tokens:train.bin"), is_text("parquet:train.parquet")
    (True, False)
    """
    return source.partition(":")[0] in {usage.partition(":")[0] for usage in TEXT_SOURCES}


def absolute(source: str) -> str:
    """Return a source whose path does not depend on the working directory.

    Raises:
        InputError: a source that names no place and must, or names one and must not.
    """
    kind, _, place = source.partition(":")
    if kind in PLACED and not place:
        raise InputError(f"dataset {kind} needs a place: {kind}:PATH")
    if kind not in PLACED and place:
        raise InputError(f"dataset {kind} has no place but got {source!r}")
    return f"{kind}:{Path(place).expanduser().absolute()}" if place else kind
