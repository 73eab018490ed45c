"""What a caller hands in to hear of work that goes on."""

from collections.abc import Callable

__all__ = ["Progress", "Say", "no_progress"]

Say = Callable[[str], None]
"""Tells the user something, in one line."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is."""


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""
