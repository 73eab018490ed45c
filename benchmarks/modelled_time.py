"""How far modelled time is from measured time: a run alone on the machine, and one with neighbours.

Takes a speed profile of each network, then trains it under a constant batch and under DEBA with thresholds so
wide that it grows, first alone and then with as many other runs beside it as there are CPUs. Modelled seconds
should lie within 5 % of measured ones alone, and stay when neighbours come. Prints a table and keeps it as
Parquet, one row per run. Run it on a machine that nobody else uses; where there is none, ``--core-seconds``
times everything, the profile too, by what this process computed, which waiting for a core does not lengthen
(though a neighbour in the caches does).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console

from adasearch.commands import ProfileWish, profile, train_once
from adasearch.plans import Request
from adasearch.run_options import RunOptions

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
        patch("adasearch.timing.time", SimpleNamespace(perf_counter=time.process_time)).start()
    torch.set_num_threads(1)
    quiet = Console(file=open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
    rows = []
    print("architecture          scheduler  neighbours  seed  measured s  modelled s  modelled / measured")
    with tempfile.TemporaryDirectory() as results:
        for network in arguments.architecture or ["resnet18", "mobilenet_v3_small", "vit_b_16"]:
            request = Request(architectures=(network,), schedulers=("constant",))
            profile(
                request, ProfileWish(kinds=("speed",)), results=results, console=quiet, options=RunOptions()
            )
            for count in (0, arguments.neighbours):
                with neighbours(count):
                    for scheduler, fixed in (("constant", ()), ("deba", GROWING)):
                        for seed in range(arguments.runs):
                            asked = Request(
                                architectures=(network,),
                                schedulers=(scheduler,),
                                fixed=fixed,
                                epochs=arguments.epochs,
                                interval="0.5",
                                seed=seed,
                            )
                            trial = train_once(asked, results=results, console=quiet)
                            assert trial.train_seconds, trial.error
                            assert trial.modelled_seconds, "no speed profile fits"
                            ratio = trial.modelled_seconds / trial.train_seconds
                            rows.append(
                                {
                                    "architecture": network,
                                    "scheduler": scheduler,
                                    "neighbours": count,
                                    "seed": seed,
                                    "measured_seconds": trial.train_seconds,
                                    "modelled_seconds": trial.modelled_seconds,
                                    "final_batch_size": trial.final_batch_size,
                                    "core_seconds": arguments.core_seconds,
                                    "load": os.getloadavg()[0],
                                }
                            )
                            print(
                                f"{network:20s}  {scheduler:9s}  {count:10d}  {seed:4d}  "
                                f"{trial.train_seconds:10.2f}  {trial.modelled_seconds:10.2f}  {ratio:19.2f}",
                                flush=True,
                            )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), arguments.out)
    print(f"kept in {arguments.out}")


if __name__ == "__main__":
    main()
