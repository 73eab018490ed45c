"""``adasearch train``: one run without Ray, kept in ``<results>/train/``."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.environment import device_name, local_device
from adasearch.errors import InputError
from adasearch.io.progress import StepDisplay, say
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.quantiles import thresholds
from adasearch.records import IntervalRecord, Params, StudyRecord, TrialRecord
from adasearch.runs.execute import interval_line, run_and_keep
from adasearch.runs.live_trial import LiveTrial
from adasearch.runtime import RunOptions
from adasearch.schedulers.registry import BASELINE
from adasearch.store.locks import StudyLocked
from adasearch.store.store import Store
from adasearch.store.trials import begin_trial
from adasearch.studies.identity import check_device

if TYPE_CHECKING:
    from adasearch.studies.request import Request

__all__ = ["train", "train_once"]


def train(
    request: "Request", *, results: str, console: Console, options: RunOptions | None = None
) -> TrialRecord:
    """Train one run without Ray, its fields at their defaults or as fixed; keep it in ``<results>/train/``.

    The batch size is constant unless the request names a scheduler. The same run, if it was interrupted, goes
    on from its last checkpoint.

    Raises:
        InputError: bad input; nothing was written.
    """
    import torch

    from adasearch.data.load import load_dataset
    from adasearch.profiles.clock import curve_of
    from adasearch.runs.profile_runner import histories_of, with_profile
    from adasearch.studies.resolve import nothing_stored, resolve

    if not request.architectures:
        raise InputError("give --architecture NAME (see 'list architectures') or --schedule FILE")
    options = options or RunOptions()
    options.check()
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
            ),
            nothing_stored,
            partial(say, console),
            progress,
            speeds,
        )
        check_device(study.record)
        data = load_dataset(study.data, progress=progress)
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
    with ExitStack() as held:
        trial, intervals = _begin_or_go_on(store, record, params, held)
        if intervals:
            say(console, f"{trial.trial_id} goes on after {intervals[-1].signals.epoch:.2f} epochs")
        live = LiveTrial(trial, store, intervals=intervals, curve=curve_of(store, record))
        return run_and_keep(
            live,
            live.task(record, study.data, options),
            data,
            store,
            device=record.device,
            heard=lambda interval: say(console, interval_line(interval)),
            say=partial(say, console),
        )


train_once = train


def _begin_or_go_on(
    store: Store, study: StudyRecord, params: Params, held: ExitStack
) -> tuple[TrialRecord, list[IntervalRecord]]:
    """Return the interrupted trial of this very run with its intervals, or a new one; hold its lock."""
    import torch

    from adasearch.environment import versions
    from adasearch.studies.identity import same_study

    with store.locks.hold("train", wait_seconds=10):  # two runs at a time must not take one number
        former = [
            trial for trial in store.trials("train") if (trial.study, trial.phase) == (study.study, "train")
        ]
        for trial in former:
            stored = store.train_study(trial)
            same = stored is not None and same_study(stored, study)
            same = same and {**params, **trial.params} == dict(params)  # a field may be of a later version
            if trial.status == "running" and same:
                try:
                    held.enter_context(store.locks.hold(_lock(trial)))
                except StudyLocked:
                    continue
                return trial, store.intervals("train").get(trial.trial_id, [])
        number = 1 + max((trial.number for trial in former), default=-1)
        trial = begin_trial(
            study,
            phase="train",
            number=number,
            params=params,
            seed=study.seed,
            versions=versions(torch.get_num_threads(), device_name(study.device)),
            workers=1,
        )
        held.enter_context(store.locks.hold(_lock(trial)))
        store.write_train_study(trial, study)
        store.write_trial(trial)
        return trial, []


def _lock(trial: TrialRecord) -> str:
    return f"train/checkpoints/{trial.trial_id}"
