"""How far modelled time is from measured time: a run alone on the machine, and one with neighbours.

Trains each network under a constant batch and under DEBA with thresholds so wide that it grows, first alone
and then with as many busy processes beside it as there are CPUs. Modelled seconds should lie within 5 % of
measured ones alone, and stay when neighbours come. A machine that many share changes its own pace from minute
to minute: each run alone has a speed profile taken before and after it, its modelled seconds are their mean,
and how far the two are apart is told. Prints a table and keeps it as Parquet, one row per run. Run it on a
machine that nobody else uses; where there is none, ``--core-seconds`` times everything, the profile too, by
what this process computed, which waiting for a core does not lengthen (a neighbour in the caches does).
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console

from adasearch.commands import ProfileWish, profile, train
from adasearch.profiles.modelled_time import SpeedCurve, modelled_trial
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import TrialRecord
from adasearch.runtime import RunOptions
from adasearch.store import Store
from adasearch.studies.request import Request

GROWING = (
    "scheduler/confidence_threshold=3",
    "scheduler/stability_threshold=5",
    "scheduler/cooldown=2",
    "scheduler/rule=settle",
)
NEIGHBOUR = """
import itertools, torch
torch.set_num_threads(1)
x = torch.randn(256, 256)
for _ in itertools.count():
    x = (x @ x).tanh()
"""


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Let so many processes compute meanwhile."""
    busy = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.terminate()
            process.wait()


def speed(request: Request, name: str, results: str, console: Console) -> SpeedCurve:
    """Take a speed profile and return it."""
    profile(
        request,
        ProfileWish(kinds=("speed",), name=name),
        results=results,
        console=console,
        options=RunOptions(),
    )
    return next(each.curve for each in ProfileStore(results).speed() if each.profile == name)


def seconds_by(curve: SpeedCurve, trial: TrialRecord, results: str) -> float:
    """Return a run's modelled seconds."""
    intervals = Store(results).intervals("train")[trial.trial_id]
    seconds = modelled_trial(trial, intervals, curve).modelled_seconds
    assert seconds
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--architecture", action="append")
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--neighbours", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", default="results/bench/modelled_time.parquet", type=Path)
    parser.add_argument("--core-seconds", action="store_true")
    arguments = parser.parse_args()
    if arguments.core_seconds:
        patch("adasearch.training.stopwatch.time", SimpleNamespace(perf_counter=time.process_time)).start()
    torch.set_num_threads(1)
    quiet = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
    rows = []
    print("architecture          scheduler  neighbours  seed  measured s  modelled s  modelled / measured")
    with tempfile.TemporaryDirectory() as results:
        for network in arguments.architecture or ["resnet18", "mobilenet_v3_small", "vit_b_16"]:
            request = Request(
                architectures=(network,),
                schedulers=("constant",),
                epochs=arguments.epochs,
                interval="0.5",
                smallest=32,
                largest=256,
            )
            names = (f"{network}-{number}" for number in itertools.count())
            former = speed(request, next(names), results, quiet)
            for count in sorted({0, arguments.neighbours}):
                for scheduler, fixed in (("constant", ()), ("deba", GROWING)):
                    for seed in range(arguments.runs):
                        asked = replace(request, schedulers=(scheduler,), fixed=fixed, seed=seed)
                        with neighbours(count):
                            trial = train(asked, results=results, console=quiet)
                        assert trial.train_seconds, trial.error
                        latter = former if count else speed(request, next(names), results, quiet)
                        each = [seconds_by(curve, trial, results) for curve in (former, latter)]
                        former = latter
                        row = {
                            "architecture": network,
                            "scheduler": scheduler,
                            "neighbours": count,
                            "seed": seed,
                            "measured_seconds": trial.train_seconds,
                            "modelled_seconds": statistics.mean(each),
                            "modelled_before": each[0],
                            "modelled_after": each[1],
                            "final_batch_size": trial.final_batch_size,
                            "core_seconds": arguments.core_seconds,
                            "load": os.getloadavg()[0],
                        }
                        rows.append(row)
                        measured, modelled = row["measured_seconds"], row["modelled_seconds"]
                        print(
                            f"{network:20s}  {scheduler:9s}  {count:10d}  {seed:4d}  "
                            f"{measured:10.2f}  {modelled:10.2f}  {modelled / measured:19.2f}",
                            flush=True,
                        )
    alone = [row for row in rows if not row["neighbours"]]
    ratios = [row["modelled_seconds"] / row["measured_seconds"] for row in alone]
    drifts = [abs(row["modelled_after"] / row["modelled_before"] - 1) for row in alone]
    print(
        f"alone: modelled / measured {statistics.median(ratios):.3f} (median of {len(alone)}), "
        f"{min(ratios):.2f} to {max(ratios):.2f}; two profiles in a row differed by "
        f"{statistics.median(drifts):.1%} (median), {max(drifts):.1%} at most"
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), arguments.out)
    print(f"kept in {arguments.out}")


if __name__ == "__main__":
    main()
