"""``adasearch confirm``: each study's candidate and its controls on fresh seeds and the test split."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.choice import NO_CHANGE, NO_GAIN, Pick, baseline_of, comparable, pick_trials
from adasearch.comparison import compare
from adasearch.controls import FRESH, Controls, Repeat, matched, repeats_of, spread
from adasearch.data import load_dataset
from adasearch.data_spec import DataSpec
from adasearch.errors import InputError, unknown
from adasearch.naming import source_of
from adasearch.paths import path_of
from adasearch.progress import Goal, SearchDisplay, StepDisplay, duration, say
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.schedulers.registry import BASELINE
from adasearch.sources import absolute
from adasearch.store import Store
from adasearch.stored_names import check_stored_names

if TYPE_CHECKING:
    from adasearch.runtime import Runtime
    from adasearch.tuning.repeats import Repeats

__all__ = ["Job", "confirm", "data_of", "jobs_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One study to be confirmed: all its runs, and what is stored of it."""

    study: StudyRecord
    repeats: Sequence[Repeat]
    stored: Sequence[TrialRecord]
    sources: Mapping[str, TrialRecord]

    @property
    def outstanding(self) -> list[Repeat]:
        """The runs that did not end yet."""
        former = repeats_of(self.stored)
        return [run for run in self.repeats if run not in former or former[run].status == "running"]

    @property
    def seconds(self) -> float:
        """What the outstanding runs take, one after the other, as the search's own trials took."""
        spent = {name: _spent(trial) for name, trial in self.sources.items()}
        longest = max(spent.values(), default=0.0)  # a decay trains at the small size throughout
        return sum(
            longest if run.role == "decay" else spent.get(run.source_trial_id, longest)
            for run in self.outstanding
        )


def _spent(trial: TrialRecord) -> float:
    return (trial.train_seconds or 0.0) + (trial.eval_seconds or 0.0)


def confirm(
    runtime: "Runtime",
    *,
    results: str,
    console: Console,
    studies: Sequence[str] = (),
    trials: Sequence[str] = (),
    seeds: int = 5,
    controls: Controls = "matched",
) -> bool:
    """Confirm studies and print the tables; return False if it was interrupted.

    Raises:
        InputError: bad input; nothing was written.
        StudyLocked: another live search holds a study.
        AdasearchError: Ray cannot be reached, or the store cannot be written.
    """
    runtime.check()
    if not 1 <= seeds < FRESH:
        raise InputError(f"--seeds must be at least 1 but got {seeds}")
    store = Store(results, must_exist=True)
    store.check_writable()
    jobs = jobs_of(store, studies, trials, seeds=seeds, controls=controls, console=console)
    names = [job.study.study for job in jobs]
    for name in names:
        store.locks.check_free(name)
    outstanding = [job for job in jobs if job.outstanding]
    if not outstanding or _run(outstanding, store, runtime, console):
        records = store.studies()
        baselines = {each.study for job in jobs if (each := baseline_of(job.study, records)) is not None}
        table = compare(store, studies=[*names, *baselines], force=True)
        say(console, table)
        return True
    return False


def jobs_of(
    store: Store,
    studies: Sequence[str],
    trials: Sequence[str],
    *,
    seeds: int,
    controls: Controls,
    console: Console,
) -> list[Job]:
    """Return what there is to confirm: the named trials, or what stands for each adaptive study.

    Raises:
        InputError: an unknown study or trial, or nothing to confirm.
    """
    records = store.studies()
    stored = {each.study: store.trials(each.study) for each in records}
    for name in studies:
        if name not in stored:
            raise unknown("study", name, stored)
    everything = [trial for each in stored.values() for trial in each]
    named = [_named(trial_id, everything) for trial_id in trials]
    wanted = studies or [trial.study for trial in named] or list(stored)
    picks = pick_trials(records, everything)
    jobs = []
    for study in (each for each in records if each.study in wanted and each.scheduler != BASELINE):
        candidates = [trial for trial in named if trial.study == study.study]
        chosen = picks[study.study].trial
        if not named and chosen is not None:
            candidates = [chosen]
            _say(study, picks[study.study], console)
        if not candidates:
            say(console, f"{study.study}: nothing to confirm, no complete trial")
            continue
        intervals = store.intervals(study.study)
        tuned = _searched_adabatch(study, records, picks)
        runs: dict[Repeat, None] = {}
        for candidate in candidates:
            turns = path_of(_intervals(candidate, intervals), study.interval)
            pick = picks[study.study]
            runs |= dict.fromkeys(
                matched(study, candidate, turns, pick, controls=controls, adabatch=tuned)
            )  # controls that candidates share are made once
        names = {run.source_trial_id for run in runs}
        sources = {trial.trial_id: trial for trial in everything if trial.trial_id in names}
        for trial in sources.values():
            check_stored_names(store.name, study, trial)
        jobs.append(
            Job(
                study=study,
                repeats=spread(study, list(runs), seeds),
                stored=stored[study.study],
                sources=sources,
            )
        )
    if not jobs:
        raise InputError("there is nothing to confirm: no adaptive study has a complete trial")
    return jobs


