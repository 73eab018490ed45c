"""What a caller hands in to hear of work that goes on."""

from collections.abc import Callable
from functools import cache

__all__ = ["Progress", "Say", "no_progress", "once", "say_nothing"]

Say = Callable[[str], None]
"""Tells the user something, in one line."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""


def say_nothing(text: str) -> None:
    """Tell nobody."""


def once(say: Say) -> Say:
    """Return what says each text only the first time.

    >>> say = once(print)
    >>> say("a"), say("a")
    a
    (None, None)
    """
    return cache(say)
