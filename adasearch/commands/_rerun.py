"""``adasearch rerun``: a stored trial once more, and whether it comes out the same."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.analysis.trajectory_diff import SAME, TOLERANCE, Difference, conditions, differences
from adasearch.data.spec import DataSpec
from adasearch.environment import device_name, local_device, versions
from adasearch.errors import AdasearchError, InputError, ended_by
from adasearch.io.progress import StepDisplay, say
from adasearch.io.tables import Column, number, render
from adasearch.profiles.clock import curve_of
from adasearch.records import IntervalRecord, StudyRecord, TrialRecord, Value
from adasearch.runs.execute import interval_line, run_and_keep
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.open_trial import open_trial
from adasearch.runtime import RunOptions
from adasearch.store.store import Store
from adasearch.store.trials import begin_trial, folder_of
from adasearch.store.trusted_names import check_stored_names
from adasearch.studies.identity import check_device
from adasearch.studies.settings import rungs_of

if TYPE_CHECKING:
    from adasearch.tasks.base import Data

__all__ = ["rerun"]

PHASES = ("search", "confirm", "train")

COLUMNS = [
    Column("interval", "interval"),
    Column("epoch", "epoch", number),
    Column("columns", "columns that differ"),
    Column("column", "most in"),
    Column("then", "then", lambda value: f"{value:.6g}" if isinstance(value, float) else str(value)),
    Column("now", "now", lambda value: f"{value:.6g}" if isinstance(value, float) else str(value)),
    Column("size", "difference", lambda value: f"{value:.2g}"),
]


def rerun(
    store: Store,
    trial_id: str,
    *,
    console: Console,
    options: RunOptions | None = None,
    threads: int | None = None,
    tolerance: float | None = None,
    images: str | None = None,
) -> TrialRecord:
    """Repeat a complete trial with its seed and parameters in this process, keep it, and compare the two.

    It is stored as phase "rerun" beside its source; an interrupted one goes on. ``threads`` are those of the
    source unless given, one where they are not stored; ``images`` is where they lie now, if they have moved.
    Without ``tolerance`` the runs must be equal where the source ran on a CPU with one thread and one worker
    and nothing that changes numbers is different now, and within ``TOLERANCE`` elsewhere.

    Raises:
        InputError: no such trial, one that did not complete, or other data than then.
        AdasearchError: the run failed, or it differs from its source beyond the tolerance.
    """
    from adasearch.runs.execute import data_of, with_threads
    from adasearch.studies.own_function import check_code

    options = options or RunOptions()
    options.check()
    for name, value, least in (("--threads", threads, 1), ("--tolerance", tolerance, 0)):
        if value is not None and not least <= value < math.inf:
            raise InputError(f"{name} must be at least {least} but got {value:g}")
    store.check_writable()
    source, former = store.find_trial(trial_id)
    study = _study(store, source, former)
    check_stored_names(store.name, study, source)
    if study.device != "cpu":
        study = replace(study, device=local_device())
    check_device(study)
    stored = source.versions.get("threads", 1)
    threads = threads or (stored if isinstance(stored, int) else 1)
    if options.device_batch is None:  # BatchNorm sees one pass at a time
        options = replace(options, device_batch=former[0].device_batch)
    spec = data_of(study, console, partial(say, console), images)
    test = source.phase == "confirm"
    study = check_code(study, True, partial(say, console))
    data = _loaded(study, spec, test, console)
    folder = folder_of(replace(source, phase="rerun", source_trial_id=source.trial_id))

    def continues(trial: TrialRecord) -> bool:
        return trial.source_trial_id == source.trial_id

    def begin(number: int) -> TrialRecord:
        trial = begin_trial(
            replace(study, study=source.study),
            phase="rerun",
            number=number,
            params=source.params,
            seed=source.seed,
            versions=versions(threads, device_name(study.device)),
            workers=1,
        )
        return replace(trial, scheduler=source.scheduler, source_trial_id=source.trial_id)

    with ExitStack() as held:
        held.enter_context(with_threads(threads))
        trial, intervals = open_trial(
            store, folder, begin, continues, study=study if folder == "train" else None, held=held
        )
        say(console, f"{trial.trial_id} repeats {source.trial_id}")
        for line in _changed(source, trial):
            say(console, line)
        live = LiveTrial(trial, store, intervals=intervals, curve=curve_of(store, study))
        task = live.task(
            study, spec, options, evaluate_at=rungs_of(study) if source.phase == "search" else (), test=test
        )
        trial = run_and_keep(
            live,
            task,
            data,
            store,
            device=study.device,
            heard=lambda interval: say(
                console, interval_line(interval, study.objective, study.sequence_length)
            ),
            say=partial(say, console),
        )
    if trial.status != "complete":
        raise AdasearchError(f"{trial.trial_id} failed: {ended_by(trial.error, store.name)}")
    if tolerance is None:
        tolerance = 0.0 if _exact(source, trial) else TOLERANCE
    _judge(source, trial, former, live.intervals, tolerance, console)
    return trial


def _study(store: Store, source: TrialRecord, former: Sequence[IntervalRecord]) -> StudyRecord:
    """Return the study of a trial that can be repeated."""
    if source.phase not in PHASES:
        raise InputError(
            f"{source.trial_id} is of phase {source.phase}; those of {', '.join(PHASES)} are run again"
        )
    if source.status != "complete":
        raise InputError(f"{source.trial_id} must be complete to be run again but is {source.status}")
    study = store.study_of(source)
    if study is None:
        raise InputError(f"the study of {source.trial_id} is not stored, so what it ran is not known")
    if not former:
        raise InputError(f"the intervals of {source.trial_id} are not stored, so there is nothing to compare")
    return study


def _loaded(study: StudyRecord, spec: DataSpec, test: bool, console: Console) -> "Data | None":
    """Return a study's data; None where a training function has its own."""
    from adasearch.tasks.registry import load_data

    if study.task == "own":
        return None
    with StepDisplay(console) as progress:
        return load_data(spec, include_test=test, progress=progress)


