"""``adasearch train``: one run without Ray, kept in ``<results>/train/``."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.environment import device_name, local_device, versions
from adasearch.errors import InputError
from adasearch.io.progress import StepDisplay, say
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.quantiles import thresholds
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.runs.execute import interval_line, run_and_keep, unchanged
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.open_trial import open_trial
from adasearch.runtime import RunOptions
from adasearch.schedulers.registry import BASELINE, make_scheduler
from adasearch.schedulers.run_plan import merged, unreached
from adasearch.store.store import Store
from adasearch.store.trials import begin_trial
from adasearch.studies.identity import check_device, same_study
from adasearch.trackers.log import check_log, trial_log

if TYPE_CHECKING:
    from adasearch.studies.request import Request

__all__ = ["train"]


def train(
    request: "Request",
    *,
    results: str,
    console: Console,
    options: RunOptions | None = None,
    log: Sequence[str] = (),
) -> TrialRecord:
    """Train one run without Ray, its fields at their defaults or as fixed; keep it in ``<results>/train/``.

    The batch size is constant unless the request names a scheduler. The same run, if it was interrupted, goes
    on from its last checkpoint. ``log`` names trackers, as of a search.

    Raises:
        InputError: bad input; nothing was written.
    """
    import torch

    from adasearch.profiles.clock import curve_of
    from adasearch.runs.stability_profile import histories_of, with_profile
    from adasearch.studies.resolve import resolve
    from adasearch.studies.wanted import nothing_stored
    from adasearch.tasks.registry import load_data

    if not request.architectures:
        raise InputError("give --architecture NAME (see 'list architectures') or --schedule FILE")
    options = options or RunOptions()
    options.check()
    check_log(log, results)
    store = Store(results)
    store.check_writable()
    speeds = ProfileStore(results).speed()
    with StepDisplay(console) as progress:
        (study,) = resolve(
            replace(
                request,
                schedulers=request.schedulers or (BASELINE,),
                baseline=False,
                device=local_device(),
                threads=torch.get_num_threads(),
                results=results,
            ),
            nothing_stored,
            partial(say, console),
            progress,
            speeds,
        )
        check_device(study.record)
        data = load_data(study.data, progress=progress)
    study = with_profile(study, store, console, threads=torch.get_num_threads(), options=options)
    record = study.record
    params = {
        **study.train_space.fixed(),
        **study.train_space.first(),
        **study.scheduler_space.fixed(),
        **study.scheduler_space.first(),
    }
    if record.stability_profile is not None:
        runs = histories_of(store, record.stability_profile)
        params |= thresholds(record.scheduler, params, runs)

    def continues(trial: TrialRecord) -> bool:
        stored = store.train_study(trial)
        same = stored is not None and same_study(stored, record)  # and a field may be of a later version
        return same and {**params, **trial.params} == dict(params)

    def begin(number: int) -> TrialRecord:
        return begin_trial(
            record,
            phase="train",
            number=number,
            params=params,
            seed=record.seed,
            versions=versions(torch.get_num_threads(), device_name(record.device)),
            workers=1,
        )

    with ExitStack() as held:
        trial, intervals = open_trial(store, "train", begin, continues, study=record, held=held)
        if intervals:
            say(console, f"{trial.trial_id} goes on after {intervals[-1].signals.epoch:.2f} epochs")
        live = LiveTrial(trial, store, intervals=intervals, curve=curve_of(store, record))
        rule = make_scheduler(trial.scheduler, trial.fields_of("scheduler"))
        for untaken in (
            unreached(rule, record.budget, record.budget / record.train_examples),
            merged(rule, record.interval, record.budget),
        ):
            if untaken:
                say(console, f"{trial.scheduler}: {untaken}")
        told = held.enter_context(trial_log(log, store, partial(say, console)))
        told.started(trial)

        def heard(interval: IntervalRecord) -> None:
            say(console, interval_line(interval, record.objective, record.sequence_length))
            told.progressed(trial, live.intervals[-1])

        trial = run_and_keep(
            live,
            live.task(record, study.data, options),
            data,
            store,
            device=record.device,
            heard=heard,
            say=partial(say, console),
            scheduler=rule,
        )
        told.ended(trial)
        if trial.status == "complete" and trial.scheduler != BASELINE and not trial.adaptations:
            say(console, unchanged(live.intervals))
        return trial
