"""The words that tables print of a search and of what was confirmed; mypy knows no others."""

from collections.abc import Mapping
from typing import Literal

from adasearch.analysis.enough import MAX_ERROR, MIN_PAIRS, MIN_TRIALS

__all__ = ["GAINS", "MEANINGS", "ConfirmedVerdict", "LevelVerdict", "PairedVerdict", "SearchVerdict"]

SearchVerdict = Literal[
    "reference",
    "not confirmed",
    "no change made",
    "no gain in search",
    "too few to say",
    "no reference",
    "no complete trial",
    "chosen by name",
]
"""What a search says of the trial that stands for a study, or of one that a user named."""

PairedVerdict = Literal[
    "both faster and better",
    "faster at equal error",
    "better at equal time",
    "worse",
    "worse error, less time",
    "perhaps worse",
    "lower error, more time",
    "slower",
    "equal",
    "no evidence",
    "too few seeds",
    "too few to say",
]
"""What pairs of runs show, see :func:`adasearch.analysis.paired_tests.verdict`."""

GAINS: frozenset[PairedVerdict] = frozenset(
    {"both faster and better", "faster at equal error", "better at equal time"}
)

ConfirmedVerdict = Literal[PairedVerdict, "reference", "no reference", "nothing complete"]
"""What confirming runs show."""

LevelVerdict = Literal[PairedVerdict, "first level", "no pairs"]
"""What the trials of one level of a field show beside those of the first."""

MEANINGS: Mapping[SearchVerdict | ConfirmedVerdict, str] = {
    "both faster and better": "less time and a lower error, both beyond chance",
    "faster at equal error": "less time, beyond chance, and an error that is equal within the margin",
    "better at equal time": "a lower error, beyond chance, in a time that is equal within five percent",
    "worse": "a higher error, beyond chance and the margin, and no less time",
    "worse error, less time": "a trade: a higher error, beyond chance and the margin, in less time",
    "perhaps worse": "its own interval of the difference of errors lies above 0, but among so many "
    "comparisons that may be chance",
    "lower error, more time": "a trade: a lower error, beyond chance and the margin, in more time",
    "slower": "more time, beyond chance, and an error that is equal or not known to differ",
    "equal": "error and time are equal within the margins",
    "no evidence": "the seeds tell it neither from a gain nor from a loss",
    "too few seeds": f"no verdict from fewer than {MIN_PAIRS} pairs of runs",
    "too few to say": f"fewer than {MIN_TRIALS} trials ended, here or of the constant batch, or no error is "
    f"below {MAX_ERROR:.0%}: nothing was searched, or learnt, that could tell a gain",
    "reference": "the fastest constant batch within one standard error of the best: what is compared with",
    "not confirmed": "faster in the search, on one seed; 'adasearch confirm' tells whether it holds",
    "no change made": "it never changed the batch size, so that it is a constant run of other settings",
    "no gain in search": "no trial of the search was faster than the reference at an equal error",
    "no reference": "there is no complete constant trial to compare with, or no run of it on these seeds",
    "no complete trial": "nothing of the search ran to its end",
    "nothing complete": "no run on a fresh seed came to its end",
    "chosen by name": "a trial that was named, not the one that the search would have chosen",
}
"""What each word of a verdict says, for readers of a report."""
