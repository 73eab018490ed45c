"""Memory of one slot: adasearch's workers against Ray's documented pattern.

While trials run one at a time, the proportional set size (PSS, which shares out what processes share) of all
processes that Ray runs for them is read once a second: the trial's actor, queues and mailboxes, Ray Train's
controller and helpers, the worker. Ray's own services and idle processes are not counted. The figure is the
median of the samples that were taken while a worker trained.
"""

import tempfile
import threading
from collections import Counter
from collections.abc import Callable

import psutil
import torch

from adasearch.io.tables import Column
from adasearch.tuning.cluster import connect
from common import Row, keep, parser_of, spread
from problems import Course
from searches import optuna_search_fresh, ours
from trial_cost import constant

SERVICES = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
WORKER = "RayTrainWorker"
MIB = 2**20


def kind_of(process: psutil.Process) -> str:
    """Return what a process of Ray's is, without the name of the method that it runs."""
    return process.cmdline()[0].removeprefix("ray::").split(".")[0].split(" ")[0].split("(")[0]


def sample() -> Counter[str]:
    """Return bytes by kind of process."""
    found: Counter[str] = Counter()
    for process in psutil.Process().children(recursive=True):
        try:
            name = (process.cmdline() or [""])[0]
            if name.startswith("ray::") and not name.startswith(SERVICES):
                found[kind_of(process)] += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it has just ended
    return found


def watched(search: Callable[[], Course]) -> list[Counter[str]]:
    """Return the samples while a search runs, those with a worker in it."""
    samples, over = [], threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            samples.append(sample())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        search()
    finally:
        over.set()
        thread.join()
    return [each for each in samples if any(WORKER in name for name in each)]


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "slot_memory")
    arguments = parser.parse_args()
    trials, epochs = (2, 12.0) if arguments.quick else (3, 40.0)
    torch.set_num_threads(1)
    problem = constant(epochs)
    rows: list[Row] = []
    totals = {}
    with tempfile.TemporaryDirectory() as folder, connect(None):
        ways = {
            "adasearch": lambda: ours(
                problem, folder, trials=trials, slots=1, seed=0, stopper="none", sampler="random"
            ),
            "fresh TorchTrainer in a Tune function": lambda: optuna_search_fresh(
                problem, folder, trials=trials, slots=1, seed=0
            ),
        }
        for way, search in ways.items():
            samples = watched(search)
            samples = samples[len(samples) // 3 :]  # its last two thirds, when imports are done
            for kind in sorted({kind for each in samples for kind in each}):
                sizes = [each[kind] / MIB for each in samples]
                rows.append({"way": way, "process": kind, **spread(sizes).columns("pss_mib")})
            total = spread([each.total() / MIB for each in samples])
            totals[way] = total.median
            rows.append({"way": way, "process": "all", "samples": len(samples), **total.columns("pss_mib")})
    columns = [
        Column("way", "way"),
        Column("process", "process"),
        Column("pss_mib", "PSS MiB"),
        Column("pss_mib_low", "low"),
        Column("pss_mib_high", "high"),
    ]
    keep(rows, columns, arguments.out)
    ours_mib, other = totals.values()
    print(f"a slot of adasearch takes {ours_mib / other:.2f} of the other's memory")


if __name__ == "__main__":
    main()
