"""The stability profile of a network: runs at a fixed batch, which go on where they were cut."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.environment import local_device, versions
from adasearch.errors import InputError
from adasearch.io.progress import StepDisplay, say
from adasearch.profiles.profile import DEPENDS_ON, StabilityProfile, setting_differences
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.quantiles import AFTER_WINDOW
from adasearch.profiles.stability import stability_figures
from adasearch.records import IntervalRecord, Signals, StudyRecord, TrialRecord
from adasearch.runs.execute import run_and_keep, with_threads
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.profile_run import ProfileRun
from adasearch.runtime import RunOptions
from adasearch.signal_sets import MEAN_GRADIENT, MOMENTS, PER_STEP
from adasearch.store.store import Store
from adasearch.store.trials import PROFILES, begin_trial
from adasearch.studies.wanted import study_name

if TYPE_CHECKING:
    from adasearch.spaces.space import Space
    from adasearch.studies.request import ResolvedStudy
    from adasearch.tasks.base import Data

__all__ = ["SEEDS", "fitting", "histories_of", "longest_window", "stability_profile", "with_profile"]

SEEDS = 3
OBSERVED = PER_STEP | MEAN_GRADIENT | MOMENTS


def longest_window(space: "Space") -> int:
    """Return the longest window that a space of DEBA's has, in intervals."""
    return max(int(end) for end in space.ends("window"))


def fitting(run: ProfileRun, intervals: int) -> tuple[StabilityProfile | None, dict[str, list[str]]]:
    """Return the longest stored profile that fits, and why each other one of the network does not."""
    record, setting = run.study.record, run.setting
    fits, misfits = [], {}
    for stored in ProfileStore(run.store.name).stability():
        if stored.setting.network != setting.network:
            continue
        why = setting_differences(stored.setting, setting)
        pairs = [(name, getattr(stored, name), getattr(record, name)) for name in ("subset", "interval")]
        pairs += [(name, stored.params.get(name), value) for name, value in run.params.items()]
        why += [f"{name} {old}, not {new}" for name, old, new in pairs if old != new]
        if stored.intervals < intervals:
            why.append(f"{stored.intervals} intervals, not {intervals}")
        if why:
            misfits[stored.profile] = why
        else:
            fits.append(stored)
    return max(fits, key=lambda each: each.intervals, default=None), misfits


def stability_profile(run: ProfileRun, intervals: int, seeds: int) -> StabilityProfile:
    """Run what is missing of the profile, and keep the figures of all its runs."""
    store, params = run.store, run.params
    record = replace(
        run.study.record,
        study=_name(run, intervals),
        scheduler="constant",
        budget=intervals * run.study.record.interval,
        stopper="none",
    )
    stored = {trial.number: trial for trial in store.trials(PROFILES) if trial.study == record.study}
    seeds = max(seeds, len(stored))
    kept = store.intervals(PROFILES, [trial.trial_id for trial in stored.values()])
    data = None
    runs: list[tuple[TrialRecord, Sequence[IntervalRecord]]] = []
    for number in range(seeds):
        trial = stored.get(number)
        if trial is None:
            trial = begin_trial(
                record,
                phase="profile",
                number=number,
                params=params,
                seed=record.seed + number,
                versions=versions(),
            )
            store.write_train_study(trial, record)
            store.write_trial(trial)
        live = LiveTrial(trial, store, intervals=kept.get(trial.trial_id, []))
        if not _over(trial):
            data = data or run.data()
            _train(run, live, record, data, done=number * intervals, total=seeds * intervals)
        runs.append((live.record, live.intervals))
    failed = [trial for trial, _ in runs if trial.status != "complete"]
    for trial in failed:
        run.say(f"{trial.trial_id} failed, so the profile predicts nothing: {trial.error}")
    histories = [[row.signals for row in rows] for _, rows in runs]
    found = StabilityProfile(
        profile=record.study,
        setting=run.setting,
        subset=record.subset,
        seed=record.seed,
        train_examples=record.train_examples,
        interval=record.interval,
        intervals=intervals,
        batch_size=int(params["train/batch_size"]),
        params=params,
        figures=() if failed else stability_figures(histories),
        seeds=seeds,
        diverged=len(failed),
        created_at=datetime.now(timezone.utc),
    )
    store.locks.check()
    ProfileStore(store.name).write(found)
    return found


