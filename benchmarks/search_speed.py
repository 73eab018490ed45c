"""Wall-clock that a search needs to the same hypervolume: adasearch beside Ray Tune's ``OptunaSearch``.

On equal workers (the same long-lived groups): adasearch with and without its early stopping, random points,
``OptunaSearch`` with and without ASHA. And ``OptunaSearch`` with a fresh ``TorchTrainer`` for each trial, as
Ray's documentation has it, on fewer seeds, as each trial costs half a minute. Same space, training, data and
first point; 24 trials each, and 48 where trials are stopped early, which then take about as much wall-clock.
adasearch's second and third point are the default at larger batches, and one arm gives them to
``OptunaSearch``, too, to tell them apart from the rest. The second objective is modelled time, which
neighbours do not move, from a speed profile that is taken first. Wall-clock counts from the first interval
that came in, so that the start of the first workers is nobody's. Per network and seed, adasearch and another
are judged at the smaller of their two final hypervolumes. Modelled seconds that all trials had trained by
then are a second measure, which a machine that is shared does not move; it leaves out what lies between. The
networks are three on which adasearch's first points were not chosen (that was the MobileNetV3): without
BatchNorm, with it, and with AdamW.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import product

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
from problems import Course, Problem, problem_of
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


def reached(course: Course, worst: Point, wanted: float) -> tuple[float, float]:
    """Return the seconds until a search had so much hypervolume: by the clock, and modelled of all trials."""
    points: list[Point] = []
    for end in course.ends:
        points.append((end.val_error, end.seconds))
        if hypervolume(points, worst) >= wanted:
            return end.at - course.began, end.spent
    raise ValueError(f"this search never had a hypervolume of {wanted}")


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "search_speed")
    parser.add_argument(
        "--architecture",
        nargs="+",
        default=["alexnet", "resnet20", "vit_b_16"],
        help="[default: %(default)s]",
    )
    parser.add_argument("--arm", nargs="+", choices=[*ARMS, FRESH], help="beside adasearch  [default: all]")
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument(
        "--trials", type=positive, default=24, help="twice as many where some are stopped early"
    )
    parser.add_argument("--seeds", type=positive, default=5)
    parser.add_argument("--fresh-seeds", type=int, default=1)
    parser.add_argument("--slots", type=positive, default=2)
    parser.add_argument("--subset", type=positive)
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no further seed begins")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.epochs, arguments.trials, arguments.seeds, arguments.fresh_seeds = 1, 4, 1, 0
        arguments.subset, arguments.slots = 300, 1
        arguments.architecture = arguments.architecture[:1]
        arguments.arm = arguments.arm or ["OptunaSearch, first points", "OptunaSearch, ASHA"]
    torch.set_num_threads(1)
    arms = {**ARMS, FRESH: (optuna_search_fresh, 1)}
    if arguments.arm:
        arms = {name: arms[name] for name in ("adasearch", *arguments.arm)}
    courses = _searched(arguments, arms)
    rows: list[Row] = []
    shares: dict[tuple[str, str, str], list[float]] = {}
    worsts = {name: _worst(name, courses) for name in arguments.architecture}
    for (name, arm, seed), course in courses.items():
        worst, ours_ = worsts[name], courses[name, "adasearch", seed]
        own, other = (hypervolume(_points(each), worst) for each in (course, ours_))
        (seconds, spent), (adasearch_seconds, adasearch_spent) = (
            reached(each, worst, min(own, other)) for each in (course, ours_)
        )
        for key, share in product(
            ((arm, name), (arm, "all")),
            (("wall-clock", adasearch_seconds / seconds), ("modelled", adasearch_spent / spent)),
        ):
            shares.setdefault((*key, share[0]), []).append(math.log(share[1]))
        row: Row = {
            "search": arm,
            "architecture": name,
            "seed": seed,
            "trials": arms[arm][1] * arguments.trials,
            "slots": arguments.slots,
            "complete": len(course.ends),
            "hypervolume": own / (worst[0] * worst[1]),
            "whole_seconds": course.ends[-1].at - course.began,
            "reached_seconds": seconds,
            "adasearch_seconds": adasearch_seconds,
            "reached_spent": spent,
            "adasearch_spent": adasearch_spent,
        }
        rows.append(row)
    headers = {
        "search": "search",
        "architecture": "network",
        "seed": "seed",
        "trials": "trials",
        "complete": "complete",
        "hypervolume": "hypervolume",
        "whole_seconds": "whole s",
        "reached_seconds": "s to the smaller hypervolume",
        "adasearch_seconds": "adasearch",
    }
    keep(rows, [Column(key, header) for key, header in headers.items()], arguments.out)
    print("adasearch's seconds to the same hypervolume, as a share of the other's (geometric mean, 95 %)")
    for (arm, name, clock), each in shares.items():
        if arm != "adasearch":
            text = written(estimate(each).exp(), 1, "", digits=2)
            print(f"{arm:29s}  {name:18s}  {clock:10s}  {text}  ({len(each)} searches)")


def _searched(
    arguments: argparse.Namespace, arms: Mapping[str, tuple[Search, int]]
) -> dict[tuple[str, str, int], Course]:
    """Return what came of each search, by network, search and seed."""
    courses: dict[tuple[str, str, int], Course] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        problems = {name: _problem(name, arguments, folder) for name in arguments.architecture}
        with connect(None):
            for seed in range(arguments.seeds):
                if time.monotonic() - began > 60 * arguments.minutes:
                    break
                for (name, problem), (arm, (search, times)) in product(problems.items(), arms.items()):
                    if arm == FRESH and seed >= arguments.fresh_seeds:
                        continue
                    course = courses[name, arm, seed] = search(
                        problem, folder, trials=times * arguments.trials, slots=arguments.slots, seed=seed
                    )
                    print(f"{name}, {arm}, seed {seed}: {len(course.ends)} complete", flush=True)
    return courses


def _problem(architecture: str, arguments: argparse.Namespace, folder: str) -> Problem:
    """Return a network's study, with the speed profile that is taken of it."""
    request = Request(
        architectures=(architecture,),
        schedulers=("deba",),
        space="deba_short",
        baseline=False,
        epochs=arguments.epochs,
        interval="0.25",
        subset=arguments.subset,
    )
    profile(
        replace(request, schedulers=("constant",), space=None),
        ProfileWish(kinds=("speed",), name="bench"),
        results=folder,
        console=Console(file=open(os.devnull, "w")),  # noqa: SIM115 - until the process ends
        options=RunOptions(),
    )
    speeds = [each for each in ProfileStore(folder).speed() if each.setting.architecture == architecture]
    return problem_of(request, speeds[0].curve)


def _points(course: Course) -> list[Point]:
    return [(end.val_error, end.seconds) for end in course.ends]


def _worst(architecture: str, courses: Mapping[tuple[str, str, int], Course]) -> Point:
    """Return the point that hypervolumes of a network lie below: the worst of all its searches."""
    of_it = [course for (name, _, _), course in courses.items() if name == architecture]
    points = [point for course in of_it for point in _points(course)]
    return max(error for error, _ in points), max(seconds for _, seconds in points)


if __name__ == "__main__":
    main()
