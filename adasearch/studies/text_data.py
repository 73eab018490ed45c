"""What a user asked for of a language task's data, and which flags go with which task."""

from dataclasses import fields
from operator import attrgetter
from pathlib import Path

from adasearch.choices import Task
from adasearch.data.spec import Selection
from adasearch.errors import InputError
from adasearch.studies.request import Defaults, Request

__all__ = ["check_flags", "text_settings"]

SEQUENCE_LENGTH = {"nano": 128, "full": 1024}
MAX_SEQUENCE = 2**20  # tokens


def check_flags(request: Request, kind: Task) -> None:
    """Refuse what a task has no use for.

    Raises:
        InputError: the flag, and what it is for.
    """
    if kind == "images":
        for name in ("sequence_length", "tokenizer"):
            value = getattr(request, name)
            if value is not None:
                raise InputError(
                    f"{_flag(name)} is for text but got {value} with the images of --dataset {request.source}"
                )
        return
    shared = ("config", "split") if request.source.partition(":")[0] == "parquet" else ()
    for name in {"image_size", *(field.name for field in fields(Selection))} - set(shared):
        value = getattr(request, name)
        if value is not None:
            raise InputError(
                f"{_flag(name)} is for images but got {value} with the text of --dataset {request.source}"
            )
    if request.download:
        raise InputError(f"--download is for images but got --dataset {request.source}")
    length = request.sequence_length
    if length is not None and not 1 <= length <= MAX_SEQUENCE:
        raise InputError(f"--sequence-length must lie in 1 to {MAX_SEQUENCE} but got {length}")


def text_settings(
    request: Request, kind: Task, scale: str, defaults: Defaults
) -> tuple[int | None, str | None]:
    """Return the length of a language task's sequences and its tokenizer's file; None for images."""
    if kind != "language":
        return None, None
    tokenizer = None if request.tokenizer is None else str(Path(request.tokenizer).expanduser().absolute())
    return (
        defaults.pick(request.sequence_length, attrgetter("sequence_length"), SEQUENCE_LENGTH[scale]),
        defaults.pick(tokenizer, attrgetter("tokenizer"), None),
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
