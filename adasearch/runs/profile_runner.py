"""Takes the profiles of one network: runs at a fixed batch, and step times against the batch size."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.environment import local_device
from adasearch.errors import InputError
from adasearch.io.progress import StepDisplay, say
from adasearch.profiles.quantiles import AFTER_WINDOW
from adasearch.records import Signals
from adasearch.runs.execute import with_threads
from adasearch.runtime import RunOptions
from adasearch.signal_sets import MEAN_GRADIENT, MOMENTS, PER_STEP
from adasearch.store.store import Store

if TYPE_CHECKING:
    from adasearch.spaces.space import Space
    from adasearch.studies.request import ResolvedStudy

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from adasearch.io.text import slug
from adasearch.profiles.profile import (
    DEPENDS_ON,
    Setting,
    SpeedPoint,
    SpeedProfile,
    StabilityProfile,
    here,
    setting_differences,
)
from adasearch.profiles.profile_store import ProfileStore
from adasearch.profiles.stability import stability_figures
from adasearch.records import IntervalRecord, Params, StudyRecord, TrialRecord
from adasearch.runs.execute import run_and_keep
from adasearch.runs.live_trial import LiveTrial
from adasearch.store.trials import begin_trial
from adasearch.studies.naming import study_name

if TYPE_CHECKING:
    from adasearch.callbacks import Say
    from adasearch.data.splits import Dataset
    from adasearch.studies.request import ResolvedStudy

__all__ = ["FOLDER", "SEEDS", "Taker", "histories_of", "longest_window", "with_profile"]

FOLDER = "profiles"
"""Of the results, with the runs of profiles."""

OBSERVED = PER_STEP | MEAN_GRADIENT | MOMENTS
POINT_SECONDS = 5.0  # that one batch size of a speed profile takes at most, its measuring as much again


class Taker:
    """Takes the profiles of one network on its data."""

    def __init__(
        self,
        study: "ResolvedStudy",
        store: Store,
        say: "Say",
        progress: StepDisplay,
        options: RunOptions,
        *,
        threads: int,
    ) -> None:
        self._study, self._store = study, store
        self._say, self._progress, self._options = say, progress, options
        self._profiles = ProfileStore(store.name)
        self._setting = here(study.record, threads)
        self._params: Params = {**study.train_space.fixed(), **study.train_space.first()}

    def _data(self) -> "Dataset":
        from adasearch.data.load import load_dataset

        return load_dataset(self._study.data, progress=self._progress)

    # --- stability ---------------------------------------------------------------------------------

    def fitting(self, intervals: int) -> tuple[StabilityProfile | None, dict[str, list[str]]]:
        """Return the longest stored profile that fits, and why each other one of the network does not."""
        record, misfits = self._study.record, {}
        fits = []
        for stored in self._profiles.stability():
            if stored.setting.network != self._setting.network:
                continue
            why = setting_differences(stored.setting, self._setting)
            pairs = [(name, getattr(stored, name), getattr(record, name)) for name in ("subset", "interval")]
            pairs += [(name, stored.params.get(name), value) for name, value in self._params.items()]
            why += [f"{name} {old}, not {new}" for name, old, new in pairs if old != new]
            if stored.intervals < intervals:
                why.append(f"{stored.intervals} intervals, not {intervals}")
            if why:
                misfits[stored.profile] = why
            else:
                fits.append(stored)
        return max(fits, key=lambda each: each.intervals, default=None), misfits

    def stability(self, intervals: int, seeds: int) -> StabilityProfile:
        """Run what is missing of the profile, and keep the figures of all its runs."""
        from adasearch.environment import versions

        record = replace(
            self._study.record,
            study=self._name(intervals),
            scheduler="constant",
            budget=intervals * self._study.record.interval,
            stopper="none",
        )
        stored = {trial.number: trial for trial in self._store.trials(FOLDER) if trial.study == record.study}
        seeds = max(seeds, len(stored))
        kept = self._store.intervals(FOLDER) if stored else {}
        data = None
        runs: list[tuple[TrialRecord, list[IntervalRecord]]] = []
        for number in range(seeds):
            trial = stored.get(number)
            if trial is None:
                trial = begin_trial(
                    record,
                    phase="profile",
                    number=number,
                    params=self._params,
                    seed=record.seed + number,
                    versions=versions(),
                )
                self._store.write_train_study(trial, record)
                self._store.write_trial(trial)
            rows = kept.get(trial.trial_id, [])
            if not _over(trial):
                data = data or self._data()
                trial, rows = self._run(
                    trial, record, rows, data, done=number * intervals, total=seeds * intervals
                )
            runs.append((trial, rows))
        failed = [trial for trial, _ in runs if trial.status != "complete"]
        for trial in failed:
            self._say(f"{trial.trial_id} failed, so the profile predicts nothing: {trial.error}")
        histories = [[row.signals for row in rows] for _, rows in runs]
        found = StabilityProfile(
            profile=record.study,
            setting=self._setting,
            subset=record.subset,
            seed=record.seed,
            train_examples=record.train_examples,
            interval=record.interval,
            intervals=intervals,
            batch_size=int(self._params["train/batch_size"]),
            params=self._params,
            figures=() if failed else stability_figures(histories),
            seeds=seeds,
            diverged=len(failed),
            created_at=datetime.now(timezone.utc),
        )
        self._store.locks.check()
        self._profiles.write(found)
        return found

    def _run(
        self,
        trial: TrialRecord,
        record: StudyRecord,
        rows: list[IntervalRecord],
        data: "Dataset",
        *,
        done: int,
        total: int,
    ) -> tuple[TrialRecord, list[IntervalRecord]]:
        from adasearch.runs.speed import FixedBatch

        what = f"{record.architecture}: runs at batch {self._params['train/batch_size']}"

        def heard(interval: IntervalRecord) -> None:
            self._progress(what, done + interval.signals.interval + 1, total)

        self._progress(what, done, total)
        live = LiveTrial(trial, self._store, intervals=rows)
        closed = run_and_keep(
            live,
            live.task(record, self._study.data, self._options),
            data,
            self._store,
            device=record.device,
            heard=heard,
            say=self._say,
            scheduler=FixedBatch(OBSERVED),
        )
        return closed, live.intervals

    def _name(self, intervals: int) -> str:
        """Return a name that only the same runs on the same device have."""
        record, setting = self._study.record, asdict(self._setting)
        setting["versions"] = {name: self._setting.versions.get(name) for name in DEPENDS_ON}
        spans = [record.subset, record.seed, record.train_examples, record.interval, intervals]
        whole = json.dumps([setting, spans, dict(sorted(self._params.items()))], sort_keys=True, default=str)
        digest = hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()
        return f"{study_name(record.architecture, record.scale, 'fixed', record.dataset)}-{digest}"

    # --- speed -------------------------------------------------------------------------------------

    def speed(self, name: str | None) -> SpeedProfile:
        """Return the stored speed profile of this name, or measure it."""
        name = name or _default_name(self._setting)
        for stored in self._profiles.speed():
            same = stored.setting.network == self._setting.network
            if stored.profile == name and same and stored.setting.dataset == self._setting.dataset:
                why = setting_differences(stored.setting, self._setting)
                if why:
                    raise InputError(
                        f"profile {name} of {self._setting.architecture} is there already, with "
                        f"{'; '.join(why)}; give another --device-profile NAME"
                    )
                self._say(f"speed profile {name} of {self._setting.architecture} is there already")
                return stored
        found = SpeedProfile(
            profile=name,
            setting=self._setting,
            points=tuple(self._points()),
            created_at=datetime.now(timezone.utc),
        )
        self._store.locks.check()
        self._profiles.write(found)
        return found

    def _points(self) -> Iterator[SpeedPoint]:
        import torch

        from adasearch.runs.speed import ladder, measure_point
        from adasearch.training.config import TrainConfig
        from adasearch.training.memory import default_limit

        record = self._study.record
        trial = begin_trial(
            record, phase="profile", number=0, params=self._params, seed=record.seed, versions={}
        )
        config = replace(
            TrainConfig.of(record, trial),
            device_batch=self._options.device_batch,
            memory_limit=self._options.memory_limit or default_limit(),
        )
        data = self._data().to(torch.device(record.device))
        sizes = ladder(record.limits)
        what = f"{record.architecture}: batch sizes timed"
        for done, size in enumerate(sizes):
            try:
                yield measure_point(
                    config,
                    size,
                    data,
                    record.device,
                    most_seconds=POINT_SECONDS,
                    heard=lambda done=done: self._progress(what, done, len(sizes)),  # type: ignore[misc]
                )
            except torch.OutOfMemoryError as error:
                if not done:
                    raise InputError(f"no batch size fits into memory: {error}") from error
                self._say(f"batch {size} and above do not fit into memory and are left out")
                return
        self._progress(what, len(sizes), len(sizes))


def _over(trial: TrialRecord) -> bool:
    """Tell whether a run is not to be done again: a crash is, a divergence would come again."""
    return trial.status == "complete" or trial.cause == "diverged"


def _default_name(setting: Setting) -> str:
    """Return the device's name as a slug, on a CPU with the number of threads.

    >>> from adasearch.profiles.profile import Setting
    >>> s = Setting(architecture="a", scale="nano", dataset="digits", fingerprint="", precision="float32",
    ...     compile=False, per_example=False, workers=1, threads=1, device="cpu", device_name="AMD EPYC (x)",
    ...     driver=None)
    >>> _default_name(s)
    'amd-epyc-x-1-thread'
    """
    name = slug(setting.device_name).lower()
    count = setting.threads
    return name if setting.device != "cpu" else f"{name}-{count}-thread{'s' if count > 1 else ''}"


SEEDS = 3


def longest_window(space: "Space") -> int:
    """Return the longest window that a space of DEBA's has, in intervals."""
    return max(int(end) for end in space.ends("window"))


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
        taker = Taker(alone, store, tell, progress, options, threads=threads)
        needed = longest_window(study.scheduler_space) + AFTER_WINDOW
        found, misfits = taker.fitting(needed)
        if found is None:
            for name, why in misfits.items():
                tell(f"profile {name} is not used: {'; '.join(why)}")
            tell(
                f"{study.record.study}: thresholds given as quantiles need a stability profile, which comes "
                f"first: {SEEDS} runs of {needed} intervals at a fixed batch"
            )
            with store.locks.hold(FOLDER), with_threads(threads):
                found = taker.stability(needed, SEEDS)
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
    trials = [trial for trial in store.trials(FOLDER) if trial.study == profile]
    intervals = store.intervals(FOLDER)
    found = [
        [record.signals for record in intervals.get(trial.trial_id, [])]
        for trial in trials
        if trial.status == "complete"
    ]
    if not found:
        raise InputError(f"stability profile {profile} has no runs in {store.name}/{FOLDER}")
    return found
