"""Tokens that a tokenizer made, kept in the user's cache folder, so that no process makes them anew.

Layout: ``tokens/<key>/{tokens,ends,sizes}.npy``; an entry is written beside its place and renamed there. One
that cannot be read is made anew; a cache that cannot be written costs time, never a run.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from adasearch.data.text.documents import Document
from adasearch.data.text.tokens import Tokens

__all__ = ["kept_tokens"]

VERSION = 1  # of the layout and of how documents are ended


def kept_tokens(documents: Sequence[Document], tokenizer: str, make: Callable[[], Tokens]) -> Tokens:
    """Return the tokens of some documents from the cache, mapped into memory, or make and keep them.

    ``tokenizer`` is what identifies it.
    """
    digest = hashlib.sha256(f"{VERSION} {tokenizer}".encode())
    for each in documents:
        digest.update(len(each.text).to_bytes(8, "little") + each.text)
    folder = user_cache_path("adasearch") / "tokens" / digest.hexdigest()[:24]
    found = _read(folder)
    if found is not None:
        return found
    made = make()
    with suppress(OSError):  # a folder that cannot be written, a disk that is full, or another was faster
        _write(folder, made)
    return _read(folder) or made


def _read(folder: Path) -> Tokens | None:
    try:
        tokens, ends, sizes = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "ends", "sizes")
        )
    except (OSError, ValueError, EOFError):
        return None
    whole = len(ends) == len(sizes) and (not len(ends) or ends[-1] == len(tokens))
    return Tokens(blocks=(tokens,), ends=np.asarray(ends), sizes=np.asarray(sizes)) if whole else None


def _write(folder: Path, made: Tokens) -> None:
    draft = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        draft.mkdir(parents=True)
        (block,) = made.blocks
        assert made.ends is not None
        assert made.sizes is not None
        for name, values in (("tokens", block), ("ends", made.ends), ("sizes", made.sizes)):
            np.save(draft / f"{name}.npy", values)
        shutil.rmtree(folder, ignore_errors=True)  # one that cannot be read
        os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
