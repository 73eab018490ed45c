"""What a trial costs beyond its training: pooled workers against fresh ones for each trial.

Runs two searches with one slot, side by side in time, and takes the fixed cost of a trial from their rows:
the time between the ends of two consecutive trials less the training and evaluation of the second.
"""

import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise

from adasearch.store import Store

SEARCH = ["--architecture", "resnet18", "--scheduler", "constant", "--dataset", "digits", "--epochs", "2"]
TRIALS = {"pooled": 12, "fresh": 4}


def fixed_costs(isolation: str) -> list[float]:
    """Return the fixed cost in seconds of the second and every later trial."""
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, "-m", "adasearch", "search", *SEARCH, "--isolation", isolation]
        command += [
            "--trials",
            str(TRIALS[isolation]),
            "--slots",
            "1",
            "--stopper",
            "none",
            "--results",
            results,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        store = Store(results)
        trials = [trial for study in store.studies() for trial in store.trials(study.study)]
    costs = []
    for before, trial in pairwise(trials):
        if before.ended_at is None or trial.ended_at is None:
            raise SystemExit(f"{trial.trial_id} did not end")
        whole = (trial.ended_at - before.ended_at).total_seconds()
        costs.append(whole - (trial.train_seconds or 0) - (trial.eval_seconds or 0))
    return costs


def main() -> None:
    """Measure and print."""
    medians = {}
    for isolation in TRIALS:
        costs = fixed_costs(isolation)
        medians[isolation] = statistics.median(costs)
        print(
            f"{isolation:7s} fixed cost of a trial: median {medians[isolation]:.2f} s, "
            f"{min(costs):.2f} to {max(costs):.2f} s, {len(costs)} trials after the first"
        )
    print(f"fresh workers cost {medians['fresh'] / medians['pooled']:.0f} times as much as pooled ones")


if __name__ == "__main__":
    main()
