"""How long commands take to answer: --help, compare on a store of 1,000 trials, and a search with its Ray.

Whole processes, as a user starts them, beside a Python that does nothing, in turn. Which modules take the
time says ``python -X importtime -m adasearch compare --results FOLDER``. A search of two slots is timed to
the first step of training, apart, as it takes so much longer: beside two bare trainers of one worker each,
which start side by side, to the first step of either, and with ``--base`` beside another tree's.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from adasearch.io.tables import Column, times
from adasearch.store import Store
from common import Row, interleaved, keep, parser_of, per, spread
from store_scale import write

INTERVALS = 20


def command(*words: str) -> Callable[[], object]:
    """Return what runs a Python with these words and throws its output away."""
    return partial(
        subprocess.run,
        [sys.executable, *words],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def start_ups(trials: int, rounds: int) -> Sequence[Row]:
    """Time the commands side by side."""
    with tempfile.TemporaryDirectory() as results:
        write(Store(results), trials, INTERVALS)
        adasearch = partial(command, "-m", "adasearch")
        works = {
            "python -c pass": command("-c", "pass"),
            "adasearch --help": adasearch("--help"),
            "adasearch search --help": adasearch("search", "--help"),
            f"adasearch compare, {trials} trials": adasearch("compare", "--results", results),
        }
        found = interleaved(works, rounds)
    return [{"command": name, **spread(seconds).columns("seconds")} for name, seconds in found.items()]


MARKS = """
import os
import sys
from pathlib import Path
from torch import nn

class Marks(nn.Linear):
    def forward(self, images):
        if "ray" in sys.modules:  # neither the driver before it starts Ray nor its rehearsal
            Path(os.environ["MARK"]).touch()
        return super().forward(images.flatten(1))

def net(classes, image_size):
    return Marks(3 * image_size**2, classes)
"""
SEARCH = "search --architecture marks:net --scheduler constant --slots 2 --trials 2 --subset 150 --epochs 1"


BARE = """
import ray
import torch
from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer

def train():
    import marks
    marks.net(10, 8)(torch.zeros(1, 3, 8, 8)).sum().backward()

@ray.remote(num_cpus=0)
def fit():
    TorchTrainer(train, scaling_config=ScalingConfig(num_workers=1)).fit()

ray.init(include_dashboard=False)
ray.get([fit.remote(), fit.remote()])
"""


def to_the_first_step(*words: str, tree: Path | None = None) -> float:
    """Return the seconds from a command to the first step on a worker; it is interrupted then."""
    paths = [str(tree)] if tree else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "marks.py").write_text(MARKS)
        Path(folder, "bare.py").write_text(BARE)
        mark = Path(folder, "mark")
        began = time.perf_counter()
        started = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env={
                **os.environ,
                "MARK": str(mark),
                "PYTHONPATH": os.pathsep.join([*filter(None, paths), folder]),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not mark.exists():
            if started.poll() is not None:
                raise RuntimeError(f"{words[-1]} ended with {started.returncode} before its first step")
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        started.send_signal(signal.SIGINT)
        started.wait()
        return seconds


def first_steps(rounds: int, base: Path | None) -> Sequence[Row]:
    """Time first steps side by side, and their ratios to this tree's."""
    searched = ("-m", "adasearch", *SEARCH.split())
    works = {"adasearch search": partial(to_the_first_step, *searched)}
    works["two bare trainers"] = partial(to_the_first_step, "bare.py")
    if base is not None:
        works[f"adasearch search of {base.name}"] = partial(to_the_first_step, *searched, tree=base.resolve())
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name in random.sample(list(works), len(works)):
            found[name].append(works[name]())
    return [
        {
            "command": f"{name}, first step",
            **spread(seconds).columns("seconds"),
            **per(found["adasearch search"], seconds).columns("ratio"),
        }
        for name, seconds in found.items()
    ]


COLUMNS = (
    Column("command", "command"),
    Column("seconds", "seconds"),
    Column("seconds_low", "low"),
    Column("seconds_high", "high"),
    Column("ratio", "a search to it", times),
)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "start_up")
    parser.add_argument("--base", type=Path, help="another tree of adasearch, whose search is timed as well")
    arguments = parser.parse_args()
    trials, rounds, cold = (100, 6, 1) if arguments.quick else (1000, 20, 6)
    keep([*start_ups(trials, rounds), *first_steps(cold, arguments.base)], COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
