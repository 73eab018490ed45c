"""What the process that drives a search computes per trial, with trials that train for a tenth of a second.

Runs one real search through Ray and notes the driver's own processor time at each trial's end: proposals,
books, tables on disk, and Tune; the workers are other processes. Its greatest memory is told at the end. With
``--results`` it goes on with the search of the run before, so that the growth with the trials that are stored
is seen. With ``--base`` another tree of adasearch does the same afterwards.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

SEARCH = ["--architecture", "resnet18", "--scheduler", "constant", "--dataset", "digits", "--subset", "128"]
SEARCH += ["--epochs", "1", "--interval", "0.25"]

DRIVER = """
import importlib, sys, time
try:
    commands = importlib.import_module("adasearch.commands._search")
    main = importlib.import_module("adasearch.cli.main").main
except ModuleNotFoundError:  # a base of old
    commands, main = (importlib.import_module(f"adasearch.{name}") for name in ("commands", "cli"))
    main = main.main

class Noting(commands.SearchDisplay):
    def ended(self, trial):
        super().ended(trial)
        print("ended", time.process_time(), time.perf_counter(), trial.train_seconds or 0.0)

commands.SearchDisplay = Noting
try:
    main(sys.argv[1:])
finally:
    with open("/proc/self/status") as file:
        print("memory", next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e9)
"""


def searched(tree: Path, trials: int, results: str) -> float:
    """Run a search with the code of a tree; print what its driver computed, and return its memory in GB."""
    command = [sys.executable, "-c", DRIVER, "search", *SEARCH, "--slots", "1"]
    command += ["--trials", str(trials), "--results", results]
    env = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env, cwd=tree)
    lines = [line.split() for line in done.stdout.splitlines()]
    ends = [tuple(map(float, words[1:])) for words in lines if words[:1] == ["ended"]]
    (memory,) = (float(words[1]) for words in lines if words[:1] == ["memory"])
    if len(ends) < 3:
        raise SystemExit(f"{len(ends)} trials were run, which is too few; give more --trials")
    print(f"until the first of {len(ends)} trials ended: {ends[0][0]:.1f} s of the driver's processor time")
    computed = [after[0] - before[0] for before, after in pairwise(ends)]
    passed = [after[1] - before[1] - after[2] for before, after in pairwise(ends)]
    part = max(1, len(computed) // 5)
    for which, costs, waits in (
        ("first", computed[:part], passed[:part]),
        ("last", computed[-part:], passed[-part:]),
    ):
        print(
            f"{which} {part} of the others: {1000 * statistics.fmean(costs):.0f} ms of the driver's "
            f"processor time per trial (median {1000 * statistics.median(costs):.0f}), "
            f"{1000 * statistics.fmean(waits):.0f} ms beside training"
        )
    trained = statistics.median(end[2] for end in ends)
    print(f"a trial trained for {trained:.2f} s (median); memory of the driver: {memory:.3f} GB", flush=True)
    return memory


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="in all, stored ones included")
    parser.add_argument("--results", help="folder to keep and to go on with  [default: one that is removed]")
    parser.add_argument("--base", type=Path, help="another tree of adasearch, to be compared with")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        memory = searched(Path(__file__).resolve().parents[1], chosen.trials, chosen.results or place)
    if chosen.base is not None:
        with tempfile.TemporaryDirectory() as place:
            base = searched(chosen.base.resolve(), chosen.trials, place)
        print(f"memory: {memory / base:.2f} of the base's")


if __name__ == "__main__":
    main()
