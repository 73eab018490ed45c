"""What every architecture costs: parameters, multiply-adds, time and memory of a short training.

Trains each form in a process of its own on random images of CIFAR's size at batch 64, on one thread, through
:func:`adasearch.training.loop.train`. The first interval warms up; of the next three the least counts, since
neighbours on the machine only ever slow one down. They lengthen the seconds far more than the core's own
("core s": the time that the process computed), so a nano form shall take less than 20 of these for 10,000
images. Prints a table and keeps it as Parquet, one row per form.
"""

import argparse
import multiprocessing
import platform
import resource
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from adasearch.networks.dry_run import multiply_adds
from adasearch.networks.registry import ARCHITECTURES, SCALES, build_model, trained
from adasearch.records import Limits
from adasearch.schedulers import make_scheduler
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from common import random_images

BATCH = 64  # examples
CLASSES = 10
IMAGE_SIZE = 32  # pixels
IMAGES = 10_000  # what the seconds are for
MIB = 2**20
STEPS = {"nano": 5, "full": 1}  # per interval
TIMED = 3  # intervals


def measure(form: tuple[str, str, str]) -> dict[str, Any]:
    """Train one form, given as architecture, scale and device; return its row."""
    name, scale, device = form
    with torch.device("meta"):
        network = build_model(name, scale, classes=CLASSES, image_size=IMAGE_SIZE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    span = STEPS[scale] * BATCH
    config = TrainConfig(
        architecture=name,
        scale=scale,
        seed=0,
        hyperparameters=Hyperparameters(batch_size=BATCH, lr=1e-3),
        budget=(TIMED + 2) * span,
        interval=span,
        evaluate_every=(TIMED + 2) * span,
        device_batch=BATCH,
    )
    limits = Limits(smallest=BATCH, largest=BATCH)
    records = train(
        config,
        make_scheduler("constant", {}),
        limits,
        random_images(BATCH, IMAGE_SIZE, CLASSES),
        device=device,
    )
    next(records)
    seconds, core_seconds = [], []
    for _ in range(TIMED):  # not the last interval, which evaluates
        start = time.process_time()
        seconds.append(next(records).train_seconds)
        core_seconds.append(time.process_time() - start)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {
        "architecture": name,
        "scale": scale,
        "image_size": IMAGE_SIZE,
        "batch_size": BATCH,
        "parameters": trained(network),
        "multiply_adds": multiply_adds(network, IMAGE_SIZE),
        "seconds": min(seconds) * IMAGES / span,
        "core_seconds": min(core_seconds) * IMAGES / span,
        "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else peak,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()}, one thread",
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--architecture", action="append", choices=list(ARCHITECTURES))
    parser.add_argument("--scale", action="append", choices=SCALES)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", default="results/bench/architectures.parquet", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    forms = [
        (name, scale, arguments.device)
        for scale in arguments.scale or SCALES
        for name in arguments.architecture or ARCHITECTURES
    ]
    rows = []
    print(
        "scale  architecture            parameters    multiply-adds    s per 10,000    peak memory",
        flush=True,
    )
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        for row in pool.imap(measure, forms):  # a process for each, since peak memory never falls
            rows.append(row)
            print(
                f"{row['scale']:5s}  {row['architecture']:20s}  {row['parameters']:12,d}  "
                f"{row['multiply_adds']:15,d}  {row['seconds']:13.1f}  {row['core_seconds']:6.1f}  "
                f"{row['peak_bytes'] / MIB:7,.0f} MiB",
                flush=True,
            )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), arguments.out)
    print(f"kept in {arguments.out}")


if __name__ == "__main__":
    main()
