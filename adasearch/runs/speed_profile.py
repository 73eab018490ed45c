"""The speed profile of a network: how long a step takes against the batch size, on this device."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone

from adasearch.errors import InputError
from adasearch.io.text import slug
from adasearch.profiles.profile import Setting, SpeedPoint, SpeedProfile, setting_differences
from adasearch.profiles.profile_store import ProfileStore
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.profile_run import ProfileRun
from adasearch.store.trials import begin_trial

__all__ = ["speed_profile"]

POINT_SECONDS = 5.0  # that one batch size takes at most, its measuring as much again


def speed_profile(run: ProfileRun, name: str | None) -> SpeedProfile:
    """Return the stored speed profile of this name, or measure it; None names it after the device.

    Raises:
        InputError: one of this name was taken under other circumstances, or no batch size fits into memory.
    """
    setting, profiles = run.setting, ProfileStore(run.store.name)
    name = name or _default_name(setting)
    for stored in profiles.speed():
        same = stored.setting.network == setting.network
        if stored.profile == name and same and stored.setting.dataset == setting.dataset:
            why = setting_differences(stored.setting, setting)
            if why:
                raise InputError(
                    f"profile {name} of {setting.architecture} is there already, with "
                    f"{'; '.join(why)}; give another --device-profile NAME"
                )
            run.say(f"speed profile {name} of {setting.architecture} is there already")
            return stored
    found = SpeedProfile(
        profile=name,
        setting=setting,
        points=tuple(_points(run)),
        created_at=datetime.now(timezone.utc),
    )
    run.store.locks.check()
    profiles.write(found)
    return found


def _points(run: ProfileRun) -> Iterator[SpeedPoint]:
    import torch

    from adasearch.data.splits import Dataset
    from adasearch.runs.speed import ladder, measure_point
    from adasearch.training.config import TrainConfig
    from adasearch.training.memory import default_limit
    from adasearch.training.task import TrialTask

    record = run.study.record
    trial = begin_trial(record, phase="profile", number=0, params=run.params, seed=record.seed, versions={})
    config = replace(
        TrainConfig.of(record, trial),
        device_batch=run.options.device_batch,
        memory_limit=run.options.memory_limit or default_limit(),
    )
    loaded = run.data()
    data: Dataset | TrialTask
    if loaded is None:
        options = replace(run.options, checkpoint_every=0)
        data = LiveTrial(trial, run.store).task(record, run.study.data, options)
    else:
        data = loaded.to(torch.device(record.device))
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
                heard=lambda done=done: run.progress(what, done, len(sizes)),  # type: ignore[misc]
            )
        except torch.OutOfMemoryError as error:
            if not done:
                raise InputError(f"no batch size fits into memory: {error}") from error
            run.say(f"batch {size} and above do not fit into memory and are left out")
            return
    run.progress(what, len(sizes), len(sizes))


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
