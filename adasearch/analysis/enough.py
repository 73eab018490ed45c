"""How much it takes before anything is said of a gain; below it a verdict is "too few to say".

One number each, with its reason; the command line shows them in its help.
"""

from collections.abc import Iterable

from adasearch.io.text import counted

__all__ = ["MAX_ERROR", "MIN_PAIRS", "MIN_TRIALS", "hardly_learnt", "seeds_note", "trials_note"]

MIN_TRIALS = 6
"""Trials of a scheduler, and of its baseline, that ended: ran through, or were stopped early as poor ones.

The sampler proposes the sixth as the first by what was found: before it stand our defaults and random
points, so that fewer say what those are worth, and nothing of the search.
"""

MAX_ERROR = 2 / 3
"""The lower of two errors above which they are not compared: nothing has learnt what could be told apart.

Of ten classes chance alone gets one in ten right; a network that gets less than one in three right is at its
beginning, where every batch size looks the same and the seconds are those of starting up.
"""

MIN_PAIRS = 4
"""Pairs of runs for a test; with fewer a t test rests on the normal distribution alone."""


def hardly_learnt(errors: Iterable[float]) -> bool:
    """Tell whether even the lowest of some errors is above ``MAX_ERROR``.

    >>> hardly_learnt([0.9, 0.83]), hardly_learnt([0.9, 0.2])
    (True, False)
    """
    return min(errors) > MAX_ERROR


def trials_note(trials: int) -> str | None:
    """Return what is to be said before a search of too few trials; None where there are enough.

    >>> trials_note(6)
    """
    if trials >= MIN_TRIALS:
        return None
    return (
        f"{counted(trials, 'trial')} per study will be too few to say whether anything is gained; "
        f"that takes at least {MIN_TRIALS} (--trials)"
    )


def seeds_note(seeds: int) -> str | None:
    """Return what is to be said before confirming on too few seeds; None where there are enough.

    >>> seeds_note(4)
    """
    if seeds >= MIN_PAIRS:
        return None
    return (
        f"{seeds} {'seed gives its numbers' if seeds == 1 else 'seeds give means'} alone: a verdict takes at "
        f"least {MIN_PAIRS} (--seeds), until then it will be 'too few seeds'"
    )
