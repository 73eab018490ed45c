"""The contract of a batch-size scheduler, as one check for your own tests.

>>> from adasearch.schedulers import SCHEDULERS
>>> check_scheduler(SCHEDULERS["deba"]())
"""

import contextlib
import dataclasses
import math
import pickle
import random
from collections.abc import Iterator, Sequence

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, BatchSizeScheduler
from adasearch.schedulers.contract import fault_in

__all__ = ["check_scheduler", "legal_histories"]

OPTIONAL = tuple(field.name for field in dataclasses.fields(Signals) if field.default is None)


def check_scheduler(scheduler: BatchSizeScheduler) -> None:
    """Raise AssertionError, naming the scheduler and the rule, unless ``scheduler`` keeps the contract.

    * It is a frozen dataclass that pickles; ``needs`` and ``lr_schedules`` hold known names.
    * On every legal history, one row included, it answers with a legal size, the action that follows from
      the sizes, a positive learning-rate factor and a reason; twice the same; without changing the history.
    * It reads no optional signal that ``needs`` does not name.
    * Where the newest value of a needed signal is NaN or infinite it holds the size.
    * Where a needed signal is missing altogether it raises, from the first row on, a ValueError that names
      the signal, since that run was set up wrongly. ``val_loss`` is excepted: not every interval has one.
    """
    _check_declarations(scheduler)
    unneeded = dict.fromkeys(set(OPTIONAL) - scheduler.needs)
    cases = [
        ([_with(row, **unneeded) for row in history], limits)
        for history, limits in legal_histories(seed=0, count=200)
    ]
    once = [_decide(scheduler, history, limits) for history, limits in cases]
    again = [_decide(scheduler, history, limits) for history, limits in reversed(cases)]
    _demand(once == again[::-1], scheduler, "must give the same answer to the same history")
    for history, limits in cases:
        _decide(scheduler, [*history[:-1], _with(history[-1], train_loss=math.nan)], limits)
        for name in sorted(scheduler.needs):
            _check_signal(scheduler, history, limits, name)


def legal_histories(seed: int, count: int) -> Iterator[tuple[list[Signals], Limits]]:
    """Yield ``count`` histories that a run could produce, each with its limits; the first has one row.

    Constant, settled and wild signals, zeros, sizes at both limits, and limits that leave no choice occur;
    ``grad_sq_norm`` is negative at times, as unbiased estimates are, and cosines lie in [-1, 1].

    >>> history, limits = next(legal_histories(seed=0, count=1))
    >>> len(history), limits.admit(history[-1].batch_size)
    (1, True)
    """
    rng = random.Random(seed)
    for index in range(count):
        unit = rng.choice((1, 1, 2, 8, 24))
        smallest = unit * rng.randint(1, 32)
        largest = smallest + unit * rng.choice((0, 1, rng.randint(2, 500), rng.randint(2, 500)))
        limits = Limits(smallest=smallest, largest=largest, multiple_of=unit)
        yield list(_rows(rng, limits, length=rng.randint(1, 30) if index else 1)), limits


def _rows(rng: random.Random, limits: Limits, length: int) -> Iterator[Signals]:
    sizes = range(limits.smallest, limits.largest + 1, limits.multiple_of)
    initial = size = rng.choice((sizes[0], sizes[-1], rng.choice(sizes)))
    change_rate, spread = rng.choice((0.0, 0.2)), rng.choice((0.0, 0.01, 2.0))  # spread in powers of ten
    level = {name: 10 ** rng.uniform(-3, 3) for name in ("train_loss", *OPTIONAL)}
    negative = rng.choice((0.0, 0.0, 0.2, 1.0))  # how often the noise hides the gradient
    train_examples, steps = rng.randint(200, 50_000), rng.randint(1, 400)
    examples_seen, lr_scale = 0, 1.0
    for interval in range(length):
        if interval and rng.random() < change_rate:
            size, lr_scale = rng.choice(sizes), lr_scale * rng.uniform(0.5, 1.5)
        examples_seen += steps * size
        zero = spread > 1 and rng.random() < 0.1
        seen = {name: 0.0 if zero else x * 10 ** rng.uniform(-spread, spread) for name, x in level.items()}
        seen["half_cosine"] = math.tanh(math.log(seen["half_cosine"])) if seen["half_cosine"] else 0.0
        if rng.random() < negative:
            seen["grad_sq_norm"] *= -1
            seen["preconditioned_sq_norm"] *= -1
        yield Signals(
            interval=interval,
            epoch=examples_seen / train_examples,
            step=(interval + 1) * steps,
            examples_seen=examples_seen,
            initial_batch_size=initial,
            batch_size=size,
            lr=0.1 * lr_scale,
            lr_scale=lr_scale,
            noise_count=rng.randint(1, steps),
            **seen,
        )


def _with(row: Signals, **values: float | None) -> Signals:
    return Signals(**{**dataclasses.asdict(row), **values})


def _demand(holds: bool, scheduler: BatchSizeScheduler, rule: str) -> None:
    if not holds:
        raise AssertionError(f"{scheduler!r} {rule}")


def _check_declarations(scheduler: BatchSizeScheduler) -> None:
    _demand(dataclasses.is_dataclass(scheduler), scheduler, "must be a dataclass")
    unknown = sorted(scheduler.needs - {field.name for field in dataclasses.fields(Signals)})
    _demand(not unknown, scheduler, f"needs what is no field of Signals: {unknown}")
    allowed = frozenset() < scheduler.lr_schedules <= LR_SCHEDULES
    _demand(allowed, scheduler, f"must name at least one of {sorted(LR_SCHEDULES)} in lr_schedules")
    try:
        twin = pickle.loads(pickle.dumps(scheduler))
    except Exception as error:
        raise AssertionError(f"{scheduler!r} must pickle but raised {error!r}") from error
    _demand(scheduler == twin, scheduler, "must equal its pickled copy")
    name = next((field.name for field in dataclasses.fields(twin)), "state")
    with contextlib.suppress(AttributeError, TypeError):
        setattr(twin, name, None)
        raise AssertionError(f"{scheduler!r} must be frozen")


def _decide(scheduler: BatchSizeScheduler, history: Sequence[Signals], limits: Limits) -> Decision:
    """Return the decision on ``history`` after checking all that holds for every decision."""
    given, old = list(history), history[-1].batch_size
    try:
        decision = scheduler.decide(given, limits)
    except Exception as error:
        raise AssertionError(f"{scheduler!r} raised {error!r} on a legal history") from error
    _demand(given == history, scheduler, "must not change the history")
    fault = fault_in(decision, old, limits)
    _demand(fault is None, scheduler, fault or "")
    return decision


def _check_signal(scheduler: BatchSizeScheduler, history: list[Signals], limits: Limits, name: str) -> None:
    if isinstance(getattr(history[-1], name), float):  # counts are never NaN
        for bad in (math.nan, math.inf, -math.inf):
            decision = _decide(scheduler, [*history[:-1], _with(history[-1], **{name: bad})], limits)
            _demand(decision.action == "hold", scheduler, f"must hold where {name} is {bad}")
    if name not in OPTIONAL or name == "val_loss":
        return
    rule = f"must raise a ValueError that names {name!r} where it is missing"
    try:
        scheduler.decide([_with(row, **{name: None}) for row in history], limits)
    except Exception as error:  # noqa: BLE001 - whatever a user's method raises
        right = isinstance(error, ValueError) and name in str(error)
        _demand(right, scheduler, f"{rule} but raised {error!r}")
    else:
        raise AssertionError(f"{scheduler!r} {rule}")