def _changed(source: TrialRecord, trial: TrialRecord) -> list[str]:
    """Return what is other than when the source ran, one line each."""
    then, now = conditions(source), conditions(trial)
    names = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    return [
        f"{name}: {then.get(name, 'not stored')} then, {now.get(name, 'not known')} now" for name in names
    ]


def _exact(source: TrialRecord, trial: TrialRecord) -> bool:
    """Tell whether the two must be equal: nothing that changes numbers is different."""
    then, now = ({"threads": 1, **conditions(each)} for each in (source, trial))
    alone = (now["device"], now["threads"], now["workers"]) == ("cpu", 1, 1)
    return alone and all(then.get(name) == now.get(name) for name in SAME)


def _judge(
    source: TrialRecord,
    trial: TrialRecord,
    then: Sequence[IntervalRecord],
    now: Sequence[IntervalRecord],
    tolerance: float,
    console: Console,
) -> None:
    """Print in what two runs differ; raise if that is beyond the tolerance."""
    found = differences(then, now, words=tolerance == 0)
    if not found:
        say(console, f"equal in all {len(then)} intervals: batch sizes, losses, signals")
        return
    title = f"{trial.trial_id} against {source.trial_id}"
    say(
        console,
        render(
            [_row(list(each)) for _, each in groupby(found, lambda d: d.interval)],
            COLUMNS,
            "text",
            title=title,
        ),
    )
    beyond = [each for each in found if each.size > tolerance]
    if not beyond:
        say(console, f"within the tolerance of {tolerance:g} in all {len(then)} intervals")
        return
    first = beyond[0]
    raise AdasearchError(
        f"{trial.trial_id} differs from {source.trial_id} beyond the tolerance of {tolerance:g}, first in "
        f"interval {first.interval}: {first.column} {_text(first.then)} then, {_text(first.now)} now"
    )


def _text(value: Value | None) -> str:
    return "none" if value is None else str(value)


def _row(found: Sequence[Difference]) -> dict[str, object]:
    most = max(found, key=lambda each: (each.column != "reason", each.size))  # which quotes the others
    names = [each.column for each in found]
    some = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return {
        "interval": most.interval,
        "epoch": most.epoch,
        "columns": some,
        "column": most.column,
        "then": most.then,
        "now": most.now,
        "size": most.size,
    }
