"""Which stored studies are of one question to ``adasearch advise``, and what cannot be one."""

from dataclasses import replace
from typing import TYPE_CHECKING

from adasearch import counts
from adasearch.errors import InputError
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import StudyRecord
from adasearch.schedulers.registry import BASELINE
from adasearch.store.store import Store
from adasearch.studies.identity import SPANS, refuse_other

if TYPE_CHECKING:
    from adasearch.studies.request import Request

__all__ = ["check_length", "studies_of"]

LEAST_STEPS = 10  # of a training, at the smallest batch


def studies_of(request: "Request", store: Store) -> list[StudyRecord]:
    """Return the studies of a question about one network: of its prefix, scale and data."""
    from adasearch.studies.own_function import OWN  # which brings torch

    dataset = OWN if request.train is not None else request.sized_dataset
    wanted = (request.study, request.networks[0], request.scale or "nano", dataset)
    return [
        each
        for each in store.studies()
        if (each.prefix, each.architecture, each.scale, each.dataset) == wanted
    ]


def check_length(request: "Request", results: str, *, accepted: bool) -> None:
    """Refuse, before a profile runs, what is too short to tell, or not the length of what is stored.

    ``accepted`` is whether a training function may have changed since.

    Raises:
        InputError: which, or any other bad input.
    """
    from adasearch.studies.resolve import resolve  # which brings torch

    store = Store(results)
    request = replace(request, schedulers=(BASELINE,), results=results, accept_changed_code=accepted)
    profiles = ProfileStore(results).speed()
    record = resolve(request, store.study, lambda _: None, profiles=profiles)[0].record
    length, least = record.sequence_length, LEAST_STEPS * record.smallest
    if record.budget < least:
        unit = "" if length else " examples"
        raise InputError(
            f"advise needs a run of at least {LEAST_STEPS} steps of the smallest batch, "
            f"{counts.told(least, length)}{unit}, but got {counts.told(record.budget, length)}"
        )
    stored = store.study(record.study)
    if stored is not None:
        refuse_other(stored, replace(stored, **{name: getattr(record, name) for name in SPANS}))
