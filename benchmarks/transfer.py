"""How many trials ``--transfer`` saves on a network that was not searched before.

Searches donors once, then every network again under other seeds, cold and with ``--transfer``; a network
never learns from itself. Per network and seed both arms are judged by the trials that it takes to reach the
same hypervolume of (validation error, modelled seconds): the smaller of their final ones. Trials saved:
those of the cold arm less those of the other, with a bootstrap interval over networks. Modelled
seconds come from a speed profile that is taken first, so run it while nothing else runs.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq

from adasearch.analysis.estimates import estimate
from adasearch.store import Store

NETWORKS = ("alexnet", "mobilenet_v3_small", "efficientnet_b0", "vgg11_bn", "resnet20")
SPAN = ("--dataset", "digits", "--epochs", "6", "--interval", "0.25")
POLICY = ("--scheduler", "deba", "--space", "deba_quantile", "--stopper", "none")
Point = tuple[float, float]


def hypervolume(points: Sequence[Point], worst: Point) -> float:
    """Return the area between a front, both values minimised, and a worst point.

    >>> hypervolume([(1.0, 2.0), (2.0, 1.0), (2.0, 2.0)], worst=(3.0, 3.0))
    3.0
    """
    area, ceiling = 0.0, worst[1]
    for error, seconds in sorted(points):
        if error < worst[0] and seconds < ceiling:
            area += (worst[0] - error) * (ceiling - seconds)
            ceiling = seconds
    return area


def reached(points: Sequence[Point], worst: Point, wanted: float) -> int:
    """Return how many trials, in their order, it took to reach a hypervolume."""
    return next(n for n in range(1, len(points) + 1) if hypervolume(points[:n], worst) >= wanted)


def adasearch(command: str, networks: Sequence[str], results: Path, *options: str) -> None:
    """Run a command of the command line on these networks."""
    chosen = [word for name in networks for word in ("--architecture", name)]
    words = [sys.executable, "-m", "adasearch", command, *chosen, *SPAN, *options, "--results", str(results)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def points_of(results: Path, arm: str) -> dict[str, list[Point]]:
    """Return the outcomes of an arm's trials by network, in order; a failed one is infinitely bad."""
    store = Store(str(results))
    found: dict[str, list[Point]] = {}
    for study in store.studies():
        if study.study.startswith(arm):
            found[study.architecture] = [
                (float("inf"), float("inf"))
                if trial.val_error is None or trial.modelled_seconds is None
                else (trial.val_error, trial.modelled_seconds)
                for trial in store.trials(study.study)
            ]
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--architecture", action="append")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--donor-trials", type=int, default=16)
    parser.add_argument("--out", default="results/bench/transfer.parquet", type=Path)
    arguments = parser.parse_args()
    networks = arguments.architecture or list(NETWORKS)
    rows = []
    print("network               seed  trials to the same hypervolume: cold  with transfer", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        donors = Path(folder, "donors")
        adasearch("profile", networks, donors, "--kind", "speed")
        adasearch(
            "search", networks, donors, *POLICY, "--study", "donor", "--trials", str(arguments.donor_trials)
        )
        for seed in range(1, arguments.seeds + 1):
            found = {}
            for arm, options in (("cold", ()), ("warm", ("--transfer",))):
                results = Path(folder, f"{arm}-{seed}")
                shutil.copytree(donors, results)
                wish = ("--study", arm, "--seed", str(seed), "--trials", str(arguments.trials))
                adasearch("search", networks, results, *POLICY, "--no-baseline", *wish, *options)
                found[arm] = points_of(results, arm)
            for network in networks:
                cold, warm = found["cold"][network], found["warm"][network]
                finite = [point for point in (*cold, *warm) if point[0] < float("inf")]
                worst = (max(error for error, _ in finite), max(seconds for _, seconds in finite))
                wanted = min(hypervolume(cold, worst), hypervolume(warm, worst))
                row = {
                    "architecture": network,
                    "seed": seed,
                    "cold": reached(cold, worst, wanted),
                    "warm": reached(warm, worst, wanted),
                    "cold_hypervolume": hypervolume(cold, worst),
                    "warm_hypervolume": hypervolume(warm, worst),
                    "trials": arguments.trials,
                }
                rows.append(row)
                print(f"{network:20s}  {seed:4d}  {row['cold']:36d}  {row['warm']:13d}", flush=True)
    # Seeds of a network share its donors and profile, so the network is what counts once.
    saved = estimate(
        [
            fmean(float(row["cold"]) - float(row["warm"]) for row in rows if row["architecture"] == network)
            for network in networks
        ]
    )
    print(
        f"saved: {saved.mean:.2f} of {arguments.trials} trials, 95 % interval {saved.low} to {saved.high} "
        f"({len(networks)} networks, {arguments.seeds} seeds)"
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), arguments.out)
    print(f"kept in {arguments.out}")


if __name__ == "__main__":
    main()
