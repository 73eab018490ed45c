"""``adasearch confirm``: each study's candidate and its controls on fresh seeds and the test split."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.analysis.compare import compare
from adasearch.analysis.enough import seeds_note
from adasearch.analysis.gather import Scope, gather
from adasearch.analysis.selection import baseline_of
from adasearch.analysis.sequential import SequentialAnswer, answer, level_at, looks
from adasearch.callbacks import once
from adasearch.choices import Controls
from adasearch.commands._on_ray import on_ray, trial_plan
from adasearch.data.spec import DataSpec
from adasearch.errors import AdasearchError, InputError
from adasearch.io.progress import START_SECONDS, Goal, SearchDisplay, duration, room, say
from adasearch.runs.execute import data_of
from adasearch.store.store import Store
from adasearch.studies.confirmation import Job, jobs_of
from adasearch.studies.controls import FRESH
from adasearch.studies.retry import nothing_completed
from adasearch.trackers.log import check_log, trial_log

if TYPE_CHECKING:
    from adasearch.runtime import Runtime
    from adasearch.tuning.fixed_source import FixedSource

__all__ = ["confirm"]

ANSWERS: Mapping[SequentialAnswer, str] = {
    "gain": "a gain, in time at an equal error or in error at an equal time",
    "no gain": "no gain, the error and the time equal or worse",
    "worse": "worse, a higher error",
    "unlikely": "a gain is unlikely, so far a higher error or neither error nor time lower",
}


def confirm(
    runtime: "Runtime",
    *,
    results: str,
    console: Console,
    studies: Sequence[str] = (),
    trials: Sequence[str] = (),
    seeds: int = 5,
    controls: Controls = "matched",
    wide: bool = False,
    images: str | None = None,
    until_clear: bool = False,
    give_up: bool = False,
    log: Sequence[str] = (),
) -> bool:
    """Confirm studies and print the tables; return False if it was interrupted.

    Tables keep to a terminal's width unless ``wide``; ``images`` is where they lie now, if they have moved.
    With ``until_clear`` a study has no more than ``seeds``, and as many as make its answer clear, or with
    ``give_up`` a gain unlikely; see :mod:`adasearch.analysis.sequential`. ``log`` names trackers, as of a
    search.

    Raises:
        InputError: bad input; nothing was written.
        StudyLocked: another live search holds a study.
        AdasearchError: Ray cannot be reached, the store cannot be written, or no run of a study completed.
    """
    runtime.check()
    check_log(log, results)
    if not 1 <= seeds < FRESH:
        raise InputError(f"--seeds must be at least 1 but got {seeds}")
    if (few := seeds_note(seeds)) is not None:
        say(console, few)
    store = Store(results, must_exist=True)
    store.check_writable()
    jobs = jobs_of(
        store, studies, trials, seeds=seeds, controls=controls, retry=runtime.retry_failed, console=console
    )
    alone = [job.study.study for job in jobs if {run.role for run in job.runs} == {"candidate"}]
    if until_clear and alone:
        raise InputError(f"--until-clear compares with a reference, of which {alone[0]} has none here")
    names = [job.study.study for job in jobs]
    for name in names:
        store.locks.check_free(name)
    if until_clear:
        again = partial(jobs_of, store, studies, trials, controls=controls, console=Console(quiet=True))
        rounds = _until_clear(again, store, seeds, console, give_up)
    else:
        rounds = iter([outstanding] if (outstanding := _outstanding(jobs)) else [])
    if not _run(rounds, store, runtime, console, images, log):
        return False
    records = store.studies()
    baselines = {each.study for job in jobs if (each := baseline_of(job.study, records)) is not None}
    table = compare(store, Scope(studies=[*names, *baselines], force=True), width=room(console, wide))
    say(console, table)
    for job in jobs:
        made = [trial for trial in store.trials(job.study.study) if trial.phase == "confirm"]
        if (why := nothing_completed(job.study.study, made)) is not None:
            raise AdasearchError(why)
    return True


def _outstanding(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if job.outstanding]


def _until_clear(
    jobs_for: "Callable[..., list[Job]]", store: Store, most: int, console: Console, give_up: bool
) -> Iterator[list[Job]]:
    """Yield what is to be run before each look, of studies that are not clear yet; tell what is."""
    unclear: set[str] | None = None
    for count in looks(most):
        jobs = [
            job for job in jobs_for(seeds=count, retry=None) if unclear is None or job.study.study in unclear
        ]
        if outstanding := _outstanding(jobs):
            yield outstanding
        unclear = set()
        level = level_at(count, most)
        for job in jobs:
            found = _answer(store, job, level, give_up)
            if found is None:
                unclear.add(job.study.study)
            end = "" if found or count < most else f", which is all that --seeds {most} allows"
            said = ANSWERS[found] if found else f"not clear{end}"
            say(console, f"{job.study.study}: after {count} seeds, tested at {level:.4f}: {said}")
        if not unclear:
            return


def _answer(store: Store, job: Job, level: float, give_up: bool) -> SequentialAnswer | None:
    """Return what a study's candidate shows beside its reference on the seeds that were made."""
    rows = gather(store, Scope(studies=[job.study.study], force=True)).evidence
    candidates = {run.source_trial_id for run in job.runs if run.role == "candidate"}
    own = [row for row in rows if row.role == "candidate" and row.source_trial_id in candidates]
    found = [None if row.paired is None else answer(row.paired, level, give_up=give_up) for row in own]
    return found[0] if len(set(found)) == 1 else None


