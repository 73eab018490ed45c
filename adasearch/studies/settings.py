"""A study's limits and spans, from what the user asked for and from what is stored."""

import math
from dataclasses import dataclass

from adasearch.errors import InputError
from adasearch.records import Limits, StudyRecord
from adasearch.studies.request import Defaults, Request

__all__ = [
    "EPOCHS",
    "TEXT_EPOCHS",
    "Spans",
    "check_numbers",
    "examples_of",
    "limits_of",
    "rungs_of",
    "spans_of",
]

EPOCHS = 20.0
TEXT_EPOCHS = 1.0  # of a language task, whose data are seen once
TEXT_INTERVALS = 20  # of them, so that a scheduler may decide at all
EVALUATING = 0.05  # of a run's work, at most by default where EVALUATIONS leaves it that
PASSES = 3  # of training an example, where evaluating it takes one: its gradient takes two
EVALUATIONS = 4  # of a run, at least by default; of text that, or two and the rungs
TEXT_SMALLEST = 4  # sequences; each has many tokens
SHARES = (0.25, 0.5)  # of the budget
MOST_EXAMPLES = 2**50  # of a span: more than any run has, and what numbers of 64 bits hold exactly


def check_numbers(request: Request, *, tokens: bool) -> None:
    """Refuse numbers that break a rule whatever the data are, before any are read.

    ``tokens`` says that spans may be in tokens.

    Raises:
        InputError: which.
    """
    for name in ("subset", "workers", "smallest", "largest"):
        value = getattr(request, name)
        if value is not None and not 1 <= value < 2**31:
            rule = "be at least 1" if value < 1 else "lie in 1 to 2^31 - 1"
            raise InputError(f"--{name} must {rule} but got {value}")
    if request.epochs is not None and not 0 < request.epochs < math.inf:
        raise InputError(f"--epochs must be greater than 0 but got {request.epochs}")
    if request.seed is not None and not 0 <= request.seed < 2**31:
        raise InputError(f"--seed must lie in 0 to 2^31 - 1 but got {request.seed}")
    for text, flag in (
        (request.budget, "--budget"),
        (request.interval, "--interval"),
        (request.evaluate_every, "--evaluate-every"),
    ):
        if text is not None:
            examples_of(text, 1, flag, 1 if tokens else None)
    interval, epochs = request.interval, request.epochs
    if (
        interval is not None
        and epochs is not None
        and not interval.endswith(("ex", "tokens"))
        and float(interval) > epochs
    ):
        raise InputError(f"--interval must be at most the run's {epochs:g} epochs but got {interval}")
    if request.smallest is not None and request.largest is not None and request.smallest > request.largest:
        raise InputError(
            f"--smallest must be at most --largest but got {request.smallest} and {request.largest}"
        )


def limits_of(
    request: Request,
    defaults: Defaults,
    *,
    examples: int,
    workers: int,
    sequence_length: int | None = None,
) -> Limits:
    """Return the batch sizes that a study of so many training examples and workers keeps to.

    Raises:
        InputError: they contradict each other, or a worker would get less than two examples.
    """
    least = None if sequence_length is None else max(TEXT_SMALLEST, 2 * workers)
    try:
        limits = Limits.default(
            examples,
            workers,
            smallest=defaults.pick(request.smallest, lambda study: study.smallest, least),
            largest=defaults.pick(request.largest, lambda study: study.largest, None),
        )
    except ValueError as error:
        each = f", and begin at 2 for each of {workers} workers" if workers > 1 else ""
        raise InputError(
            f"{error} (the training split has {examples} examples, and sizes reach an eighth of it by "
            f"default{each}; see --smallest and --largest)"
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


def spans_of(
    request: Request,
    defaults: Defaults,
    *,
    examples: int,
    validation: int = 0,
    sequence_length: int | None = None,
) -> Spans:
    """Return the spans of a study of so many examples to train and to validate on.

    They are sequences of so many tokens, if ``sequence_length`` says so.

    Raises:
        InputError: a flag that is no span, or an interval that is longer than the run.
    """
    if request.epochs is not None and request.budget is not None:
        raise InputError("give --epochs or --budget, not both")
    epochs = None if request.epochs is None else examples_of(repr(request.epochs), examples, "--epochs")
    given, interval, evaluate_every = (
        None if text is None else examples_of(text, examples, flag, sequence_length)
        for text, flag in (
            (request.budget, "--budget"),
            (request.interval, "--interval"),
            (request.evaluate_every, "--evaluate-every"),
        )
    )
    text = sequence_length is not None
    usual = math.ceil((TEXT_EPOCHS if text else EPOCHS) * examples)
    budget = defaults.pick(given if epochs is None else epochs, lambda study: study.budget, usual)
    between = math.ceil(budget / TEXT_INTERVALS) if text else examples
    interval = defaults.pick(interval, lambda study: study.interval, min(between, budget))
    usually = max(interval, _quarters(budget, validation)) if text else _epochs(budget, examples, validation)
    spans = Spans(
        budget=budget,
        interval=interval,
        evaluate_every=defaults.pick(evaluate_every, lambda study: study.evaluate_every, usually),
    )
    if spans.interval > budget:
        raise InputError(f"--interval must be at most the run's {budget} examples but got {spans.interval}")
    return spans


def _between(validation: int) -> float:
    """Return how many examples must be trained on between two evaluations."""
    return validation / PASSES * (1 / EVALUATING - 1)


def _epochs(budget: int, examples: int, validation: int) -> int:
    """Return the usual span between evaluations: whole epochs, one where the validation split is small.

    >>> [_epochs(20_000, 1000, validation) for validation in (100, 111, 250, 5000)]
    [1000, 1000, 2000, 5000]
    >>> _epochs(3000, 1000, 250), _epochs(500, 1000, 250)
    (1000, 1000)
    """
    wanted = math.ceil(_between(validation) / examples)
    return examples * max(1, min(wanted, budget // (EVALUATIONS * examples)))


def _quarters(budget: int, validation: int) -> int:
    """Return the usual span between evaluations of text: a quarter of the run, or half of it.

    Rungs lie at both, and are evaluated too: at halves a run has three evaluations with them.

    >>> [_quarters(2400, validation) for validation in (90, 100, 190)]
    [600, 1200, 1200]
    """
    few = EVALUATIONS * _between(validation) > budget
    return math.ceil(budget / (2 if few else EVALUATIONS))


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
