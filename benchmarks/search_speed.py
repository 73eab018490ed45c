"""Wall-clock that a search needs to the same hypervolume: adasearch beside Ray Tune's ``OptunaSearch``.

On equal workers (the same long-lived groups): adasearch with and without its early stopping, random points,
``OptunaSearch`` with and without ASHA. And ``OptunaSearch`` with a fresh ``TorchTrainer`` for each trial, as
Ray's documentation has it, on fewer seeds, as each trial costs half a minute. Same space, training, data and
first point; 24 trials each, and 48 where trials are stopped early, which then take about as much wall-clock.
adasearch's second and third point are the default at larger batches, and one arm gives them to
``OptunaSearch``, too, to tell them apart from the rest. The second objective is modelled time, which
neighbours do not move, from a speed profile that is taken first. Wall-clock counts from the first interval
that came in, so that the start of the first workers is nobody's. Per seed, adasearch and another are judged
at the smaller of their two final hypervolumes.
"""

import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from rich.console import Console

from adasearch.analysis.estimates import estimate, written
from adasearch.commands import ProfileWish, profile
from adasearch.io.tables import Column
from adasearch.profiles.profile_store import ProfileStore
from adasearch.runtime import RunOptions
from adasearch.studies.request import Request
from adasearch.tuning.cluster import connect
from common import Row, keep, parser_of, positive
from problems import Course, problem_of
from searches import optuna_search_fresh, optuna_search_on_worker_groups, ours
from transfer import hypervolume

Search = Callable[..., Course]
ARMS: dict[str, tuple[Search, int]] = {  # and how many times the trials that were asked for
    "adasearch": (partial(ours, stopper="halving", sampler="tpe"), 2),
    "adasearch, none stopped": (partial(ours, stopper="none", sampler="tpe"), 1),
    "random": (partial(ours, stopper="none", sampler="random"), 1),
    "OptunaSearch": (partial(optuna_search_on_worker_groups, asha=False), 1),
    "OptunaSearch, first points": (partial(optuna_search_on_worker_groups, asha=False, informed=True), 1),
    "OptunaSearch, ASHA": (partial(optuna_search_on_worker_groups, asha=True), 2),
}
FRESH = "OptunaSearch, fresh trainers"
Point = tuple[float, float]


def reached(course: Course, worst: Point, wanted: float) -> float:
    """Return the seconds of wall-clock until a search had so much hypervolume."""
    points: list[Point] = []
    for end in course.ends:
        points.append((end.val_error, end.seconds))
        if hypervolume(points, worst) >= wanted:
            return end.at - course.began
    raise ValueError(f"this search never had a hypervolume of {wanted}")


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "search_speed")
    parser.add_argument("--architecture", default="mobilenet_v3_small")
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument(
        "--trials", type=positive, default=24, help="twice as many where some are stopped early"
    )
    parser.add_argument("--seeds", type=positive, default=5)
    parser.add_argument("--fresh-seeds", type=int, default=1)
    parser.add_argument("--slots", type=positive, default=2)
    parser.add_argument("--subset", type=positive)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.epochs, arguments.trials, arguments.seeds, arguments.fresh_seeds = 1, 4, 1, 0
        arguments.subset, arguments.slots = 300, 1
    torch.set_num_threads(1)
    quiet = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
    request = Request(
        architectures=(arguments.architecture,),
        schedulers=("deba",),
        space="deba_short",
        baseline=False,
        epochs=arguments.epochs,
        interval="0.25",
        subset=arguments.subset,
    )
    courses: dict[tuple[str, int], Course] = {}
    with tempfile.TemporaryDirectory() as folder:
        profile(
            replace(request, schedulers=("constant",), space=None),
            ProfileWish(kinds=("speed",), name="bench"),
            results=folder,
            console=quiet,
            options=RunOptions(),
        )
        (speed,) = ProfileStore(folder).speed()
        problem = problem_of(request, speed.curve)
        with connect(None):
            arms = {**ARMS, FRESH: (optuna_search_fresh, 1)}
            if arguments.quick:
                arms = {
                    name: arms[name]
                    for name in ("adasearch", "OptunaSearch, first points", "OptunaSearch, ASHA")
                }
            for seed in range(arguments.seeds):
                for arm, (search, times) in arms.items():
                    if arm != FRESH or seed < arguments.fresh_seeds:
                        trials = times * arguments.trials
                        courses[arm, seed] = search(
                            problem, folder, trials=trials, slots=arguments.slots, seed=seed
                        )
                        print(f"{arm}, seed {seed}: {len(courses[arm, seed].ends)} complete", flush=True)
    points = [(end.val_error, end.seconds) for course in courses.values() for end in course.ends]
    worst = (max(error for error, _ in points), max(seconds for _, seconds in points))
    rows: list[Row] = []
    shares: dict[str, list[float]] = {}
    for (arm, seed), course in courses.items():
        own, ours_ = (
            hypervolume([(end.val_error, end.seconds) for end in each.ends], worst)
            for each in (course, courses["adasearch", seed])
        )
        seconds = reached(course, worst, min(own, ours_))
        adasearch_seconds = reached(courses["adasearch", seed], worst, min(own, ours_))
        shares.setdefault(arm, []).append(adasearch_seconds / seconds)
        row: Row = {
            "search": arm,
            "architecture": arguments.architecture,
            "seed": seed,
            "trials": arms[arm][1] * arguments.trials,
            "slots": arguments.slots,
            "complete": len(course.ends),
            "hypervolume": own / (worst[0] * worst[1]),
            "whole_seconds": course.ends[-1].at - course.began,
            "reached_seconds": seconds,
            "adasearch_seconds": adasearch_seconds,
        }
        rows.append(row)
    headers = {
        "search": "search",
        "seed": "seed",
        "trials": "trials",
        "complete": "complete",
        "hypervolume": "hypervolume",
        "whole_seconds": "whole s",
        "reached_seconds": "s to the smaller hypervolume",
        "adasearch_seconds": "adasearch",
    }
    keep(rows, [Column(key, header) for key, header in headers.items()], arguments.out)
    print("wall-clock of adasearch to the same hypervolume, as a share of the other's (geometric mean, 95 %)")
    for arm, each in shares.items():
        if arm != "adasearch":
            ratios = estimate([math.log(ratio) for ratio in each]).exp()
            text = written(ratios, 1, "", digits=2)
            print(f"{arm:29s}  {text}  ({len(each)} seeds)")


if __name__ == "__main__":
    main()