def _run(
    rounds: Iterator[list[Job]],
    store: Store,
    runtime: "Runtime",
    console: Console,
    images: str | None,
    log: Sequence[str],
) -> bool:
    """Make the runs of each round; return False if interrupted."""
    from adasearch.studies.own_function import check_code  # which brings torch

    jobs = next(rounds, None)
    if jobs is None:
        return True
    first = jobs[0].study
    for job in jobs[1:]:
        for name in ("workers", "device"):
            if getattr(job.study, name) != getattr(first, name):
                raise InputError(
                    f"studies that are confirmed together must have the same {name} but {first.study} has "
                    f"{getattr(first, name)} and {job.study.study} {getattr(job.study, name)}; give --study"
                )
    tell = once(partial(say, console))
    accepted = runtime.accept_changed_code
    jobs = [replace(job, study=check_code(job.study, accepted, tell)) for job in jobs]
    data = {job.study.study: data_of(job.study, console, tell, images) for job in jobs}
    count = sum(len(job.outstanding) for job in jobs)
    seconds = sum(job.seconds for job in jobs)
    start = f"after about {duration(START_SECONDS)} in which Ray and its workers start"
    say(
        console,
        f"{count} runs to make, about {duration(seconds)} of training and evaluation one at a time, {start}",
    )
    with on_ray(runtime, store, console, [job.study for job in jobs]) as cluster:
        from adasearch.tuning.engine import run_trials  # which imports ray
        from adasearch.tuning.search_state import Listeners

        settings, slots = cluster.slots(first)
        if slots > 1:
            say(console, f"{slots} at a time: about {duration(START_SECONDS + seconds / slots)} in all")
        for each in chain([jobs], rounds):
            with ExitStack() as locks:
                sources = [_claim(job, data[job.study.study], store, locks, runtime) for job in each]
                told = locks.enter_context(trial_log(log, store, tell))
                with SearchDisplay(console, [_goal(source) for source in sources]) as display:
                    heard = Listeners((display, told))
                    if not run_trials(sources, store, settings, slots=slots, listener=heard):
                        return False
    return True


def _claim(job: Job, data: DataSpec, store: Store, locks: ExitStack, runtime: "Runtime") -> "FixedSource":
    """Lock a study, and return its runs beside what is stored of them."""
    from adasearch.tuning.fixed_source import FixedSource

    name = job.study.study
    locks.enter_context(store.locks.hold(name))
    former = store.trials(name)  # under the lock: another may have gone on with it meanwhile
    plan = trial_plan(replace(job.study, stopper="none"), data, former, "confirm", runtime, store)
    return FixedSource(replace(plan, trials=len(job.runs)), job.runs)


def _goal(source: "FixedSource") -> Goal:
    plan = source.plan
    return Goal(
        study=plan.study.study,
        budget=plan.study.budget,
        trials=plan.trials,
        finished=plan.trials - source.left,
        best=None,
        sequence_length=plan.study.sequence_length,
    )
