"""The speed profile of a network: how long a step takes against the batch size, on this device."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from adasearch import counts
from adasearch.errors import InputError, few
from adasearch.profiles.profile import Setting, SpeedPoint, SpeedProfile, default_name, setting_differences
from adasearch.profiles.profile_store import ProfileStore
from adasearch.runs.live_trial import LiveTrial
from adasearch.runs.profile_run import ProfileRun
from adasearch.store.trials import begin_trial

__all__ = ["speed_profile"]

POINT_SECONDS = 5.0  # that one batch size takes at most, its measuring as much again


def speed_profile(run: ProfileRun, name: str | None) -> SpeedProfile:
    """Return the stored speed profile of this name, or measure it; None names it after the device.

    Of a stored one, sizes that are wished for outside those that were timed are timed now.

    Raises:
        InputError: one of this name was taken under other circumstances, or no batch size fits into memory.
    """
    from adasearch.runs.speed import ladder

    setting, profiles = run.setting, ProfileStore(run.store.name)
    name = name or default_name(setting)
    stored = _stored(profiles, name, setting)
    sizes = ladder(run.study.record.limits)
    if stored is not None:
        timed = stored.curve.sizes
        sizes = [size for size in sizes if not timed[0] <= size <= timed[-1]]
        low, high, *new = (
            counts.size(each, setting.sequence_length) for each in (timed[0], timed[-1], *sizes)
        )
        more = f", from {low} to {high}; {few(new)} are timed as well" if new else ""
        run.say(f"speed profile {name} of {setting.architecture} is there already{more}")
    former = () if stored is None else stored.points
    try:
        points = (*former, *_points(run, sizes))
    except KeyboardInterrupt:
        run.say("a speed profile is kept once it is whole: what was timed now is timed again")
        raise
    if not points:
        raise InputError("no batch size fits into memory")
    if stored is not None and len(points) == len(former):
        return stored
    found = SpeedProfile(
        profile=name,
        setting=setting,
        points=tuple(sorted(points, key=lambda point: point.batch_size)),
        created_at=datetime.now(timezone.utc),
    )
    run.store.locks.check()
    profiles.write(found)
    return found


def _stored(profiles: ProfileStore, name: str, setting: Setting) -> SpeedProfile | None:
    """Return the stored profile of a name, network and data set, which must be of the same circumstances."""
    for stored in profiles.speed():
        same = stored.setting.network == setting.network
        if stored.profile == name and same and stored.setting.dataset == setting.dataset:
            why = setting_differences(stored.setting, setting)
            if why:
                raise InputError(
                    f"profile {name} of {setting.architecture} is there already, with "
                    f"{'; '.join(why)}; give another --device-profile NAME"
                )
            return stored
    return None


def _points(run: ProfileRun, sizes: Sequence[int]) -> Iterator[SpeedPoint]:
    if not sizes:
        return
    import torch

    from adasearch.runs.speed import measure_point
    from adasearch.tasks.base import Data
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
    data: Data | TrialTask
    if loaded is None:
        options = replace(run.options, checkpoint_every=0)
        data = LiveTrial(trial, run.store).task(record, run.study.data, options)
    else:
        data = loaded.to(torch.device(record.device))
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
        except torch.OutOfMemoryError:
            batch = counts.told(size, record.sequence_length)
            run.say(f"batch {batch} and above do not fit into memory and are left out")
            return
    run.progress(what, len(sizes), len(sizes))
