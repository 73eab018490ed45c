"""The studies of a search, locked and written before their first trial, with what each tries first."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch._version import __version__
from adasearch.analysis.selection import alike_but_code
from adasearch.callbacks import Say
from adasearch.commands._on_ray import trial_plan
from adasearch.io.progress import say
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import Params, StudyRecord, Value
from adasearch.runs.stability_profile import histories_of
from adasearch.runtime import Runtime
from adasearch.schedulers.registry import BASELINE
from adasearch.store.locks import StudyLocked
from adasearch.store.store import Store
from adasearch.studies.retry import tell_retried

if TYPE_CHECKING:
    from adasearch.studies.request import Request, ResolvedStudy
    from adasearch.tuning.optuna_source import OptunaSource

__all__ = ["accept_beside", "claim", "optional"]


def optional(study: "ResolvedStudy", request: "Request") -> bool:
    """Tell whether a search may go on without a study: a baseline that nobody asked for by name."""
    return study.record.scheduler == BASELINE and BASELINE not in request.schedulers


def claim(
    request: "Request",
    resolved: "Sequence[ResolvedStudy]",
    runtime: Runtime,
    store: Store,
    locks: ExitStack,
    console: Console,
    points: Sequence[Params] | None,
) -> "list[OptunaSource]":
    """Lock every study and write its identity; a baseline that another search holds is left to it."""
    from adasearch.studies.identity import check_identity
    from adasearch.tuning.optuna_source import OptunaSource

    sources = []
    for study in resolved:
        name = study.record.study
        try:
            locks.enter_context(store.locks.hold(name))
        except StudyLocked as error:
            if not optional(study, request):
                raise
            say(console, f"{error}; going on without it")
            continue
        # Under the lock: another search may have written the study since it was resolved.
        former = store.trials(name)
        plan = trial_plan(study.record, study.data, former, "search", runtime, store)
        tell_retried(name, former, plan.stored, partial(say, console))
        check_identity(store.study(name), study.record, plan.stored)
        if older := sorted({str(trial.versions.get("adasearch", "?")) for trial in former} - {__version__}):
            which = f"{study.record.study}: it has trials of adasearch {', '.join(older)}"
            say(console, f"{which}, whose measured seconds may not compare with those to come")
        stability = study.record.stability_profile
        sources.append(
            OptunaSource(
                plan,
                study.train_space,
                study.scheduler_space,
                profile=histories_of(store, stability) if stability else (),
                early=_early(study, store, console) if runtime.transfer else (),
                points=points,
            )
        )
    for study in resolved:
        known = study.defaults.stored
        new = known is None or known.code != study.record.code
        if new and any(source.plan.study.study == study.record.study for source in sources):
            store.write_study(study.record)
    if runtime.accept_changed_code:
        accept_beside([source.plan.study for source in sources], store, partial(say, console))
    return sources


def accept_beside(searched: Sequence[StudyRecord], store: Store, tell: Say) -> None:
    """Write the source that was accepted to a function's other studies, or they were compared no more.

    What another search holds keeps its own; ``compare`` says so.
    """
    names = {study.study for study in searched}
    for other in store.studies():
        of = next((study for study in searched if alike_but_code(study, other)), None)
        if of is None or other.study in names:
            continue
        try:
            with store.locks.hold(other.study):
                store.write_study(replace(other, code=of.code))
        except StudyLocked as error:
            tell(f"{error}; it keeps its former source, and is not compared with this one")
        else:
            tell(f"{other.study}: the changed source of {other.architecture} is accepted, too")


def _early(study: "ResolvedStudy", store: Store, console: Console) -> list[dict[str, Value]]:
    """Return what suited other networks and data sets, as points of this study; the user hears of whom."""
    from adasearch.analysis.transfer import MAX_DONORS, donors_of, has_profile, nearest_first, point_of

    records = store.studies()
    trials = [trial for record in records for trial in store.trials(record.study)]
    donors = donors_of(study.record, records, trials)
    profiles = ProfileStore(store.name).stability()
    chosen = nearest_first(study.record, donors, profiles)[:MAX_DONORS]
    names = ", ".join(donor.study.study for donor in chosen)
    from_whom = f"tries first what suited {names}" if chosen else "there is no other study to learn from"
    if chosen and not has_profile(study.record, profiles):
        from_whom += " (by name: without a stability profile none is nearer than another)"
    say(console, f"{study.record.study}: {from_whom}")
    return [point_of(donor, study.train_space, study.scheduler_space) for donor in chosen]
