"""Which share of a trial's wall clock is spent on evaluating, as often as it is done by default.

Trials of a study's first point in this process, on one thread, from the making of the network to the last
evaluation; the validation split and the cadence are those of a search that names neither. Eight epochs have
as many evaluations each as the default's twenty, so the share stays.

Goal: at most 5 %.
"""

import time
from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from adasearch.io.tables import Column, fraction
from adasearch.schedulers import make_scheduler
from adasearch.studies.request import Request
from adasearch.tasks.registry import load_data
from adasearch.training.loop import train
from common import Row, in_units, keep, parser_of, positive, spread
from problems import problem_of

TRIALS: tuple[Mapping[str, Any], ...] = (
    {"architectures": ("mobilenet_v3_small",), "epochs": 8},
    {"architectures": ("resnet18",), "epochs": 8},
    {"architectures": ("vit_b_16",), "epochs": 8},
    {"architectures": ("gpt",), "dataset": "python_source", "subset": 2048, "epochs": 1},
)
QUICK: tuple[Mapping[str, Any], ...] = (
    {"architectures": ("mobilenet_v3_small",), "epochs": 1, "subset": 300},
)


def measure(wish: Mapping[str, Any], rounds: int) -> Row:
    """Return the row of a trial that is made anew so many times."""
    problem = problem_of(Request(schedulers=("constant",), **wish), None)
    task = problem.task(0, problem.first, "")
    data = load_data(task.data)
    wholes, shares, evaluations = [], [], 0
    for _ in range(rounds):
        start = time.perf_counter()
        scheduler = make_scheduler(task.scheduler, task.scheduler_fields)
        records = list(train(task.config, scheduler, task.limits, data))
        wholes.append(time.perf_counter() - start)
        shares.append(sum(record.eval_seconds for record in records) / wholes[-1])
        evaluations = sum(record.val_error is not None for record in records)
    return {
        "architecture": task.config.architecture,
        "dataset": problem.resolved.record.dataset,
        "train_examples": len(data.train),
        "val_examples": len(data.val),
        "evaluations": evaluations,
        **spread(wholes).columns("trial_seconds"),
        **spread(shares).columns("share"),
    }


COLUMNS = (
    Column("architecture", "network"),
    Column("dataset", "data"),
    Column("train_examples", "examples"),
    Column("val_examples", "validation"),
    Column("evaluations", "evaluations"),
    Column("trial_seconds", "trial, s", in_units(1, 1)),
    Column("share", "share", fraction),
    Column("share_low", "low", fraction),
    Column("share_high", "high", fraction),
)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "evaluation")
    parser.add_argument("--rounds", type=positive, default=6)
    arguments = parser.parse_args()
    wishes, rounds = (QUICK, 1) if arguments.quick else (TRIALS, arguments.rounds)
    torch.set_num_threads(1)
    bar = track(wishes, "measuring", console=Console(stderr=True), auto_refresh=False)
    keep([measure(wish, rounds) for wish in bar], COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
