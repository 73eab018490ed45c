"""What a search's trial of a training function costs, against the same loop without adasearch.

The language model of ``docs/examples/nano_gpt.py`` in two sizes, its own and that of ``gpt`` nano, whole
intervals in turn: a loop of plain PyTorch, and its training function as a trial that measures nothing, DEBA's
signals, or the noise scale between the two halves of some batches. Network, batches' size, optimiser and
learning-rate schedule are the same; each is in a thread of its own, of which one at a time goes on.

Where in memory a work's tensors come to lie decides on as many percent as are asked about, and stays as it is
while a process lives. So there are several processes, each of which builds the works in an order of its own
and takes turns in random order; a process's ratio is the median of its rounds', and what is shown is the
median over processes with its interval. "plain again" is the plain loop once more: how far it is from 0 is
what such figures are worth. Peaks of memory are those of a process that does one work alone.

Aims, for ``gpt`` nano: at most 2 % with DEBA's signals, 5 % with the noise scale, and 1.05 times the memory.
"""

import json
import queue
import random
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import gettempdir

import torch
from rich.console import Console
from rich.progress import track
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from adasearch.data.spec import DataSpec
from adasearch.functions.train_function import train_function
from adasearch.io.tables import Column
from adasearch.records import IntervalRecord, Limits
from adasearch.runs.speed import FixedBatch
from adasearch.signal_sets import PER_STEP, SIGNAL_SETS
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.memory import PeakMemory
from adasearch.training.task import FunctionTask, TrialTask
from common import Clock, Row, clock_of, clocked, in_units, interleaved, keep, parser_of, positive, spread
from measuring import percent_more

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "examples"))
import nano_gpt

ARMS = {"nothing": frozenset(), "deba": PER_STEP, "noise scale": frozenset(SIGNAL_SETS["noise"])}
BATCH = 8  # sequences of 128 tokens
STEPS = 50  # of an interval, as in language_speed.py
NETWORKS = {"gpt nano": (128, 4), "docs/examples": (32, 2)}  # width and layers
PLAIN, AGAIN = "plain", "plain again"


class Turns:
    """A work in a thread of its own, which takes one interval when it is called.

    Args:
        work: calls what it is given at the end of each interval.
    """

    def __init__(self, work: Callable[[Callable[[], None]], object]) -> None:
        self._go: queue.Queue[None] = queue.Queue()
        self._done: queue.Queue[None] = queue.Queue()
        self._thread = threading.Thread(target=work, args=(self._wait,), daemon=True)

    def _wait(self) -> None:
        self._done.put(None)
        self._go.get()

    def __call__(self) -> None:
        """Take an interval; the first call sets up, too, and does not count."""
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._go.put(None)
        self._done.get()


def plain(steps: int, rounds: int, end: Callable[[], None]) -> None:
    """Train as one does without adasearch."""
    data = nano_gpt.Blocks(nano_gpt.TEXT[:48_000])
    model = nano_gpt.GPT()
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95))
    total = steps * (rounds + 2)
    curve = LambdaLR(optimizer, lambda step: nano_gpt.factor(min(1.0, step / total)))
    device, done = torch.device("cpu"), 0
    while True:
        for batch in DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True):
            optimizer.zero_grad()
            nano_gpt.loss_of(model, batch, device).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            curve.step()
            done += 1
            if done % steps == 0:
                end()


def trial(needs: frozenset[str], steps: int, rounds: int, end: Callable[[], None]) -> None:
    """Let the training function of the same loop run a trial that measures some signals."""
    examples = len(nano_gpt.Blocks(nano_gpt.TEXT[:48_000]))
    budget = BATCH * steps * (rounds + 2)
    config = TrainConfig(
        architecture="nano_gpt:train",
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=BATCH, lr=1e-4),
        budget=budget,
        interval=BATCH * steps,
        evaluate_every=budget,
    )
    task = TrialTask(
        trial_id="bench",
        config=config,
        scheduler="constant",
        scheduler_fields={},
        limits=Limits(smallest=BATCH, largest=BATCH),
        data=DataSpec(source="own"),
        checkpoints=f"{gettempdir()}/no/checkpoints",
        checkpoint_every=0,
        function=FunctionTask(
            params={"lr": 1e-4, "batch_size": BATCH}, epochs=budget / examples, examples=examples
        ),
    )

    def on_interval(record: IntervalRecord) -> bool:
        del record
        end()
        return True

    train_function(task, torch.device("cpu"), on_interval, scheduler=FixedBatch(needs))


