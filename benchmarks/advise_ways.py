"""The two ways that ``advise_price.py`` goes on each problem, through the Python interface."""

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import adasearch
from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.gather import gather
from adasearch.analysis.paired_tests import paired, verdict
from adasearch.analysis.selection import pick_trials
from adasearch.analysis.verdicts import GAINS
from adasearch.commands import export_profiles, import_profiles
from adasearch.records import StudyRecord, TrialRecord
from adasearch.store import Store
from adasearch.store.trials import PROFILES
from adasearch.studies.controls import FRESH
from common import Clock, Row

__all__ = [
    "EXAMPLES",
    "PAYS",
    "Problem",
    "advised",
    "everything",
    "further",
    "once",
    "priced",
    "problems",
    "profiled",
    "searched",
]

Run = TypeVar("Run")

EXAMPLES = Path(__file__).parent.parent / "docs/examples"
NETWORKS = ("alexnet", "vgg11_bn", "resnet20", "mobilenet_v3_small")
PAYS = "pays"
WORDS = {True: PAYS, False: "does not pay", None: "not clear"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What both ways are gone on: arguments of the Python interface, what is trained and how long."""

    name: str
    what: Mapping[str, Any]
    length: Mapping[str, Any]


def problems(chosen: Namespace) -> list[Problem]:
    """Return the problems: those that were named, or all."""
    sized = {} if chosen.image_size is None else {"image_size": chosen.image_size}
    images = {"data": chosen.dataset, "subset": chosen.subset, **sized}
    text = {"data": "python_source", "sequence_length": 32, "subset": chosen.sequences, "largest": 128}
    own = {"train": "segmentation:train", "train_space": str(EXAMPLES / "segmentation.yaml")}
    whats = {
        **{name: {"network": name, **images} for name in NETWORKS},
        "gpt": {"network": "gpt", **text},
        "own_loop": own,
    }
    found = []
    for name in chosen.problem or whats:
        epochs = 1.0 if name == "gpt" else chosen.epochs
        length = {"epochs": epochs, "interval": epochs / chosen.intervals}
        found.append(Problem(name=name, what=whats[name], length=length))
    return found


def priced(trials: Iterable[TrialRecord], budget: int) -> float:
    """Return the examples that trials were trained on over those of one training; what failed counts, too.

    >>> priced([SimpleNamespace(examples_seen=count) for count in (400, 100, 0)], budget=400)
    1.25
    """
    return sum(trial.examples_seen for trial in trials) / budget


def everything(store: Store) -> list[TrialRecord]:
    """Return all trials of a folder, those of its profiles first."""
    names = (PROFILES, *(each.study for each in store.studies()))
    return [trial for name in names for trial in store.trials(name)]


def once(path: Path, make: Callable[[], Row]) -> Row:
    """Return what is kept in a file; make it and keep it where there is none."""
    if not path.exists():
        path.write_text(json.dumps(make(), indent=1))
    found: Row = json.loads(path.read_text())
    return found


def profiled(problem: Problem, folder: Path, clock: Clock) -> Row:
    """Measure the speed profile by a clock, and tell what that took."""
    start = time.perf_counter()
    with patch("adasearch.training.stopwatch.time", SimpleNamespace(perf_counter=clock)):
        adasearch.profile(**problem.what, kind="speed", results=str(folder / "advise"), quiet=True)
    return {"profile_seconds": time.perf_counter() - start}


def on(chosen: Namespace) -> dict[str, Any]:
    """Return what the trainings run on, as arguments of the Python interface."""
    return {"slots": chosen.slots, **({} if chosen.address is None else {"address": chosen.address})}


def advised(problem: Problem, folder: Path, chosen: Namespace) -> Row:
    """Go the way of ``advise``."""
    results = str(folder / "advise")
    (found,) = adasearch.advise(**problem.what, **problem.length, results=results, **on(chosen))
    return {
        "advise": WORDS[found.pays],
        "advise_because": found.because,
        "advise_batch": found.batch_size,
        "advise_study": found.study,
        "advise_said": found.trainings,
    }


def searched(problem: Problem, folder: Path, chosen: Namespace) -> Row:
    """Go today's way, by the same speed profile."""
    results, exported = str(folder / "today"), str(folder / "profiles.parquet")
    export_profiles(str(folder / "advise"), exported)
    import_profiles(results, exported)
    adasearch.search(
        **problem.what,
        **problem.length,
        scheduler=chosen.scheduler,
        space=chosen.space,
        trials=chosen.trials,
        results=results,
        **on(chosen),
    )
    adasearch.confirm(results, seeds=chosen.seeds, **on(chosen))
    store = Store(results)
    row = candidate(store, chosen.scheduler)
    trials = everything(store)
    reference = pick_trials(store.studies(), trials)[row.study].reference
    gain = row.verdict in GAINS
    return {
        "today": WORDS[gain],
        "today_because": f"{row.verdict} ({row.search_verdict})",
        "today_batch": reference and reference.params["train/batch_size"],
        "today_study": row.study if gain else None,
        "today_trainings": priced(trials, store.studies()[0].budget),
        "budget": store.studies()[0].budget,
    }


def candidate(store: Store, scheduler: str) -> ConfirmedRow:
    """Return the row of what a scheduler's confirmation showed."""
    rows = gather(store).evidence
    return next(row for row in rows if (row.role, row.scheduler) == ("candidate", scheduler))


def further(folder: Path, row: Row, chosen: Namespace) -> Row:
    """Run the schedule that one way takes along on further seeds, and tell what these alone show."""
    way, doubter = ("advise", "today") if row["advise"] == PAYS else ("today", "advise")
    name, store = str(row[f"{way}_study"]), Store(str(folder / way))
    study = next(each for each in store.studies() if each.study == name)
    note = folder / "first_further_seed.json"  # else a run that was killed would take its own for old ones
    first = once(note, lambda: {"seed": 1 + max(confirmed(store, study)["candidate"])})["seed"]
    assert isinstance(first, int)
    seeds = first + chosen.further
    adasearch.confirm(store.name, study=name, seeds=seeds, controls="reference", **on(chosen))
    pairs = beside(confirmed(store, study), first)
    shown = paired(
        [(_error(one), _error(other)) for one, other in pairs],
        [(one.seconds(study.clock), other.seconds(study.clock)) for one, other in pairs],
        margin=candidate(store, study.scheduler).error_margin,
        objective=study.objective,
    )
    word = verdict(shown)
    return {
        "further": f"{word}: {way if word in GAINS else doubter} was right",
        "further_error": shown.error.mean,
        "further_log_speed": shown.log_speed and shown.log_speed.mean,
        "further_seeds": len(pairs),
    }


def confirmed(store: Store, study: StudyRecord) -> dict[str, dict[int, TrialRecord]]:
    """Return the complete runs of a confirmation by role, and by their place among its seeds, from 0."""
    found: dict[str, dict[int, TrialRecord]] = {}
    for trial in store.trials(study.study):
        if (trial.phase, trial.status) == ("confirm", "complete"):
            found.setdefault(trial.role, {})[trial.seed - study.seed - FRESH] = trial
    return found


def beside(runs: Mapping[str, Mapping[int, Run]], first: int) -> list[tuple[Run, Run]]:
    """Return the candidate's and the reference's run of each common seed from the first further one on.

    >>> beside({"candidate": {4: "a", 5: "b", 7: "d"}, "reference": {4: "w", 5: "x", 7: "z"}}, first=5)
    [('b', 'x'), ('d', 'z')]
    """
    common = sorted(runs["candidate"].keys() & runs["reference"].keys())
    return [(runs["candidate"][seed], runs["reference"][seed]) for seed in common if seed >= first]


def _error(trial: TrialRecord) -> float:
    assert trial.test_error is not None
    return trial.test_error
