"""Which stored studies are of one question to ``adasearch advise``, and what cannot be one."""

from dataclasses import replace
from typing import TYPE_CHECKING

from adasearch import counts
from adasearch.analysis.ceiling_table import network_of
from adasearch.analysis.gather import Scope, gather
from adasearch.analysis.sequential import SequentialAnswer, answer, level_at, looks
from adasearch.callbacks import Progress, no_progress
from adasearch.environment import local_device
from adasearch.errors import InputError
from adasearch.profiles.critical import CriticalProfile
from adasearch.profiles.profile import Setting
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import StudyRecord
from adasearch.runtime import Runtime
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store

if TYPE_CHECKING:
    from adasearch.studies.request import Request, ResolvedStudy

__all__ = ["confirmed_answer", "constant_study", "critical_profile", "studies_of"]

SCHEDULERS = (BASELINE, "ramp", "lr_tail", "deba")
LEAST_STEPS = 10  # of a training, at the smallest batch


def studies_of(request: "Request", store: Store) -> list[StudyRecord]:
    """Return the stored studies of one network's question: the constant batch's, then its schedules'."""
    from adasearch.studies.own_function import OWN  # which brings torch
    from adasearch.studies.wanted import wanted_study

    if request.train is not None:
        request = replace(request, dataset=OWN)
    network, request = request.networks[0], replace(request, fixed=())  # a name is of neither
    names = [wanted_study(request, network, scheduler, store.study).name for scheduler in SCHEDULERS]
    return [study for name in names if (study := store.study(name)) is not None]


def critical_profile(results: str, setting: Setting) -> CriticalProfile | None:
    """Return the newest measurement of a network's critical batch; None without one."""
    stored = ProfileStore(results).critical()
    own = [each for each in stored if network_of(each.setting) == network_of(setting)]
    return max(own, key=lambda each: each.created_at, default=None)


def confirmed_answer(store: Store, study: str, seeds: int) -> SequentialAnswer | None:
    """Return what a study's pairs on fresh seeds, ``seeds`` at most, say at their look; None if nothing."""
    found = gather(store, Scope(studies=[study], force=True)).evidence
    row = next((each for each in found if each.role == "candidate"), None)
    pairs = 0 if row is None else min(row.pairs, seeds)
    level = level_at(next(each for each in looks(seeds) if each >= pairs), seeds)
    return answer(row.paired, level, give_up=True) if row and row.paired else None


def constant_study(
    request: "Request", runtime: Runtime, *, results: str, progress: Progress = no_progress
) -> "ResolvedStudy":
    """Return the study of the constant batch, as the search of it will have it, before a profile runs.

    Raises:
        InputError: it is too short to tell, or not the length of what is stored; or any other bad input.
    """
    from adasearch.studies.resolve import resolve  # which brings torch

    request = replace(
        request,
        schedulers=(BASELINE,),
        results=results,
        device=local_device(),
        threads=runtime.cpus_per_worker,
        accept_changed_code=runtime.accept_changed_code,
        silence_seconds=60 * runtime.options.silence_minutes,
    )
    profiles = ProfileStore(results).speed()
    study = resolve(request, Store(results).study, lambda _: None, progress, profiles)[0]
    record, least = study.record, LEAST_STEPS * study.record.smallest
    if record.budget < least:
        length, unit = record.sequence_length, "" if record.sequence_length else " examples"
        raise InputError(
            f"advise needs a run of at least {LEAST_STEPS} steps of the smallest batch, "
            f"{counts.told(least, length)}{unit}, but got {counts.told(record.budget, length)}"
        )
    return study
