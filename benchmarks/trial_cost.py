"""What a trial costs beyond its training: adasearch's long-lived workers against Ray's documented pattern.

First one trial at a time, of a network and of a training function of the user's own, beside a function that
makes a fresh ``TorchTrainer`` for each trial: the fixed cost is the time between the ends of two consecutive
trials, less the training and evaluation of the second; what the user's own sets up belongs to it.
Then 40 trials of about a second on two slots, against the ideal: all that was trained, shared by two. Starts
of the first workers count nowhere.
"""

import os
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import torch

from adasearch.io.tables import Column
from adasearch.studies.request import Request
from adasearch.tuning.cluster import connect
from common import Row, keep, parser_of, spread
from problems import Course, Problem, problem_of
from searches import optuna_search_fresh, ours

SLOTS = 2
EXAMPLES = str(Path(__file__).parents[1] / "docs" / "examples")


def constant(epochs: float, interval: str = "1") -> Problem:
    """Return a study of one network at a constant batch size, so that all its trials are alike."""
    request = Request(
        architectures=("mobilenet_v3_small",),
        schedulers=("constant",),
        fixed=("train/batch_size=64",),
        epochs=epochs,
        interval=interval,
    )
    return problem_of(request, None)


def own(epochs: float) -> Problem:
    """Return the same of a training function, that of ``docs/examples/segmentation.py``."""
    sys.path.insert(0, EXAMPLES)
    os.environ["PYTHONPATH"] = os.pathsep.join([EXAMPLES, os.environ.get("PYTHONPATH", "")])  # of the workers
    request = Request(
        train="segmentation:train",
        train_space=f"{EXAMPLES}/segmentation.yaml",
        schedulers=("constant",),
        fixed=("train/batch_size=64", "train/width=8"),
        objective="loss",
        epochs=epochs,
    )
    return problem_of(request, None)


def fixed_costs(course: Course) -> list[float]:
    """Return the fixed cost in seconds of the second and every later trial of one slot."""
    return [after.at - before.at - after.trained_seconds for before, after in pairwise(course.ends)]


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "trial_cost")
    parser.add_argument("--epochs", type=float, default=3, help="of a trial; 3 are about a second")
    arguments = parser.parse_args()
    pooled, fresh, many = (4, 2, 8) if arguments.quick else (12, 5, 40)
    torch.set_num_threads(1)
    problem, function = constant(arguments.epochs), own(arguments.epochs)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, connect(None):
        ways = {
            "adasearch": ours(
                problem, folder, trials=pooled, slots=1, seed=0, stopper="none", sampler="random"
            ),
            "adasearch, a training function": ours(
                function, folder, trials=pooled, slots=1, seed=0, stopper="none", sampler="random"
            ),
            "fresh TorchTrainer in a Tune function": optuna_search_fresh(
                problem, folder, trials=fresh, slots=1, seed=0
            ),
        }
        for name, course in ways.items():
            costs = fixed_costs(course)
            rows.append({"way": name, "trials": len(costs), **spread(costs).columns("fixed_seconds")})
        course = ours(problem, folder, trials=many, slots=SLOTS, seed=0, stopper="none", sampler="random")
    start = course.both(SLOTS)
    trained = sum(end.trained_seconds for end in course.ends if end.at > start)
    whole = course.ends[-1].at - start
    one, _, other = (float(row["fixed_seconds"]) for row in rows)  # type: ignore[arg-type]
    rows.append(
        {
            "way": f"adasearch, {SLOTS} slots",
            "trials": many,
            "trained_seconds": trained,
            "whole_seconds": whole,
            "of_ideal": whole / (trained / SLOTS),
        }
    )
    columns = [
        Column("way", "way"),
        Column("trials", "trials"),
        Column("fixed_seconds", "fixed s"),
        Column("fixed_seconds_low", "low"),
        Column("fixed_seconds_high", "high"),
        Column("trained_seconds", "trained s"),
        Column("whole_seconds", "wall-clock s"),
        Column("of_ideal", "of ideal"),
    ]
    keep(rows, columns, arguments.out)
    print(f"a fresh trainer costs {other / one:.0f} times as much per trial (median)")


if __name__ == "__main__":
    main()
