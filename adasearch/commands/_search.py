"""``adasearch search``: every study of a request, on Ray."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.analysis.compare import compare
from adasearch.analysis.enough import trials_note
from adasearch.analysis.gather import Scope
from adasearch.analysis.selection import complete
from adasearch.callbacks import once
from adasearch.commands._claim import claim, optional
from adasearch.commands._compact import compact_many
from adasearch.commands._on_ray import on_ray
from adasearch.environment import local_device
from adasearch.errors import AdasearchError, InputError
from adasearch.io.apart import apart
from adasearch.io.progress import Goal, SearchDisplay, StepDisplay, room, say
from adasearch.profiles.profile import SpeedProfile
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import Params, TrialRecord
from adasearch.runs.rehearsals import rehearse_studies
from adasearch.runs.stability_profile import with_profile
from adasearch.runtime import Runtime
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store
from adasearch.studies.identity import check_device
from adasearch.studies.retry import nothing_completed, with_retried
from adasearch.trackers.log import check_log, trial_log

if TYPE_CHECKING:
    from adasearch.studies.request import Request, ResolvedStudy
    from adasearch.tuning.optuna_source import OptunaSource

__all__ = ["search"]


def search(
    request: "Request",
    runtime: Runtime,
    *,
    results: str,
    console: Console,
    wide: bool = False,
    points: Sequence[Params] | None = None,
    log: Sequence[str] = (),
    tables: bool = True,
) -> bool:
    """Search every study of a request and print the tables; return False if it was interrupted.

    Failed trials are tried again as the runtime says. Tables keep to a terminal's width unless ``wide``.
    ``points`` are tried first in each study, in place of those that a search usually begins with.
    Trackers that ``log`` names are told of each trial; their files lie in ``<results>/logs/``. Without
    ``tables`` only what happens is said.

    The scheduler is DEBA unless the request names one. A stability profile that thresholds given as quantiles
    need is taken first.

    Raises:
        InputError: bad input; nothing was written, but for such a profile.
        StudyLocked: another live search holds a study.
        AdasearchError: Ray cannot be reached, the store cannot be written, or nothing of a study completed.
    """
    from adasearch.studies.device import on_device

    if not request.networks:
        raise InputError(
            "give --architecture NAME (see 'list architectures'), --experiment NAME or --train "
            "MODULE:FUNCTION"
        )
    runtime.check()
    check_log(log, results)
    if tables and (few := trials_note(runtime.trials)) is not None:
        say(console, few)
    store = Store(results)
    store.check_writable()
    speeds = ProfileStore(store.name).speed()
    request = replace(
        request,
        schedulers=request.schedulers or ("deba",),
        threads=runtime.cpus_per_worker,
        results=results,
        accept_changed_code=runtime.accept_changed_code,
        silence_seconds=60 * runtime.options.silence_minutes,
    )
    tell = once(partial(say, console))
    prepare = partial(_prepared, request, runtime, store, speeds, console)
    # Who drives the search needs no torch, which takes 0.5 GB. Clients of object stores cannot be copied.
    resolved, lines, error = prepare() if "://" in results else apart(prepare, "torch")
    for line in lines if tables else ():
        tell(line)
    if error is not None:
        raise error
    if all(_finished(store, study, runtime) >= runtime.trials for study in resolved):
        _told(resolved, store, console, wide, tables=tables)
        return True
    if left := [study for study in resolved if study.stored and not _has_trained(store, study)]:
        rehearse_studies(left)
    threads, options = runtime.cpus_per_worker, runtime.options
    resolved = [with_profile(study, store, console, threads=threads, options=options) for study in resolved]
    with on_ray(runtime, store, console, [study.record for study in resolved]) as cluster:
        from adasearch.spaces.optuna_trials import quiet_optuna
        from adasearch.tuning.engine import run_trials  # which imports ray
        from adasearch.tuning.search_state import Listeners

        gpus = cluster.capacity.gpus if runtime.gpus_per_worker is None else runtime.gpus_per_worker
        request = replace(request, device="cuda" if gpus else "cpu")
        resolved = [on_device(study, request, speeds, tell) for study in resolved]
        for study in resolved:
            check_device(study.record)
        settings, slots = cluster.slots(resolved[0].record)
        with quiet_optuna():
            sources = claim(request, resolved, runtime, store, cluster.locks, console, points)
            with trial_log(log, store, tell) as told, SearchDisplay(console, _goals(sources)) as display:
                heard = Listeners((display, told))
                whole = run_trials(sources, store, settings, slots=slots, listener=heard)
    if whole:
        compact_many(store, [study.record.study for study in resolved], console)
        _told(resolved, store, console, wide, tables=tables)
    return whole


def _prepared(
    request: "Request",
    runtime: Runtime,
    store: Store,
    speeds: Sequence[SpeedProfile],
    console: Console,
) -> "tuple[Sequence[ResolvedStudy], list[str], AdasearchError | None]":
    """Return the studies of a request, checked and rehearsed; what is to be said of them, and what is wrong.

    A study that is stored is not rehearsed here: it may have trained.
    """
    from adasearch.studies.resolve import resolve

    lines: list[str] = []
    try:
        request = replace(request, device=_known_device(runtime))
        with StepDisplay(console) as progress:
            resolved = resolve(request, store.study, lines.append, progress, speeds)
        for study in resolved:
            lines += _untaken(study)
        _check(resolved, runtime)
        for study in resolved:
            if not optional(study, request):
                store.locks.check_free(study.record.study)
        if new := [study for study in resolved if not study.stored]:
            rehearse_studies(new)
    except AdasearchError as error:
        return (), lines, error
    return resolved, lines, None


def _untaken(study: "ResolvedStudy") -> list[str]:
    """Return what of a timetable that is not searched no trial takes."""
    from adasearch.schedulers.registry import make_scheduler
    from adasearch.schedulers.run_plan import merged, unreached

    record, space = study.record, study.scheduler_space
    fields = {name.removeprefix("scheduler/"): value for name, value in space.fixed().items()}
    searched = bool(space.first()) and not fields.get("points")  # which alone count where there are any
    if record.scheduler == BASELINE or searched:
        return []
    rule = make_scheduler(record.scheduler, fields)
    found = (
        unreached(rule, record.budget, record.budget / record.train_examples),
        merged(rule, record.interval, record.budget),
    )
    return [f"{record.study}: {each}" for each in found if each]


def _check(resolved: "Sequence[ResolvedStudy]", runtime: Runtime) -> None:
    """Refuse studies that cannot be searched together, or not in this way."""
    workers = {study.record.workers for study in resolved}
    if len(workers) > 1:
        raise InputError(f"the stored studies differ in workers ({sorted(workers)}); give --workers")
    gpus = runtime.gpus_per_worker or 0
    if gpus != int(gpus) and max(workers) > 1:
        raise InputError(f"--gpus-per-worker may be a fraction only with one worker but got {gpus:g}")
    if runtime.transfer and any(study.record.sampler == "grid" for study in resolved):
        raise InputError("--transfer does not go with --sampler grid, which tries every combination in turn")
    if runtime.address is None:
        for study in resolved:
            check_device(study.record)


def _finished(store: Store, study: "ResolvedStudy", runtime: Runtime) -> int:
    if not study.stored:
        return 0
    return _ended(with_retried(store.trials(study.record.study), "search", runtime.retry_failed))


def _has_trained(store: Store, study: "ResolvedStudy") -> bool:
    trials = store.trials(study.record.study) if study.stored else []
    return any(trial.status == "complete" for trial in trials)


def _ended(trials: Sequence[TrialRecord]) -> int:
    """Count the trials of a search that ended; what confirmed it since is none of them."""
    return sum(trial.phase == "search" and trial.status != "running" for trial in trials)


def _told(
    resolved: "Sequence[ResolvedStudy]", store: Store, console: Console, wide: bool, *, tables: bool
) -> None:
    """Print the tables; refuse a study of which nothing completed."""
    stored = {study.study for study in store.studies()}  # not a baseline that another search holds
    names = [study.record.study for study in resolved if study.record.study in stored]
    if tables:
        say(console, compare(store, Scope(studies=names, force=True), width=room(console, wide)))
    for name in names:
        searched = [trial for trial in store.trials(name) if trial.phase == "search"]
        if (why := nothing_completed(name, searched)) is not None:
            raise AdasearchError(why)


def _known_device(runtime: Runtime) -> str | None:
    """Return what the workers will train on; None where only the cluster that is joined can tell."""
    if runtime.gpus_per_worker is not None:
        return "cuda" if runtime.gpus_per_worker else "cpu"
    return local_device() if runtime.address is None else None


def _goals(sources: "Sequence[OptunaSource]") -> list[Goal]:
    return [
        Goal(
            study=plan.study.study,
            budget=plan.study.budget,
            trials=plan.trials,
            finished=_ended(plan.stored),
            best=min((trial.known_error for trial in complete(plan.stored)), default=None),
            sequence_length=plan.study.sequence_length,
        )
        for plan in (source.plan for source in sources)
    ]
