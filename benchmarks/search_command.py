"""A whole search as a user starts it, against two plain processes that train the same.

``adasearch search`` of 8 trials of about five seconds on 2 slots, from the command to its exit: imports, Ray,
workers, trials, tables. Beside it two plain processes at once, each of which trains half of the trials one
after another with adasearch's own loop, from the start of Python to its exit. A trial is of a nano
MobileNetV3 on the digits at a constant batch, evaluated each epoch.

Goal: at most 1.5 times as long.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial

import torch

from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.io.tables import Column, times
from adasearch.records import Limits
from adasearch.schedulers import make_scheduler
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from common import in_units, interleaved, keep, parser_of, per, positive, spread

SLOTS = 2
NETWORK, BATCH = "mobilenet_v3_small", 64


def plain(trials: int, epochs: int) -> None:
    """Train trials one after another in this process."""
    torch.set_num_threads(1)
    data = load_dataset(DataSpec(source="digits"))
    examples = len(data.train)
    limits = Limits(smallest=BATCH, largest=BATCH)
    for seed in range(trials):
        config = TrainConfig(
            architecture=NETWORK,
            scale="nano",
            seed=seed,
            hyperparameters=Hyperparameters(batch_size=BATCH, lr=0.01),
            budget=epochs * examples,
            interval=examples,
            evaluate_every=examples,
        )
        for _ in train(config, make_scheduler("constant", {}), limits, data):
            pass


def plain_processes(trials: int, epochs: int) -> None:
    """Train trials in as many processes as there are slots, at once."""
    own = [sys.executable, __file__, "--epochs", str(epochs), "--plain", str(trials // SLOTS)]
    processes = [subprocess.Popen(own) for _ in range(SLOTS)]
    ends = [process.wait() for process in processes]
    if any(ends):
        raise SystemExit("a plain process failed")


def search(trials: int, epochs: int) -> None:
    """Search by the command."""
    with tempfile.TemporaryDirectory() as results:
        command = (
            f"search --architecture {NETWORK} --scheduler constant --set train/batch_size={BATCH} --dataset"
        )
        command += (
            f" digits --epochs {epochs} --trials {trials} --slots {SLOTS} --stopper none --results {results}"
        )
        done = subprocess.run(
            [sys.executable, "-m", "adasearch", *command.split()], capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"the search ended with {done.returncode}: {done.stderr[-500:]}")


COLUMNS = (
    Column("trials", "trials"),
    Column("epochs", "epochs"),
    Column("trial_seconds", "s a trial", in_units(1, 1)),
    Column("search_seconds", "search, s", in_units(1, 1)),
    Column("plain_seconds", "plain, s", in_units(1, 1)),
    Column("ratio", "search / plain", times),
    Column("ratio_low", "low", times),
    Column("ratio_high", "high", times),
)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "search_command")
    parser.add_argument("--trials", type=positive, default=8)
    parser.add_argument("--epochs", type=positive, default=15, help="of a trial; 15 are about five seconds")
    parser.add_argument("--rounds", type=positive, default=4)
    parser.add_argument("--plain", type=positive, metavar="N", help="train so many trials in this process")
    arguments = parser.parse_args()
    if arguments.plain:
        plain(arguments.plain, arguments.epochs)
        return
    if arguments.quick:
        arguments.trials, arguments.epochs, arguments.rounds = 2, 1, 1
    os.environ["OMP_NUM_THREADS"] = "1"
    trials, epochs = arguments.trials, arguments.epochs
    works = {
        "search": partial(search, trials, epochs),
        "plain": partial(plain_processes, trials, epochs),
    }
    found = interleaved(works, arguments.rounds)
    whole = spread(found["plain"])
    row = {
        "trials": trials,
        "slots": SLOTS,
        "epochs": epochs,
        "trial_seconds": whole.median / (trials / SLOTS),
        **spread(found["search"]).columns("search_seconds"),
        **whole.columns("plain_seconds"),
        **per(found["search"], found["plain"]).columns("ratio"),
    }
    keep([row], COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
