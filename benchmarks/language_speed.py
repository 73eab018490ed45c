"""A language model trained by adasearch against a loop of plain PyTorch, written as its users write it.

The same nano GPT with the same first weights, batches of the same sizes from the same text, AdamW and
clipping; whole intervals take turns, each work on a network of its own. "nothing" is adasearch without
a signal, the others measure what a method reads, and decide. Peaks of memory are those of a process
that imports the same and does nothing else.

Goal: at most 2 % slower with DEBA's signals and 5 % with the noise scale at 8 sequences of 128 bytes, and
1.05 times the memory.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn

from adasearch.data.spec import DataSpec
from adasearch.data.text.load import load_text
from adasearch.data.text.sequences import TextData
from adasearch.io.tables import Column
from adasearch.networks.language import build_language_model
from adasearch.schedulers import SCHEDULERS, BatchSizeScheduler
from adasearch.schedulers.deba import Deba
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.memory import PeakMemory
from adasearch.training.run import Run
from common import (
    Clock,
    Row,
    clock_of,
    clocked,
    in_units,
    interleaved,
    keep,
    parser_of,
    per,
    positive,
    spread,
)
from histories import LIMITS, row_of
from measuring import percent_more

LENGTH = 128
STEPS = 50  # of an interval
ARMS: dict[str, BatchSizeScheduler] = {
    "nothing": SCHEDULERS["constant"](),
    "deba": Deba(),
    "noise scale": SCHEDULERS["noise_scale"](),
}
HISTORY = [row_of(index, 16) for index in range(100)]


def text() -> TextData:
    """Return a part of the standard library's source."""
    return load_text(DataSpec(source="python_source", sequence_length=LENGTH, subset=8192))


def plain_loop(batch_size: int, steps: int = STEPS) -> Callable[[], object]:
    """Return what takes an interval's steps as a loop without adasearch does: of bytes and torch alone."""
    data = text().train
    tokens, rows = data.blocks[0], data.chosen
    assert rows is not None
    torch.manual_seed(0)
    network = build_language_model("gpt", "nano", vocabulary=256, sequence_length=LENGTH)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    draw = np.random.default_rng(0)

    def interval() -> float:
        network.train()
        total = torch.zeros(())
        for _ in range(steps):
            starts = draw.choice(rows, batch_size) * LENGTH
            batch = np.stack([tokens[start : start + LENGTH + 1] for start in starts]).astype(np.int64)
            inputs, targets = torch.from_numpy(batch[:, :-1]), torch.from_numpy(batch[:, 1:])
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(network(inputs).flatten(0, 1), targets.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            total += loss.detach()
        return total.item()

    return interval


def arm(
    batch_size: int, scheduler: BatchSizeScheduler, clock: Clock, steps: int = STEPS
) -> Callable[[], object]:
    """Return what takes an interval's steps as a trial does, and decides."""
    config = TrainConfig(
        architecture="gpt",
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(
            batch_size=batch_size,
            optimizer="adamw",
            lr=1e-3,
            lr_schedule="constant",
            beta2=0.95,
            weight_decay=0.1,
            max_grad_norm=1.0,
        ),
        budget=10**12,
        interval=10**6,
        evaluate_every=10**12,
    )
    run = Run(config, scheduler.needs, text(), torch.device("cpu"))
    run.clock.clock = clock

    def interval() -> None:
        run.steps_until(run.examples_seen + steps * batch_size, batch_size, 1.0)
        scheduler.decide(HISTORY, LIMITS)
        run.clock.read()

    return interval


def peak(work: str, batch_size: int) -> int:
    """Return the bytes that a process takes at most for a work that it does alone."""
    command = [sys.executable, __file__, "--peak-of", work, "--batch-size", str(batch_size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent)
    return int(done.stdout)


def work_of(name: str, batch_size: int, clock: Clock, steps: int = STEPS) -> Callable[[], object]:
    """Return a work by its name."""
    return plain_loop(batch_size, steps) if name == "plain" else arm(batch_size, ARMS[name], clock, steps)


def measure(batch_size: int, rounds: int, steps: int, clock: Clock) -> list[Row]:
    """Return a row for each arm."""
    works = {name: work_of(name, batch_size, clock, steps) for name in ("plain", *ARMS)}
    found = interleaved(works, rounds, clock)
    peaks = {name: peak(name, batch_size) for name in works}
    tokens = steps * batch_size * LENGTH
    return [
        {
            "batch_size": batch_size,
            "sequence_length": LENGTH,
            "signals": name,
            **spread([tokens / each for each in found["plain"]]).columns("plain_tokens_per_second"),
            **per(found[name], found["plain"]).columns("ratio"),
            "plain_peak_bytes": peaks["plain"],
            "memory": peaks[name] / peaks["plain"],
        }
        for name in ARMS
    ]


COLUMNS = (
    Column("batch_size", "sequences"),
    Column("sequence_length", "of tokens"),
    Column("plain_tokens_per_second", "tokens/s", in_units(1, 0)),
    Column("signals", "measured"),
    Column("ratio", "over plain loop", percent_more),
    Column("ratio_low", "low", percent_more),
    Column("ratio_high", "high", percent_more),
    Column("plain_peak_bytes", "MiB", lambda value: f"{int(str(value)) / 2**20:,.0f}"),
    Column("memory", "memory", in_units(1, 3)),
)


def main() -> None:
    """Measure and print."""
    parser = clocked(parser_of(__doc__, "language_speed"))
    parser.add_argument("--batch-size", type=positive, help="this batch size alone")
    parser.add_argument("--rounds", type=positive, default=12, help="intervals of each work")
    parser.add_argument("--peak-of", choices=["plain", *ARMS], help="print the peak of a work in bytes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak_of is not None:
        memory = PeakMemory(torch.device("cpu"))
        work = work_of(arguments.peak_of, arguments.batch_size, time.perf_counter, 10)
        work()
        print(memory.read())
        return
    sizes = [arguments.batch_size] if arguments.batch_size else [8, 32]
    sizes, rounds, steps = ([8], 2, 5) if arguments.quick else (sizes, arguments.rounds, STEPS)
    measured = partial(measure, rounds=rounds, steps=steps, clock=clock_of(arguments))
    bar = track(sizes, "measuring", console=Console(stderr=True), auto_refresh=False)
    keep([row for size in bar for row in measured(size)], COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
