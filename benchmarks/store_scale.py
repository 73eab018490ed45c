"""How the store copes with many trials: compared, opened and gone on with, from single files and compacted.

Writes a made-up results folder, a searched study beside a constant one with a few confirming runs, and times
what commands do with it, each in a process of its own. The numbers in it mean nothing. With ``--base`` it
does the same with another tree of adasearch, such as a clone of a former commit, whose own code writes and
reads a folder of its own; both take turns, and ratios are of the rounds.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path

import numpy as np
from optuna.samplers import RandomSampler

from adasearch.io.tables import Column
from adasearch.records import Decision, IntervalRecord, Signals, StudyRecord
from adasearch.spaces.optuna_trials import new_study, stored_spaces
from adasearch.spaces.space import load_space
from adasearch.store import Store
from adasearch.store.trials import begin_trial, close_trial
from common import Row, keep, parser_of, per, positive, spread

OPENS = "adasearch.load"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
CONFIRMING = 10

WRITING = """
import os, sys, store_scale
os.fsync = lambda handle: None  # which is the disk's time, and no figure here
from adasearch.store import Store
store_scale.write(Store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
"""

COMPACTING = """
import sys
from adasearch.store import Store
store = Store(sys.argv[1])
for study in store.folders():
    store.compact(study)
"""

TIMED = """
import sys, time
from functools import partial
from adasearch.store import Store
what, results = sys.argv[1:]
if what == "compare":
    from adasearch.analysis.compare import compare as act
elif what == "open":
    import adasearch, pandas

    def act(store):
        found = adasearch.load(results)
        return repr(found), found.table()
else:
    import ray.tune  # which a search has imported by then, but for torch
    from adasearch.data.spec import DataSpec
    from adasearch.spaces.optuna_trials import stored_spaces
    from adasearch.tuning.optuna_source import OptunaSource
    from adasearch.tuning.place import Place
    from adasearch.tuning.search_state import SearchState
    from adasearch.tuning.stopper import RECALLED
    from adasearch.tuning.trial_source import TrialPlan

    class Nobody:
        started = progressed = restarted = noted = ended = staticmethod(lambda *what: None)

    def act(store):  # what a search that goes on does before its first trial, but for Ray and the data
        sources = []
        for study in store.studies():
            stored = store.trials(study.study)
            plan = TrialPlan(
                study=study, stored=stored, intervals={}, trials=len(stored) + 1,
                recall=partial(store.columns, study.study, RECALLED), data=DataSpec(source="digits"),
            )
            sources.append(OptunaSource(plan, *stored_spaces(study)))
        return SearchState(sources, store, Nobody(), Place(store)), sources

def peak():  # in GB; what getrusage says may be that of the process that started this one
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024 / 1e9

before = peak()
began = time.perf_counter(), time.process_time()
kept = act(Store(results))
print(time.perf_counter() - began[0], time.process_time() - began[1], before, peak())
if what == "resume":  # what Optuna takes then for a proposal
    began = time.process_time()
    for source in kept[1]:
        source.ask()
    print((time.process_time() - began) / len(kept[1]))
"""


def study_of(scheduler: str, intervals: int) -> StudyRecord:
    """Return a study whose trials have so many intervals of 400 examples."""
    return StudyRecord(
        study=f"resnet18-nano-{scheduler}-digits",
        architecture="resnet18",
        scale="nano",
        scheduler=scheduler,
        dataset="digits",
        fingerprint="f00d",
        subset=None,
        seed=0,
        train_examples=400,
        val_examples=100,
        budget=400 * intervals,
        interval=400,
        evaluate_every=400,
        workers=1,
        objectives="val_error,train_seconds",
        clock="measured",
        device="cpu",
        device_profile=None,
        precision="float32",
        sampler="tpe",
        stopper="halving",
        smallest=16,
        largest=96,
        multiple_of=1,
        train_space=load_space("architectures", "resnet18").complete().to_json(),
        scheduler_space=load_space("schedulers", scheduler).complete().to_json(),
        created_at=START,
    )


def course(draws: np.random.Generator, intervals: int) -> list[IntervalRecord]:
    """Return made-up intervals with the signals that DEBA pays for."""
    found = []
    for index, values in enumerate(draws.uniform(0.1, 1.0, (intervals, 8)).tolist()):
        signals = Signals(
            interval=index,
            epoch=index + 1.0,
            step=13 * (index + 1),
            examples_seen=400 * (index + 1),
            initial_batch_size=32,
            batch_size=32,
            lr=0.1,
            lr_scale=1.0,
            train_loss=values[0],
            val_loss=values[1],
            grad_norm=values[2],
            grad_component_variance=values[3],
        )
        decision = Decision(
            batch_size=32, lr_scale=1.0, action="hold", reason=f"c={values[2]:.3f} > 1: not settled yet"
        )
        found.append(
            IntervalRecord(
                signals=signals,
                decision=decision,
                device_batch=512,
                passes=1,
                val_error=values[4],
                train_seconds=values[5],
                measure_seconds=values[6] / 10,
                resize_seconds=0.001,
                eval_seconds=values[7] / 10,
            )
        )
    return found


def write(store: Store, trials: int, intervals: int) -> float:
    """Write the folder; return the seconds that it took."""
    began = time.perf_counter()
    draws = np.random.default_rng(0)
    for scheduler in ("constant", "deba"):
        study = study_of(scheduler, intervals)
        store.write_study(study)
        spaces = stored_spaces(study)
        searched = {name: each for space in spaces for name, each in space.distributions().items()}
        fixed = {name: value for space in spaces for name, value in space.fixed().items()}
        optuna_study = new_study(sampler=RandomSampler(seed=0))
        runs = [("search", number) for number in range(trials // 2)]
        runs += [("confirm", number) for number in range(CONFIRMING if scheduler == "deba" else 0)]
        for phase, number in runs:
            params = {**fixed, **optuna_study.ask(searched).params}
            role = phase if phase == "search" else ("candidate", "reference")[number % 2]
            seed = number if phase == "search" else 10**6 + number // 2
            trial = begin_trial(
                study,
                phase=phase,
                number=number,
                params=params,
                seed=seed,
                versions={"torch": "2"},
                role=role,
            )
            if role == "reference":
                trial = replace(trial, scheduler="constant")
            source = f"resnet18-nano-{trial.scheduler}-digits-search-0" if phase == "confirm" else None
            rows = course(draws, intervals)
            ended = close_trial(
                replace(trial, source_trial_id=source),
                rows,
                status="complete",
                ended_at=START + timedelta(seconds=number),
            )
            store.write_intervals(ended, rows)
            store.write_trial(ended)
    return time.perf_counter() - began


def run_in(tree: str, code: str, *words: str) -> str:
    """Return what a program printed that imports adasearch, and the benchmarks, from a tree."""
    path = os.pathsep.join((tree, f"{tree}/benchmarks"))
    command = [sys.executable, "-c", code, *words]
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=env, cwd=tree)
    return done.stdout


def timed(tree: str, code: str, what: str, results: str) -> dict[str, float]:
    """Return how long a fresh process took for it, its greatest memory, and what of it were imports."""
    wall, cpu, before, peak, *asked = map(float, run_in(tree, code, what, results).split())
    found = {"seconds": wall, "core_seconds": cpu, "gigabytes": peak, "imported_gigabytes": before}
    return {**found, "proposal_seconds": asked[0]} if asked else found


def rows_of(trees: dict[str, str], trials: int, intervals: int, rounds: int, place: str) -> list[Row]:
    """Return what was measured of the trees with so many trials of so many intervals."""
    for name, tree in trees.items():
        run_in(tree, WRITING, f"{place}/{name}", str(trials), str(intervals))
    size: Row = {"trials": trials, "intervals": intervals}
    rows = [row | size | {"files": "single"} for row in measured(trees, rounds, place)]
    time.sleep(3)  # compacting leaves files of the last moment alone
    for name, tree in trees.items():
        run_in(tree, COMPACTING, f"{place}/{name}")
    return [*rows, *(row | size | {"files": "compacted"} for row in measured(trees, rounds, place))]


def measured(trees: dict[str, str], rounds: int, place: str) -> list[Row]:
    """Return a row of each work and tree that knows it, which take turns."""
    codes = {
        name: run_in(tree, "import store_scale; print(store_scale.TIMED)") for name, tree in trees.items()
    }
    rows: list[Row] = []
    for what in ("compare", "open", "resume"):
        able = [name for name in trees if what != "open" or OPENS in codes[name]]
        found: dict[str, list[dict[str, float]]] = {name: [] for name in able}
        for turn in range(rounds):
            for name in able[:: -1 if turn % 2 else 1]:
                found[name].append(timed(trees[name], codes[name], what, f"{place}/{name}"))
        for name, each in found.items():
            row: Row = {"tree": name, "what": what}
            for figure in each[0]:
                values = [one[figure] for one in each]
                row |= spread(values).columns(figure)
                if "base" in found and name != "base":
                    row |= per(values, [one[figure] for one in found["base"]]).columns(f"{figure}_ratio")
            rows.append(row)
    return rows


COLUMNS = [
    *(Column(name, name) for name in ("tree", "trials", "intervals", "files", "what")),
    Column("seconds", "s"),
    Column("core_seconds", "processor s"),
    Column("core_seconds_ratio", "of the base"),
    Column("core_seconds_ratio_low", "from"),
    Column("core_seconds_ratio_high", "to"),
    Column("seconds_ratio", "s of the base"),
    Column("gigabytes", "GB"),
    Column("imported_gigabytes", "GB of imports"),
    Column("gigabytes_ratio", "GB of the base"),
    Column("proposal_seconds", "s for a proposal"),
]


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "store_scale")
    parser.add_argument("--trials", type=positive, nargs="+", default=[1000], help="in two studies")
    parser.add_argument("--intervals", type=positive, nargs="+", default=[100])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--base", help="another tree of adasearch, to be compared with")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.trials, chosen.intervals, chosen.rounds = [20], [3], 1
    trees = {"here": str(Path(__file__).resolve().parents[1])}
    if chosen.base:
        trees["base"] = str(Path(chosen.base).resolve())
    rows: list[Row] = []
    for trials, intervals in product(chosen.trials, chosen.intervals):
        with tempfile.TemporaryDirectory() as place:
            rows += rows_of(trees, trials, intervals, chosen.rounds, place)
    keep(rows, COLUMNS, chosen.out)


if __name__ == "__main__":
    main()
