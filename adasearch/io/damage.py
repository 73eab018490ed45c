"""What is said of files that are passed over: one line each on standard error, once in a command."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from adasearch.io.text import cut, printable

__all__ = ["each_once", "say_damage"]

_said: set[str] | None = None  # by the command that runs; None outside of one


@contextmanager
def each_once() -> Iterator[None]:
    """Say no line a second time while a command runs, which may read a file more than once."""
    global _said
    former, _said = _said, set()
    try:
        yield
    finally:
        _said = former


def say_damage(kind: str, path: str, why: object) -> None:
    """Name a file, or a row of it, that is passed over, and why."""
    line = cut(printable(f"adasearch: skipping {kind} {path}: {why}"))
    if _said is None or line not in _said:
        print(line, file=sys.stderr)  # noqa: T201
    if _said is not None:
        _said.add(line)