def _named(trial_id: str, trials: Sequence[TrialRecord]) -> TrialRecord:
    known = {
        trial.trial_id: trial
        for trial in trials
        if trial.phase == "search" and trial.status == "complete" and trial.scheduler != BASELINE
    }
    if trial_id not in known:
        raise unknown("complete adaptive trial", trial_id, known)
    return known[trial_id]


def _intervals(
    trial: TrialRecord, intervals: Mapping[str, Sequence[IntervalRecord]]
) -> Sequence[IntervalRecord]:
    if trial.trial_id not in intervals:
        raise InputError(f"the intervals of {trial.trial_id} are not stored, so its path is not known")
    return intervals[trial.trial_id]


def _say(study: StudyRecord, pick: Pick, console: Console) -> None:
    said = {
        NO_GAIN: f"{NO_GAIN}: its complete trial of lowest error is confirmed",
        NO_CHANGE: "its candidate made no change of batch size, so that controls of its path are left out",
        "no reference": "no complete constant trial to compare with",
    }
    if pick.verdict in said:
        say(console, f"{study.study}: {said[pick.verdict]}")


def _searched_adabatch(
    study: StudyRecord, records: Sequence[StudyRecord], picks: Mapping[str, Pick]
) -> TrialRecord | None:
    for group in comparable(records):
        if study in group and study.scheduler != "adabatch":
            found = [each for each in group if each.scheduler == "adabatch"]
            return picks[found[0].study].trial if found else None
    return None


def _run(jobs: Sequence[Job], store: Store, runtime: "Runtime", console: Console) -> bool:
    """Make the outstanding runs; return False if interrupted."""
    first = jobs[0].study
    for job in jobs[1:]:
        for name in ("workers", "device"):
            if getattr(job.study, name) != getattr(first, name):
                raise InputError(
                    f"studies that are confirmed together must have the same {name} but {first.study} has "
                    f"{getattr(first, name)} and {job.study.study} {getattr(job.study, name)}; give --study"
                )
    data = {job.study.study: data_of(job.study, console) for job in jobs}
    count = sum(len(job.outstanding) for job in jobs)
    seconds = sum(job.seconds for job in jobs)
    say(console, f"{count} runs to make, about {duration(seconds)} of training and evaluation one at a time")
    from adasearch.clocks import curve_of
    from adasearch.tuning.cluster import connect
    from adasearch.tuning.code import named_by
    from adasearch.tuning.repeats import ConfirmPlan, Repeats
    from adasearch.tuning.settings import gangs_for

    say(console, f"joining Ray at {runtime.address}" if runtime.address else "starting Ray")
    own = [name for job in jobs for name in named_by(job.study)]
    joined = connect(runtime.address, own=own, wait_seconds=runtime.wait_for_nodes)
    # Ray's files go once Ray has ended.
    with ExitStack() as files, joined as capacity, ExitStack() as locks:
        from adasearch.tuning.engine import run_trials  # which imports ray

        settings, slots = gangs_for(
            runtime,
            capacity,
            storage=files.enter_context(store.ray_folder(shared=runtime.address is not None)),
            workers=first.workers,
            device=first.device,
            say=partial(say, console),
        )
        if slots > 1:
            say(console, f"{slots} at a time: about {duration(seconds / slots)}")
        plans = []
        for job in jobs:
            name = job.study.study
            locks.enter_context(store.locks.hold(name))
            stored = store.trials(name)  # under the lock: another may have gone on with it meanwhile
            plans.append(
                ConfirmPlan(
                    study=replace(job.study, stopper="none"),
                    data=data[name],
                    repeats=job.repeats,
                    stored=stored,
                    intervals=store.intervals(
                        name, [each.trial_id for each in stored if each.status == "running"]
                    ),
                    options=runtime.options,
                    threads=runtime.cpus_per_worker,
                    curve=curve_of(store, job.study),
                )
            )
        sources = [Repeats(plan) for plan in plans]
        with SearchDisplay(console, [_goal(source) for source in sources]) as display:
            return run_trials(sources, store, settings, slots=slots, listener=display)


def _goal(source: "Repeats") -> Goal:
    plan = source.plan
    return Goal(
        study=plan.study.study,
        budget=plan.study.budget,
        trials=plan.trials,
        finished=plan.trials - source.left,
        best=None,
    )


def data_of(study: StudyRecord, console: Console) -> DataSpec:
    """Return the data of a study, after a look whether they are the same still."""
    source, image_size = source_of(study.dataset)
    spec = DataSpec(source=absolute(source), image_size=image_size, subset=study.subset, seed=study.seed)
    with StepDisplay(console) as progress:
        data = load_dataset(spec, include_test=True, progress=progress)
    if data.fingerprint != study.fingerprint:
        raise InputError(
            f"study {study.study} was searched on data with fingerprint {study.fingerprint}, but {source} "
            f"now has {data.fingerprint}"
        )
    return spec
