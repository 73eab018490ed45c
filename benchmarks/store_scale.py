"""How the store copes with many trials: writing, comparing and resuming, before and after compacting.

Writes a made-up results folder, a searched study beside a constant one with a few confirming runs, and times
what commands do with it, each in a process of its own. The numbers in it mean nothing.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
from optuna.samplers import RandomSampler

from adasearch.records import Decision, IntervalRecord, Signals, StudyRecord
from adasearch.spaces.optuna_trials import new_study, stored_spaces
from adasearch.spaces.space import load_space
from adasearch.store import Store
from adasearch.store.trials import begin_trial, close_trial

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
CONFIRMING = 10

TIMED = """
import sys, time
from functools import partial
from adasearch.store import Store
what, results = sys.argv[1:]
if what == "compare":
    from adasearch.analysis.compare import compare as act
else:
    import ray.tune, torch  # which a search has imported by then
    from adasearch.data.spec import DataSpec
    from adasearch.spaces.optuna_trials import stored_spaces
    from adasearch.tuning.place import Place
from adasearch.tuning.search_state import SearchState
    from adasearch.tuning.optuna_source import OptunaSource
    from adasearch.tuning.trial_source import TrialPlan
    from adasearch.tuning.stopper import RECALLED

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


def timed(what: str, results: str) -> str:
    """Return how long a fresh process took for it, and its greatest memory."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED, what, results], stdout=subprocess.PIPE, text=True, check=True
    )
    wall, cpu, before, peak, *asked = map(float, done.stdout.split())
    proposal = f"; then {1000 * asked[0]:.0f} ms for a proposal of Optuna's" if asked else ""
    memory = f"{peak:.3f} GB at most, {before:.3f} before"
    return f"{what} {wall:.1f} s (processor {cpu:.1f} s), {memory}{proposal}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, help="in two studies; the target's are 10000")
    parser.add_argument("--intervals", type=int, default=100)
    parser.add_argument("--results", help="folder to write them to and keep  [default: one that is removed]")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        results = chosen.results or place
        store = Store(results)
        seconds = write(store, chosen.trials, chosen.intervals)
        rows = chosen.trials * chosen.intervals
        print(f"{chosen.trials} trials of {chosen.intervals} intervals: {rows / seconds:.0f} rows/s written")
        for what in ("compare", "resume"):
            print(f"single files: {timed(what, results)}")
        time.sleep(3)  # compacting leaves files of the last moment alone
        began = time.perf_counter()
        for study in store.folders():
            store.compact(study)
        print(f"compacted in {time.perf_counter() - began:.1f} s")
        for what in ("compare", "resume"):
            print(f"compacted: {timed(what, results)}")


if __name__ == "__main__":
    main()
