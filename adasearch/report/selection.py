"""What a report rests on: the same studies, trials and tables that ``compare`` shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from adasearch.analysis.compare import confirmed, select
from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.search_table import SearchRow, search_rows
from adasearch.records import StudyRecord, TrialRecord
from adasearch.store.store import Store

__all__ = ["Basis", "gather"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Studies of a results folder and what they say.

    ``chosen`` are the studies asked for, ``studies`` and ``trials`` all of the folder, by the clock chosen.
    ``rows`` and ``evidence`` are the search's and the confirmed table; ``unlike`` says in what the chosen
    studies differ that one table should share, and is empty if in nothing.
    """

    chosen: Sequence[StudyRecord]
    studies: Sequence[StudyRecord]
    trials: Sequence[TrialRecord]
    rows: Sequence[SearchRow]
    evidence: Sequence[ConfirmedRow]
    unlike: str


def gather(
    store: Store,
    *,
    studies: Sequence[str] | None,
    force: bool,
    clock: str | None,
    device_profile: str | None,
) -> Basis:
    """Return what the report of some studies (None: all) rests on.

    Raises:
        InputError: as :func:`~adasearch.analysis.compare.compare` does.
    """
    found = select(store, studies=studies, force=force, clock=clock, device_profile=device_profile)
    names = {record.study for record in found.chosen}
    return Basis(
        chosen=found.chosen,
        studies=found.studies,
        trials=found.trials,
        rows=[row for row in search_rows(found.studies, found.trials) if row.study in names],
        evidence=[row for row in confirmed(store, found.studies, found.trials) if row.study in names],
        unlike=found.unlike,
    )
