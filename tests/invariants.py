"""What must hold of a results folder whatever happened to the search that writes it."""

import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from adasearch.records import IntervalRecord, StudyRecord, TrialRecord
from adasearch.spaces.optuna_trials import STATE_OF_STATUS, distributions_of, frozen_trial, new_study
from adasearch.store import Store


@dataclass(frozen=True)
class Ended:
    """The files of every trial that ended, its row and its intervals, by trial id."""

    rows: dict[str, tuple[bytes, bytes]]


def check(results: Path, before: Ended | None = None) -> Ended:
    """Check a folder, also one that is being written; return what ended, for the next check.

    No trial that had ended is lost or changed; numbers run from 0 without a gap or a double; so do the
    intervals of each trial, and an ended one's row follows from them. Optuna's study, rebuilt, is what is
    stored.
    """
    store = Store(str(results))
    ended: dict[str, tuple[bytes, bytes]] = {}
    for study in store.studies():
        # The trials first: where a row says that the trial ended, its intervals are there.
        trials = store.trials(study.study)
        intervals = store.intervals(study.study)
        assert [trial.number for trial in trials] == list(range(len(trials)))
        for trial in trials:
            records = intervals.get(trial.trial_id, [])
            assert [record.signals.interval for record in records] == list(range(len(records)))
            seen = [record.signals.examples_seen for record in records]
            assert seen == sorted(set(seen))
            if trial.status != "running":
                _check_row(study, trial, records)
                ended[trial.trial_id] = _files(results, trial)
        _check_optuna(study, [trial for trial in trials if trial.status != "running"], intervals)
    for name, files in ({} if before is None else before.rows).items():
        assert name in ended, f"{name} is lost"
        assert ended[name] == files, f"{name} has changed"
    return Ended(ended)


def _files(results: Path, trial: TrialRecord) -> tuple[bytes, bytes]:
    row, intervals = (
        results / trial.study / table / f"{trial.trial_id}.parquet" for table in ("trials", "intervals")
    )
    return row.read_bytes(), intervals.read_bytes() if intervals.exists() else b""


def _check_row(study: StudyRecord, trial: TrialRecord, records: list[IntervalRecord]) -> None:
    if records:
        assert trial.examples_seen == records[-1].signals.examples_seen
        assert trial.train_seconds == pytest.approx(sum(record.train_seconds for record in records))
    if trial.status == "complete":
        assert records[-1].signals.examples_seen >= study.budget
        assert trial.val_error == records[-1].val_error


def _check_optuna(study: StudyRecord, trials: list[TrialRecord], intervals: object) -> None:
    rebuilt = new_study()
    distributions = distributions_of(study)
    for trial in trials:
        rebuilt.add_trial(frozen_trial(trial, distributions, study.clock))
    assert len(rebuilt.trials) == len(trials)
    for told, trial in zip(rebuilt.trials, trials, strict=True):
        assert told.params == {name: trial.params[name] for name in distributions}
        assert told.state == STATE_OF_STATUS[trial.status]
        if trial.status == "complete":
            assert told.values == [trial.val_error, trial.train_seconds]
            assert all(map(math.isfinite, told.values))