def work_of(name: str, steps: int, rounds: int) -> Turns:
    """Return a work by its name."""
    if name in (PLAIN, AGAIN):
        return Turns(partial(plain, steps, rounds))
    return Turns(partial(trial, ARMS[name], steps, rounds))


def child(*arguments: str) -> str:
    """Return what this script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, capture_output=True, text=True, cwd=Path.cwd()
    )
    return done.stdout


def medians(steps: int, rounds: int, seed: int, clock: Clock) -> dict[str, float]:
    """Return the seconds of a step of each work in this process, and their ratios to the plain loop's."""
    names = [PLAIN, AGAIN, *ARMS]
    random.Random(seed).shuffle(names)
    found = interleaved({name: work_of(name, steps, rounds) for name in names}, rounds, clock)
    ratios = {
        name: statistics.median(one / other for one, other in zip(each, found[PLAIN], strict=True))
        for name, each in found.items()
    }
    return {**ratios, PLAIN: statistics.median(found[PLAIN]) / steps}


def main() -> None:
    """Measure and print."""
    parser = clocked(parser_of(__doc__, "own_loop"))
    parser.add_argument("--processes", type=positive, default=12, help="of each network; with --quick 2")
    parser.add_argument("--network", choices=NETWORKS, help="this one alone")
    parser.add_argument("--rounds", type=positive, default=3, help="of each process; with --quick 2")
    parser.add_argument("--seed", type=int, help="measure in this process, and print JSON")
    parser.add_argument("--peak-of", choices=[PLAIN, *ARMS], help="print the peak of a work in bytes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    nano_gpt.BLOCK = 128
    networks = list(NETWORKS) if arguments.network is None else [arguments.network]
    nano_gpt.WIDTH, nano_gpt.LAYERS = NETWORKS[networks[0]]  # in a process that measures, the one
    steps, rounds, processes = (
        (8, 2, 2) if arguments.quick else (STEPS, arguments.rounds, arguments.processes)
    )
    if arguments.peak_of is not None:
        memory = PeakMemory(torch.device("cpu"))
        work = work_of(arguments.peak_of, steps, 1)
        for _ in range(2):
            work()
        print(memory.read())
        return
    if arguments.seed is not None:
        print(json.dumps(medians(steps, rounds, arguments.seed, clock_of(arguments))))
        return
    bar = track(
        [(network, seed) for network in networks for seed in range(processes)],
        "measuring",
        console=Console(stderr=True),
        auto_refresh=False,
    )
    passed_on = ["--rounds", str(arguments.rounds), *(["--quick"] if arguments.quick else [])]
    passed_on += ["--core-seconds"] if arguments.core_seconds else []
    found: dict[str, list[dict[str, float]]] = {network: [] for network in networks}
    for network, seed in bar:
        found[network].append(json.loads(child("--network", network, "--seed", str(seed), *passed_on)))
    rows: list[Row] = []
    for network, each in found.items():
        peaks = {
            name: int(child("--network", network, "--peak-of", name, *passed_on)) for name in (PLAIN, *ARMS)
        }
        rows += [
            {
                "network": network,
                "batch_size": BATCH,
                "steps": steps,
                "processes": processes,
                "signals": name,
                **spread([one[PLAIN] for one in each]).columns("plain_step_seconds"),
                **spread([one[name] for one in each]).columns("ratio"),
                "plain_peak_bytes": peaks[PLAIN],
                "memory": peaks[name] / peaks[PLAIN] if name in peaks else 1.0,
            }
            for name in (AGAIN, *ARMS)
        ]
    columns = [
        Column("network", "network"),
        Column("batch_size", "batch"),
        Column("plain_step_seconds", "ms a step", in_units(1e3, 1)),
        Column("signals", "measured"),
        Column("ratio", "over plain loop", percent_more),
        Column("ratio_low", "low", percent_more),
        Column("ratio_high", "high", percent_more),
        Column("memory", "memory", in_units(1, 3)),
    ]
    keep(rows, columns, arguments.out)


if __name__ == "__main__":
    main()
