"""The words that tables print of a search and of what was confirmed; mypy knows no others."""

from typing import Literal

__all__ = ["GAINS", "ConfirmedVerdict", "LevelVerdict", "PairedVerdict", "SearchVerdict"]

SearchVerdict = Literal[
    "reference",
    "not confirmed",
    "no change made",
    "no gain in search",
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
    "no evidence",
    "too few seeds",
]
"""What pairs of runs show, see :func:`adasearch.analysis.paired_tests.verdict`."""

GAINS: frozenset[PairedVerdict] = frozenset(
    {"both faster and better", "faster at equal error", "better at equal time"}
)

ConfirmedVerdict = Literal[PairedVerdict, "no reference", "nothing complete"]
"""What confirming runs show."""

LevelVerdict = Literal[PairedVerdict, "first level", "no pairs"]
"""What the trials of one level of a field show beside those of the first."""
