"""How long commands take to answer: --help, and compare on a store of 1,000 trials.

Whole processes, as a user starts them, beside a Python that does nothing, in turn. Which modules take the
time says ``python -X importtime -m adasearch compare --results FOLDER``.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial

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
    keep(start_ups(trials, rounds), COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
