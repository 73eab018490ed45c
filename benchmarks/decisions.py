"""What a decision costs: our timetables against bs-scheduler's, and every method on a long history.

The timetables are asked once an epoch for 100 epochs, and must name the same sizes. bs-scheduler's step also
sets the size on its loader, which with us is another's task, some tenths of a microsecond. Then each method
decides on histories of up to 1,000 intervals in which the size never changed, so that whatever looks for the
last change looks everywhere.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from bs_scheduler import MultiStepBS, StepBS
from torch.utils.data import DataLoader, TensorDataset

from adasearch.io.tables import Column
from adasearch.records import Signals
from adasearch.schedulers import SCHEDULERS, BatchSizeScheduler
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.deba import Deba
from adasearch.schedulers.divebatch import DiveBatch
from adasearch.schedulers.increase_instead_of_decay import IncreaseInsteadOfDecay
from adasearch.schedulers.ramp import Ramp
from adasearch.schedulers.seesaw import Seesaw
from common import Clock, Row, clock_of, clocked, in_units, interleaved, keep, parser_of, per, spread
from histories import INITIAL, LIMITS, row_of

EPOCHS = 100
LENGTHS = (10, 100, 1000)
REPEATS = 20  # decisions timed together

Timetable = tuple[
    BatchSizeScheduler, Callable[[DataLoader[tuple[torch.Tensor, ...]]], "StepBS | MultiStepBS"]
]

TIMETABLES: dict[str, Timetable] = {
    "adabatch, StepBS": (AdaBatch(period=20), partial(StepBS, step_size=20, gamma=2.0)),
    "ramp, MultiStepBS": (
        Ramp(start=20, end=80, steps=4, growth=16),
        partial(MultiStepBS, milestones=[20, 40, 60, 80], gamma=2.0),
    ),
    "increase_instead_of_decay, MultiStepBS": (
        IncreaseInsteadOfDecay(milestones="30, 60, 80", factor=5),
        partial(MultiStepBS, milestones=[30, 60, 80], gamma=5.0),
    ),
    "seesaw, MultiStepBS": (
        Seesaw(milestones="30, 60, 80", decay=0.5),
        partial(MultiStepBS, milestones=[30, 60, 80], gamma=2.0),
    ),
}

VARIANTS: dict[str, BatchSizeScheduler] = {
    **{name: cls() for name, cls in SCHEDULERS.items()},
    "deba, full history": Deba(window=0),
    "deba, adascale": Deba(coupling="adascale"),
    "divebatch, one long period": DiveBatch(period=10_000.0),
}


def histories_of(scheduler: BatchSizeScheduler) -> list[list[Signals]]:
    """Return the history before each decision of a run."""
    history: list[Signals] = []
    found = []
    size, lr_scale = INITIAL, 1.0
    for epoch in range(EPOCHS):
        history = [*history, row_of(epoch, size, lr_scale)]
        found.append(history)
        decision = scheduler.decide(history, LIMITS)
        size, lr_scale = decision.batch_size, decision.lr_scale
    return found


def decide_all(
    scheduler: BatchSizeScheduler, histories: Sequence[Sequence[Signals]], repeats: int = 1
) -> list[int]:
    """Return the size that follows each history."""
    sizes = [0]
    for _ in range(repeats):
        sizes = [scheduler.decide(history, LIMITS).batch_size for history in histories]
    return sizes


def step_all(timetables: "Iterator[StepBS | MultiStepBS]") -> list[int]:
    """Return the size after each epoch of the next of bs-scheduler's timetables, which run once."""
    timetable = next(timetables)
    sizes = []
    for _ in range(EPOCHS):
        timetable.step()
        sizes.append(timetable.batch_size)
    return sizes


def against_bs_scheduler(rounds: int, clock: Clock) -> list[Row]:
    """Time both on the same timetables."""
    rows: list[Row] = []
    images = TensorDataset(torch.zeros(100_000, 1))
    for name, (ours, make) in TIMETABLES.items():
        theirs = iter([make(DataLoader(images, batch_size=INITIAL)) for _ in range(rounds + 2)])
        histories = histories_of(ours)
        if decide_all(ours, histories) != step_all(theirs):
            raise SystemExit(f"{name}: the sizes differ")
        seconds = interleaved(
            {"ours": partial(decide_all, ours, histories), "theirs": partial(step_all, theirs)}, rounds, clock
        )
        mine, other = ([each / EPOCHS for each in seconds[arm]] for arm in ("ours", "theirs"))
        rows.append(
            {
                "case": name,
                "intervals": EPOCHS,
                **spread(mine).columns("seconds"),
                **spread(other).columns("bs_scheduler_seconds"),
                **per(mine, other).columns("ratio"),
            }
        )
    return rows


def by_length(rounds: int, clock: Clock) -> list[Row]:
    """Time every method on histories of several lengths."""
    whole = [row_of(index, INITIAL) for index in range(max(LENGTHS))]
    works = {
        (name, length): partial(decide_all, scheduler, [whole[:length]], REPEATS)
        for name, scheduler in VARIANTS.items()
        for length in LENGTHS
    }
    found = interleaved({f"{name}@{length}": work for (name, length), work in works.items()}, rounds, clock)
    return [
        {
            "case": name,
            "intervals": length,
            **spread([each / REPEATS for each in found[f"{name}@{length}"]]).columns("seconds"),
        }
        for name, length in works
    ]


COLUMNS = (
    Column("case", "method"),
    Column("intervals", "intervals"),
    Column("seconds", "µs", in_units(1e6, 1)),
    Column("seconds_low", "low", in_units(1e6, 1)),
    Column("seconds_high", "high", in_units(1e6, 1)),
    Column("bs_scheduler_seconds", "bs-scheduler µs", in_units(1e6, 1)),
    Column("ratio", "ours / theirs"),
    Column("ratio_low", "low"),
    Column("ratio_high", "high"),
)


def main() -> None:
    """Measure and print."""
    arguments = clocked(parser_of(__doc__, "decisions")).parse_args()
    clock = clock_of(arguments)
    rounds = 20 if arguments.quick else 200
    keep([*against_bs_scheduler(rounds, clock), *by_length(rounds, clock)], COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
