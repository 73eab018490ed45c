"""What the process that drives a search computes per trial, with trials that train for a tenth of a second.

Runs one real search through Ray and notes the driver's own processor time at each trial's end: proposals,
books, tables on disk, and Tune; the workers are other processes. With ``--results`` it goes on with the
search of the run before, so that the growth with the trials that are stored is seen.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise

SEARCH = ["--architecture", "resnet18", "--scheduler", "constant", "--dataset", "digits", "--subset", "128"]
SEARCH += ["--epochs", "1", "--interval", "0.25"]

DRIVER = """
import sys, time
from adasearch.commands import _search as commands
from adasearch.cli.main import main

class Noting(commands.SearchDisplay):
    def ended(self, trial):
        super().ended(trial)
        print("ended", time.process_time(), time.perf_counter(), trial.train_seconds or 0.0)

commands.SearchDisplay = Noting
main(sys.argv[1:])
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="in all, stored ones included")
    parser.add_argument("--results", help="folder to keep and to go on with  [default: one that is removed]")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-c", DRIVER, "search", *SEARCH, "--slots", "1"]
        command += ["--trials", str(chosen.trials), "--results", chosen.results or place]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("ended ")]
    ends = [tuple(map(float, line)) for line in lines]
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
    print(f"a trial trained for {trained:.2f} s (median)")


if __name__ == "__main__":
    main()
