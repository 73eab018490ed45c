"""Which clock a study is judged by, and which speed profile its modelled seconds come from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from adasearch.errors import InputError, unknown
from adasearch.profiles.modelled_time import SpeedCurve, modelled_run, modelled_trial
from adasearch.profiles.profile import Setting, SpeedProfile, setting_differences
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import SECONDS, IntervalRecord, StudyRecord, TrialRecord
from adasearch.store.store import Store

if TYPE_CHECKING:
    from adasearch.callbacks import Say

__all__ = ["curve_of", "intervals_of", "judged", "profile_of", "remodelled", "with_clock"]


def profile_of(study: StudyRecord, name: str, profiles: Sequence[SpeedProfile]) -> SpeedProfile | None:
    """Return the profile of a name that is of a study's network and images, or None."""
    network = (study.architecture, study.scale)
    return next(
        (
            each
            for each in profiles
            if each.profile == name
            and each.setting.network == network
            and each.setting.fingerprint == study.fingerprint
        ),
        None,
    )


def curve_of(store: Store, study: StudyRecord) -> SpeedCurve | None:
    """Return what a study's modelled seconds come from; None if it has no speed profile, or that is gone."""
    if study.device_profile is None:
        return None
    profiles, name = ProfileStore(store.name), study.device_profile
    named = profiles.speed_of(name, (study.architecture, study.scale))
    found = profile_of(study, name, named) or profile_of(study, name, profiles.speed())
    return None if found is None else found.curve


def intervals_of(
    store: Store, study: StudyRecord, trials: Collection[str] | None = None
) -> Mapping[str, list[IntervalRecord]]:
    """Return the intervals of a study's trials (default: all), with the modelled seconds of its profile.

    That is the profile of the record, which :func:`judged` may have changed; the stored seconds stay where
    the study is not judged by modelled time, or the profile is gone.
    """
    found = store.intervals(study.study, trials)
    curve = curve_of(store, study) if study.clock == "modelled" else None
    return found if curve is None else {name: modelled_run(each, curve) for name, each in found.items()}


def with_clock(
    study: StudyRecord,
    former: StudyRecord | None,
    here: Setting,
    profiles: Sequence[SpeedProfile],
    *,
    clock: str | None,
    device_profile: str | None,
    say: "Say",
) -> StudyRecord:
    """Return a study with its clock and speed profile.

    What the user gave counts first, then the stored study (``former``, or the baseline's). A study that
    starts takes modelled seconds where a profile fits this network, its images and this device, else measured
    ones; a profile that differs is not taken, and ``say`` hears in what. A profile of another device that the
    user named is taken, and the differences are told.

    Raises:
        InputError: no profile of that name, or none for the modelled clock.
    """
    if former is not None:
        same = former.device_profile if device_profile is None else device_profile
        name, clock = same, clock or (former.clock if device_profile is None else "modelled")
    else:
        name = device_profile
    network = f"{study.architecture} ({study.scale}) on {study.dataset}"
    how = f"adasearch profile --architecture {study.architecture} --scale {study.scale} --kind speed"
    if name is not None:
        found = profile_of(study, name, profiles)
        if found is None and clock == "measured" and device_profile is None:
            say(f"{study.study}: its speed profile {name} is gone, so there are no modelled seconds")
        elif found is None:
            names = {each.profile for each in profiles}
            if name not in names:
                raise unknown("device profile", name, names)
            raise InputError(f"device profile {name} has none of {network}; '{how}' takes one")
        why = setting_differences(found.setting, here) if found else []
        if why and device_profile is not None:
            say(f"{study.architecture}: modelled seconds are those of {name}: {'; '.join(why)}")
        clock = clock or "modelled"
    elif former is None or clock == "modelled":
        fitting = [each for each in profiles if not setting_differences(each.setting, here)]
        if fitting:
            newest = max(fitting, key=lambda each: each.created_at)
            name, clock = newest.profile, clock or "modelled"
            say(f"{study.architecture}: speed profile {name}, {clock} clock")
        else:
            for each in profiles:
                if each.setting.network == here.network:
                    reasons = "; ".join(setting_differences(each.setting, here))
                    say(f"speed profile {each.profile} of {study.architecture} is not used: {reasons}")
            if clock == "modelled":
                raise InputError(
                    f"--clock modelled needs a speed profile of {network} here; '{how}' takes one"
                )
    clock = clock or "measured"
    return replace(study, clock=clock, device_profile=name, objectives=f"val_error,{SECONDS[clock]}")


def judged(
    store: Store, studies: Sequence[StudyRecord], *, clock: str | None, device_profile: str | None
) -> list[StudyRecord]:
    """Return studies by another clock, or in the time of another device.

    None leaves each study its own clock. :func:`remodelled` gives trials the seconds of another device.

    Raises:
        InputError: there is no profile of that name, or it holds none of these networks.
    """
    clock = clock or (None if device_profile is None else "modelled")
    if clock is None:
        return list(studies)
    if clock == "measured" or device_profile is None:
        return [replace(study, clock=clock) for study in studies]
    profiles = ProfileStore(store.name).speed()
    names = {each.profile for each in profiles}
    if device_profile not in names:
        raise unknown("device profile", device_profile, names)
    if studies and not any(profile_of(study, device_profile, profiles) for study in studies):
        raise InputError(f"device profile {device_profile} holds none of these networks on these images")
    return [replace(study, clock=clock, device_profile=device_profile) for study in studies]


def remodelled(store: Store, study: StudyRecord, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return trials of a study with the modelled seconds of its record's profile.

    They are computed from the stored intervals alone; where the profile does not hold the network there are
    none.
    """
    curve = curve_of(store, study)
    intervals = store.intervals(study.study, [trial.trial_id for trial in trials])
    return [modelled_trial(trial, intervals.get(trial.trial_id, ()), curve) for trial in trials]
