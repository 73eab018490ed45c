"""Spans of a run, from what a person writes to examples."""

import math

from adasearch.errors import InputError
from adasearch.records import StudyRecord

__all__ = ["examples_of", "rungs_of"]

SHARES = (0.25, 0.5)  # of the budget
MOST_EXAMPLES = 2**50  # of a span: more than any run has, and what numbers of 64 bits hold exactly


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


def examples_of(text: str, train_examples: int, flag: str, sequence_length: int | None = None) -> int:
    """Return how many examples a flag means by epochs or, with "ex" behind the number, examples.

    Where an example is a sequence of tokens it may also be tokens, with "tokens" behind the number.

    Raises:
        InputError: not a number, or not positive.

    >>> examples_of("0.5", 1001, "--interval"), examples_of("2000ex", 1001, "--interval")
    (501, 2000)
    >>> examples_of("100000tokens", 1001, "--interval", 128)
    782
    """
    per: float = 1
    if text.endswith("ex"):
        number = text.removesuffix("ex")
    elif text.endswith("tokens") and sequence_length is not None:
        number, per = text.removesuffix("tokens"), 1 / sequence_length
    else:
        number, per = text, train_examples
    try:
        examples = math.ceil(float(number) * per)
    except (ValueError, OverflowError):
        forms = "epochs (0.5) or examples (2000ex)"
        if sequence_length is not None:
            forms = "epochs (0.5), tokens (100000tokens) or sequences (2000ex)"
        raise InputError(f"{flag} must be {forms} but got {text!r}") from None
    if not 1 <= examples <= MOST_EXAMPLES:
        rule = "greater than 0" if examples < 1 else f"at most 2^{MOST_EXAMPLES.bit_length() - 1} examples"
        raise InputError(f"{flag} must be {rule} but got {text!r}")
    return examples
