"""What tables and reports rest on: the studies asked for, what they are compared with, and both tables.

Of a folder of many studies only what these need is read: the trials of the studies asked for and of their
baselines, and those of other studies that were confirmed where p values are corrected over all of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from adasearch.analysis.confirmed import ConfirmedRow
from adasearch.analysis.confirmed_runs import confirmed_rows
from adasearch.analysis.paired_tests import check_margin
from adasearch.analysis.search_table import SearchRow, search_rows
from adasearch.analysis.selection import baseline_of, parted_by_code
from adasearch.choices import Clock
from adasearch.errors import InputError, unknown
from adasearch.objective import ERROR
from adasearch.profiles.clock import intervals_of, judged, remodelled
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.store.store import Store

__all__ = ["EVERYTHING", "Gathered", "Scope", "Selection", "gather", "mark", "select"]

ONE_TABLE = {
    "fingerprint": "data",
    "subset": "subset",
    "seed": "split",
    "weights": "weights",
    "train_examples": "training examples",
    "val_examples": "validation examples",
    "budget": "budget",
}
"""What studies of one table have in common, and what to call it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which results a table or a page is about, and whose seconds judge them.

    Args:
        studies: by name; None for all.
        force: take studies of different data, budgets or splits together.
        clock, device_profile: judge by other seconds than the studies', as
            :func:`~adasearch.profiles.clock.judged` does.
    """

    studies: Sequence[str] | None = None
    force: bool = False
    clock: Clock | None = None
    device_profile: str | None = None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Studies of a results folder by the clock that was asked for.

    Args:
        folder: all of them.
        chosen: those asked for.
        studies, trials: the chosen ones with the baselines that they are compared with, and their trials.
        unlike: in what the chosen ones differ that one table should share; empty if in nothing.
    """

    folder: Sequence[StudyRecord]
    chosen: Sequence[StudyRecord]
    studies: Sequence[StudyRecord]
    trials: Sequence[TrialRecord]
    unlike: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A selection with the rows of the chosen studies: those of the search, and what was confirmed.

    ``parted`` tells which of them have no reference because that is of another source, a line each.
    """

    chosen: Sequence[StudyRecord]
    studies: Sequence[StudyRecord]
    trials: Sequence[TrialRecord]
    unlike: str
    rows: Sequence[SearchRow]
    evidence: Sequence[ConfirmedRow]
    parted: Sequence[str] = ()


def mark(unlike: str) -> str:
    """Return what is added to the titles of a table of studies that are not alike.

    >>> mark("studies differ in budget (a: 800, b: 1600)"), mark("")
    (' - NOT ALIKE: studies differ in budget (a: 800, b: 1600)', '')
    """
    return f" - NOT ALIKE: {unlike}" if unlike else ""


def gather(store: Store, scope: Scope = EVERYTHING, *, margin: float | None = None) -> Gathered:
    """Return what the studies of a results folder that are asked for say.

    ``margin`` is the difference of errors that counts as none; None for the usual ones.

    Raises:
        InputError: as :func:`select` does, or a margin that cannot be.
    """
    found = select(store, scope)
    check_margin(margin, [study.objective for study in found.chosen] or [ERROR])
    names = {record.study for record in found.chosen}
    return Gathered(
        chosen=found.chosen,
        studies=found.studies,
        trials=found.trials,
        unlike=found.unlike,
        rows=[
            _with_bits(store, row) for row in search_rows(found.studies, found.trials) if row.study in names
        ],
        evidence=_evidence(store, found, margin, scope.device_profile),
        parted=[
            f"{record.study}: no reference, since {other.study} was searched with another source of "
            f"{record.architecture}; where their trials may still be compared, go on with either and "
            "--accept-changed-code"
            for record in found.chosen
            if (other := parted_by_code(record, found.folder)) is not None
        ],
    )


def _with_bits(store: Store, row: SearchRow) -> SearchRow:
    """Return a row with its trial's bits per byte at the end, where it is a language model's and has them."""
    if row.sequence_length is None or row.trial_id is None:
        return row
    intervals = store.intervals(row.study, [row.trial_id]).get(row.trial_id, [])
    known = [each.metrics["bits_per_byte"] for each in intervals if "bits_per_byte" in each.metrics]
    return replace(row, bits_per_byte=known[-1]) if known else row


def select(store: Store, scope: Scope = EVERYTHING) -> Selection:
    """Choose studies of a results folder, all of them by default, and read their trials.

    Raises:
        InputError: an unknown study, studies of different data, budgets or splits without ``force``, or
            a device profile that is of none of the folder's.
    """
    profile = scope.device_profile
    if scope.clock == "measured" and profile is not None:
        raise InputError(f"--device-profile {profile} goes with --clock modelled, not measured")
    stored = store.studies()
    known = {record.study for record in stored}
    for name in scope.studies or ():
        if name not in known:
            raise unknown("study", name, known)
    names = known if scope.studies is None else set(scope.studies)
    unlike = _unlike([record for record in stored if record.study in names])
    if unlike and not scope.force:
        raise InputError(f"{unlike}; choose studies with --study, or --force a table that is marked")
    folder = judged(store, stored, clock=scope.clock, device_profile=profile)
    with_baselines = _with_baselines(folder, names)
    return Selection(
        folder=folder,
        chosen=[record for record in folder if record.study in names],
        studies=with_baselines,
        trials=_trials(store, with_baselines, profile),
        unlike=unlike,
    )


def _with_baselines(folder: Sequence[StudyRecord], names: Collection[str]) -> list[StudyRecord]:
    """Return the studies of these names and those that they are compared with."""
    baselines = [baseline_of(record, folder) for record in folder if record.study in names]
    wanted = {*names, *(each.study for each in baselines if each is not None)}
    return [record for record in folder if record.study in wanted]


def _trials(store: Store, studies: Sequence[StudyRecord], device_profile: str | None) -> list[TrialRecord]:
    """Return the trials of studies; of another profile than theirs, with its seconds."""
    found = []
    for study in studies:
        trials = store.trials(study.study)
        found += trials if device_profile is None else remodelled(store, study, trials)
    return found


def _evidence(
    store: Store, found: Selection, margin: float | None, device_profile: str | None
) -> list[ConfirmedRow]:
    """Return the rows of what was confirmed; reads the intervals of their runs and their baselines' alone."""
    runs: dict[str, list[str]] = {}
    for trial in found.trials:
        if trial.phase == "confirm":
            runs.setdefault(trial.study, []).append(trial.trial_id)
    chosen = [record.study for record in found.chosen if record.study in runs]
    if not chosen:
        return []
    intervals: dict[str, Sequence[IntervalRecord]] = {}
    for record in found.studies:  # baselines, too, whose runs may be the references
        if record.study in runs:
            intervals |= intervals_of(store, record, runs[record.study])
    there = {record.study for record in found.studies}
    family = {each.study for each in found.folder if each.study not in there and _confirmed(store, each)}
    others = [each for each in _with_baselines(found.folder, family) if each.study not in there]
    trials = [*found.trials, *_trials(store, others, device_profile)]
    return confirmed_rows([*found.studies, *others], trials, intervals, margin=margin, chosen=chosen)


def _confirmed(store: Store, study: StudyRecord) -> bool:
    """Tell whether a study's candidate has runs of ``confirm``; opens no file."""
    return any(each.startswith(f"{study.study}-confirm-") for each in store.trial_ids(study.study))


def _unlike(studies: Sequence[StudyRecord]) -> str:
    """Return in what the studies of a table differ that they should share; empty if in nothing."""
    for name, word in ONE_TABLE.items():
        values = {getattr(study, name): study for study in studies}
        if len(values) > 1:
            some = ", ".join(f"{each.study}: {_said(each, name)}" for each in list(values.values())[:2])
            return f"studies differ in {word} ({some})"
    return ""


def _said(study: StudyRecord, name: str) -> str:
    """Return a study's field, a budget as it was given, too."""
    value = getattr(study, name)
    return f"{value}, --epochs {value / study.train_examples:.4g}" if name == "budget" else str(value)
