"""From documents to tokens: bytes as they are, or those of a file of the ``tokenizers`` library.

A token ends each document: a zero byte, or the tokenizer's ``<|endoftext|>`` or the like where it has one.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import numpy as np

from adasearch.callbacks import Progress
from adasearch.data.text.documents import Document
from adasearch.data.text.token_cache import kept_tokens
from adasearch.data.text.tokens import Tokens
from adasearch.errors import InputError, one_line

__all__ = ["BYTES", "Tokenizer", "as_bytes"]

BYTES = 256
ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "[SEP]")
AT_ONCE = 512  # documents


def as_bytes(documents: Sequence[Document]) -> Tokens:
    """Return each byte of some texts as a token, with a zero byte behind each text."""
    joined = b"".join(part for each in documents for part in (each.text, b"\0"))
    lengths = [len(each.text) + 1 for each in documents]
    return Tokens(
        blocks=(np.frombuffer(joined, dtype=np.uint8),),
        ends=np.fromiter(accumulate(lengths), dtype=np.int64),
        sizes=np.array(lengths, dtype=np.int64),
    )


class Tokenizer:
    """A JSON file of the ``tokenizers`` library.

    Raises:
        InputError: the library is not installed, or the file is no such file, or of no token.
    """

    def __init__(self, place: str) -> None:
        path = Path(place).expanduser()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"--tokenizer {place}: {error.strerror or error}") from error
        try:
            from tokenizers import Tokenizer as Reader
        except ImportError as error:
            raise InputError(
                "--tokenizer needs the tokenizers library: pip install 'adasearch[language]'"
            ) from error
        try:
            self._reader: Any = Reader.from_buffer(content)
        except Exception as error:  # its errors are bare exceptions
            raise InputError(
                f"--tokenizer {place} must be a JSON file of the tokenizers library ({one_line(error)[:200]})"
            ) from error
        known = self._reader.get_vocab(with_added_tokens=True)
        if not known:
            raise InputError(f"--tokenizer {place} knows no token")
        self._place, self.vocabulary = place, 1 + max(known.values())  # numbers may have gaps
        self.digest = hashlib.sha256(content).hexdigest()[:16]
        ids = (self._reader.token_to_id(each) for each in ENDS)
        self._end = next((each for each in ids if each is not None), None)

    def tokens(self, documents: Sequence[Document], progress: Progress) -> Tokens:
        """Return the tokens of some texts; bytes that are no UTF-8 become replacement characters.

        Raises:
            InputError: it cannot take them apart: it has no token for what is unknown to it.
        """
        return kept_tokens(documents, self.digest, partial(self._made, documents, progress))

    def _made(self, documents: Sequence[Document], progress: Progress) -> Tokens:
        kind = np.uint16 if self.vocabulary <= 2**16 else np.uint32
        pieces = list(self._encoded(documents, kind, progress))
        lengths = [len(piece) for piece in pieces]
        return Tokens(
            blocks=(np.concatenate(pieces) if pieces else np.empty(0, dtype=kind),),
            ends=np.fromiter(accumulate(lengths), dtype=np.int64),
            sizes=np.array([len(each.text) for each in documents], dtype=np.int64),
        )

    def _encoded(self, documents: Sequence[Document], kind: Any, progress: Progress) -> Iterator[np.ndarray]:
        end = [] if self._end is None else [self._end]
        for start in range(0, len(documents), AT_ONCE):
            progress("tokenizing text", start, len(documents))
            texts = [each.text.decode("utf-8", "replace") for each in documents[start : start + AT_ONCE]]
            for found in self._of(texts):
                yield np.array([*found.ids, *end], dtype=kind)
        progress("tokenizing text", len(documents), len(documents))

    def _of(self, texts: Sequence[str]) -> Sequence[Any]:
        try:
            return cast(Sequence[Any], self._reader.encode_batch(texts, add_special_tokens=False))
        except Exception as error:  # its errors are bare exceptions
            raise InputError(
                f"--tokenizer {self._place} does not fit the text ({one_line(error)[:200]})"
            ) from error
