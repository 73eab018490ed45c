"""A study's limits and spans, from what the user asked for and from what is stored, and its rungs."""

import math
from dataclasses import dataclass

from adasearch.errors import InputError
from adasearch.records import Limits, StudyRecord
from adasearch.studies.request import Defaults, Request

__all__ = ["Spans", "examples_of", "limits_of", "rungs_of", "spans_of"]

EPOCHS = 20.0
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


def limits_of(request: Request, defaults: Defaults, *, examples: int, workers: int) -> Limits:
    """Return the batch sizes that a study of so many training examples and workers keeps to.

    Raises:
        InputError: they contradict each other, or a worker would get less than two examples.
    """
    try:
        limits = Limits.default(
            examples,
            workers,
            smallest=defaults.pick(request.smallest, lambda study: study.smallest, None),
            largest=defaults.pick(request.largest, lambda study: study.largest, None),
        )
    except ValueError as error:
        raise InputError(
            f"{error} (the training split has {examples} examples, and sizes reach an eighth of it by "
            "default; see --smallest and --largest)"
        ) from error
    if limits.smallest < 2 * workers:
        raise InputError(f"--smallest must be at least 2 x workers = {2 * workers} but got {limits.smallest}")
    return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """How long a trial is, and how often it decides and is evaluated, in examples."""

    budget: int
    interval: int
    evaluate_every: int


def spans_of(request: Request, defaults: Defaults, *, examples: int) -> Spans:
    """Return the spans of a study of so many training examples.

    Raises:
        InputError: a flag that is no span, or an interval that is longer than the run.
    """
    epochs = None if request.epochs is None else math.ceil(request.epochs * examples)
    interval, evaluate_every = (
        None if text is None else examples_of(text, examples, flag)
        for text, flag in (
            (request.interval, "--interval"),
            (request.evaluate_every, "--evaluate-every"),
        )
    )
    budget = defaults.pick(epochs, lambda study: study.budget, math.ceil(EPOCHS * examples))
    spans = Spans(
        budget=budget,
        interval=defaults.pick(interval, lambda study: study.interval, min(examples, budget)),
        evaluate_every=defaults.pick(evaluate_every, lambda study: study.evaluate_every, examples),
    )
    if spans.interval > budget:
        raise InputError(f"--interval must be at most the run's {budget} examples but got {spans.interval}")
    return spans


def examples_of(text: str, train_examples: int, flag: str) -> int:
    """Return how many examples a flag means by epochs or, with "ex" behind the number, examples.

    Raises:
        InputError: not a number, or not positive.

    >>> examples_of("0.5", 1001, "--interval"), examples_of("2000ex", 1001, "--interval")
    (501, 2000)
    """
    number, per = (text[:-2], 1) if text.endswith("ex") else (text, train_examples)
    try:
        examples = math.ceil(float(number) * per)
    except (ValueError, OverflowError):
        raise InputError(f"{flag} must be epochs (0.5) or examples (2000ex) but got {text!r}") from None
    if examples < 1:
        raise InputError(f"{flag} must be greater than 0 but got {text!r}")
    return examples
