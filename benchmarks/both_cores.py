"""Throughput of a search on all cores: two slots of adasearch against two plain processes of one thread.

Plain processes train the same network on the same data in a loop, with nothing around it, before and after
the search; each counts what it trained within the same span. The search counts from the moment when both
slots train to the moment when the first of them has nothing more to do, interval by interval. Trials of about
a second, and of about ten, of as many intervals: what they cost beside the training weighs less in longer
ones.
"""

import multiprocessing as mp
import tempfile
import time
from dataclasses import replace
from itertools import product
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import torch

from adasearch.data.load import load_dataset
from adasearch.io.tables import Column
from adasearch.schedulers import make_scheduler
from adasearch.training.loop import train
from adasearch.training.task import TrialTask
from adasearch.tuning.cluster import connect
from common import Row, keep, parser_of, positive
from searches import ours
from trial_cost import constant

SLOTS = 2
INTERVALS = 9  # of each trial
PLAIN_INTERVAL = 20 * 64  # examples between two looks at the clock, 20 steps, whatever the trial


def plain(task: TrialTask, seconds: float, start: Barrier, found: "Queue[float]") -> None:
    """Train again and again for a span; put the examples per second."""
    torch.set_num_threads(1)
    data = load_dataset(task.data)
    scheduler = make_scheduler(task.scheduler, task.scheduler_fields)
    config = replace(task.config, interval=PLAIN_INTERVAL)
    next(train(config, scheduler, task.limits, data))  # warms up
    start.wait()
    began, examples = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        former = 0
        for record in train(config, scheduler, task.limits, data):
            examples += record.signals.examples_seen - former
            former = record.signals.examples_seen
            if time.monotonic() - began >= seconds:
                break
    found.put(examples / (time.monotonic() - began))


def plain_rate(task: TrialTask, seconds: float) -> float:
    """Return the examples per second of two plain processes together."""
    context = mp.get_context("spawn")
    start, found = context.Barrier(SLOTS), context.Queue()
    processes = [context.Process(target=plain, args=(task, seconds, start, found)) for _ in range(SLOTS)]
    for process in processes:
        process.start()
    rates = [found.get() for _ in processes]
    for process in processes:
        process.join()
    return float(sum(rates))


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "both_cores")
    parser.add_argument("--rounds", type=positive, default=3)
    arguments = parser.parse_args()
    lengths = ((8, 3.0),) if arguments.quick else ((32, 4.0), (8, 40.0))  # trials and their epochs
    seconds, rounds = (5.0, 1) if arguments.quick else (20.0, arguments.rounds)
    torch.set_num_threads(1)
    rows: list[Row] = []
    for (trials, epochs), number in product(lengths, range(rounds)):
        problem = constant(epochs, interval=f"{epochs / INTERVALS:g}")
        task = problem.task(0, problem.first, "")
        before = plain_rate(task, seconds)
        with tempfile.TemporaryDirectory() as folder, connect(None):
            course = ours(
                problem, folder, trials=trials, slots=SLOTS, seed=0, stopper="none", sampler="random"
            )
        after = plain_rate(task, seconds)
        start, end = course.ends[SLOTS - 1].at, course.ends[-2].at
        rate = sum(each.within(start, end) for each in course.trained) / (end - start)
        mean = (before + after) / 2
        trial_seconds = SLOTS * problem.resolved.record.budget / rate
        row: Row = {"trial_seconds": trial_seconds, "round": number, "before": before}
        rows.append({**row, "adasearch": rate, "after": after, "share": rate / mean})
    columns = [
        Column("trial_seconds", "seconds of a trial"),
        Column("round", "round"),
        Column("before", "plain, images/s"),
        Column("adasearch", "adasearch"),
        Column("after", "plain, again"),
        Column("share", "share"),
    ]
    keep(rows, columns, arguments.out)


if __name__ == "__main__":
    main()
