"""How long commands take to answer: --help, compare on a store of 1,000 trials, and a search with its Ray.

Whole processes, as a user starts them, beside a Python that does nothing, in turn. Which modules take the
time says ``python -X importtime -m adasearch compare --results FOLDER``. A search of two slots is timed to
the first step of training, apart, as it takes so much longer; PYTHONPATH says of which tree.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from adasearch.io.tables import Column
from adasearch.store import Store
from common import Row, interleaved, keep, parser_of, spread
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


def to_the_first_step() -> float:
    """Return the seconds from the command to the first step on a worker; the search is killed then."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "marks.py").write_text(MARKS)
        mark = Path(folder, "mark")
        began = time.perf_counter()
        search = subprocess.Popen(
            [sys.executable, "-m", "adasearch", *SEARCH.split()],
            cwd=folder,
            env={**os.environ, "MARK": str(mark)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not mark.exists():
            if search.poll() is not None:
                raise RuntimeError(f"the search ended with {search.returncode} before its first step")
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        search.send_signal(signal.SIGINT)
        search.wait()
        return seconds


COLUMNS = (
    Column("command", "command"),
    Column("seconds", "seconds"),
    Column("seconds_low", "low"),
    Column("seconds_high", "high"),
)


def main() -> None:
    """Measure and print."""
    arguments = parser_of(__doc__, "start_up").parse_args()
    trials, rounds = (100, 6) if arguments.quick else (1000, 20)
    cold = spread([to_the_first_step() for _ in range(1 if arguments.quick else 5)])
    searched = {"command": "adasearch search, first step", **cold.columns("seconds")}
    keep([*start_ups(trials, rounds), searched], COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