def _train(
    run: ProfileRun, live: LiveTrial, record: StudyRecord, data: "Data | None", *, done: int, total: int
) -> None:
    """Train a run of the profile to its end; ``done`` intervals of ``total`` lie before it."""
    from adasearch.runs.speed import FixedBatch

    what = f"{record.architecture}: runs at batch {run.params['train/batch_size']}"
    run.progress(what, done, total)
    run_and_keep(
        live,
        live.task(record, run.study.data, run.options),
        data,
        run.store,
        device=record.device,
        heard=lambda interval: run.progress(what, done + interval.signals.interval + 1, total),
        say=run.say,
        scheduler=FixedBatch(OBSERVED),
    )


def _over(trial: TrialRecord) -> bool:
    """Tell whether a run is not to be done again: a crash is, a divergence would come again."""
    return trial.status == "complete" or trial.cause == "diverged"


def _name(run: ProfileRun, intervals: int) -> str:
    """Return a name that only the same runs on the same device have."""
    record, setting = run.study.record, asdict(run.setting)
    setting["versions"] = {name: run.setting.versions.get(name) for name in DEPENDS_ON}
    spans = [record.subset, record.seed, record.train_examples, record.interval, intervals]
    whole = json.dumps([setting, spans, dict(sorted(run.params.items()))], sort_keys=True, default=str)
    digest = hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()
    return f"{study_name(record.architecture, record.scale, 'fixed', record.dataset)}-{digest}"


def with_profile(
    study: "ResolvedStudy", store: Store, console: Console, *, threads: int, options: RunOptions
) -> "ResolvedStudy":
    """Return a study with the stability profile that its quantiles are of; it is taken if there is none.

    A study without quantiles, or that has its profile, is returned as it is.

    Raises:
        InputError: the profile diverged, and predicts nothing.
    """
    if not study.scheduler_space.quantiles() or study.record.stability_profile is not None:
        return study
    # A profile is taken in this process: with one worker, on the device that is here.
    alone = replace(study, record=replace(study.record, workers=1, device=local_device()))
    tell = partial(say, console)
    with StepDisplay(console) as progress:
        run = ProfileRun(
            study=alone, store=store, say=tell, progress=progress, options=options, threads=threads
        )
        needed = longest_window(study.scheduler_space) + AFTER_WINDOW
        found, misfits = fitting(run, needed)
        if found is None:
            for name, why in misfits.items():
                tell(f"profile {name} is not used: {'; '.join(why)}")
            tell(
                f"{study.record.study}: thresholds given as quantiles need a stability profile, which comes "
                f"first: {SEEDS} runs of {needed} intervals at a fixed batch"
            )
            with store.locks.hold(PROFILES), with_threads(threads):
                found = stability_profile(run, needed, SEEDS)
    if study.record.workers > 1:
        tell(f"profile {found.profile} was taken with 1 worker, not {study.record.workers}")
    if found.diverged:
        raise InputError(
            f"profile {found.profile} predicts nothing, since {found.diverged} of its {found.seeds} runs "
            "diverged; give thresholds as float: [low, high], or a lower --set train/lr"
        )
    return replace(study, record=replace(study.record, stability_profile=found.profile))


def histories_of(store: Store, profile: str) -> list[list[Signals]]:
    """Return the signals of every complete run of a stability profile, by seed.

    Raises:
        InputError: it is not in the store.
    """
    runs = [
        trial.trial_id
        for trial in store.trials(PROFILES)
        if (trial.study, trial.status) == (profile, "complete")
    ]
    if not runs:
        raise InputError(f"stability profile {profile} has no runs in {store.name}/{PROFILES}")
    intervals = store.intervals(PROFILES, runs)
    return [[record.signals for record in intervals.get(run, [])] for run in runs]
