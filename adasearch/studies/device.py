"""A resolved study as it runs on a device, by the clock that is there; opens without torch."""

from collections.abc import Sequence
from dataclasses import replace

from adasearch.callbacks import Say
from adasearch.environment import versions
from adasearch.profiles.clock import (
    StatedClock,
    check_clock,
    choose_clock,
    clock_notes,
    newest_fitting,
    with_clock,
)
from adasearch.profiles.profile import SpeedProfile, here
from adasearch.studies.identity import refuse_other
from adasearch.studies.request import Request, ResolvedStudy

__all__ = ["on_device"]


def on_device(
    study: ResolvedStudy, request: Request, profiles: Sequence[SpeedProfile], say: Say
) -> ResolvedStudy:
    """Return a study as it runs on the device of a request, judged by the clock that is there.

    Raises:
        InputError: no speed profile for a modelled clock, or a stored study of another identity.
    """
    stored, former = study.defaults.stored, study.defaults.former
    device = study.defaults.pick(request.device, lambda each: each.device, "cpu")
    record = replace(study.record, device=device, versions=versions())
    place = here(record, request.threads)
    choice = choose_clock(
        StatedClock(clock=request.clock, profile=request.device_profile),
        StatedClock(clock=former.clock, profile=former.device_profile) if former else None,
        newest_fitting(place, profiles),
    )
    for note in clock_notes(record, choice, place, profiles):
        say(note)
    check_clock(record, choice, profiles, results=request.results)
    record = with_clock(record, choice)
    if stored is not None:
        refuse_other(stored, record)
        record = replace(
            record, created_at=stored.created_at, versions=stored.versions, dataset=stored.dataset
        )
    return replace(study, record=record)
