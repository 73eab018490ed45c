"""``adasearch confirm``: each study's candidate and its controls on fresh seeds and the test split."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.analysis.compare import compare
from adasearch.analysis.selection import baseline_of
from adasearch.choices import Controls
from adasearch.errors import InputError
from adasearch.io.progress import Goal, SearchDisplay, duration, say
from adasearch.runs.execute import data_of
from adasearch.store.store import Store
from adasearch.studies.confirmation import Job, jobs_of
from adasearch.studies.controls import FRESH

if TYPE_CHECKING:
    from adasearch.runtime import Runtime
    from adasearch.tuning.fixed_source import Repeats

__all__ = ["confirm"]


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
    from adasearch.profiles.clock import curve_of
    from adasearch.studies.naming import import_paths
    from adasearch.tuning.cluster import connect
    from adasearch.tuning.fixed_source import ConfirmPlan, Repeats
    from adasearch.tuning.resources import gangs_for

    say(console, f"joining Ray at {runtime.address}" if runtime.address else "starting Ray")
    own = [name for job in jobs for name in import_paths(job.study)]
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
