"""Which trial a command in this process trains: an interrupted one, or a new one."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import count

from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.store.locks import StudyLocked
from adasearch.store.store import Store

__all__ = ["open_trial"]


def open_trial(
    store: Store,
    folder: str,
    begin: Callable[[int], TrialRecord],
    continues: Callable[[TrialRecord], bool],
    *,
    study: StudyRecord | None,
    held: ExitStack,
) -> tuple[TrialRecord, list[IntervalRecord]]:
    """Return the interrupted trial that ``continues`` knows with its intervals, or a new one without any.

    The trial is locked until ``held`` is closed; one that another process trains is no interrupted one, and
    of processes that begin at once each takes a number of its own. A new one's row is written, and its
    ``study``, where one is given, is kept with it.

    Args:
        store: where trials lie.
        folder: of the results, which holds the trial.
        begin: makes the new trial of a number.
        continues: tells whether an interrupted trial of the same study and phase is the run asked for.
        study: of a trial that belongs to no search.
        held: holds the lock.
    """
    first = begin(0)
    alike = [each for each in store.trials(folder) if (each.phase, each.study) == (first.phase, first.study)]
    for trial in alike:
        if trial.status == "running" and continues(trial) and _locked(store, folder, trial, held):
            return trial, store.intervals(folder, [trial.trial_id]).get(trial.trial_id, [])
    for number in count(1 + max((trial.number for trial in alike), default=-1)):
        trial = begin(number)
        if not _locked(store, folder, trial, held):
            continue
        if trial.trial_id in store.trial_ids(folder):  # begun and over meanwhile
            continue
        if study is not None:
            store.write_train_study(trial, study)
        store.write_trial(trial)
        return trial, []
    raise AssertionError("numbers do not end")


def _locked(store: Store, folder: str, trial: TrialRecord, held: ExitStack) -> bool:
    try:
        held.enter_context(store.locks.hold(f"{folder}/checkpoints/{trial.trial_id}"))
    except StudyLocked:
        return False
    return True
