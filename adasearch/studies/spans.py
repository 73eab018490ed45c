"""Spans of a run, from what a person writes to examples."""

import math

from adasearch.errors import InputError
from adasearch.records import StudyRecord

__all__ = ["interval_examples", "rungs_of"]

SHARES = (0.25, 0.5)  # of the budget


def rungs_of(study: StudyRecord) -> tuple[int, ...]:
    """Return the rungs of a study in examples seen, lowest first; its trials are evaluated there, too.

    >>> from types import SimpleNamespace
    >>> rungs_of(SimpleNamespace(stopper="halving", budget=8000))
    (2000, 4000)
    >>> rungs_of(SimpleNamespace(stopper="none", budget=8000))
    ()
    """
    if study.stopper == "none":
        return ()
    return tuple(max(1, round(share * study.budget)) for share in SHARES)


def interval_examples(text: str, train_examples: int) -> int:
    """Return an interval's length in examples from epochs or, with "ex" behind it, examples.

    Raises:
        InputError: not a number, or not positive.

    >>> interval_examples("0.5", 1001), interval_examples("2000ex", 1001)
    (501, 2000)
    """
    number, per = (text[:-2], 1) if text.endswith("ex") else (text, train_examples)
    try:
        examples = math.ceil(float(number) * per)
    except (ValueError, OverflowError):
        raise InputError(f"--interval must be epochs (0.5) or examples (2000ex) but got {text!r}") from None
    if examples < 1:
        raise InputError(f"--interval must be greater than 0 but got {text!r}")
    return examples
