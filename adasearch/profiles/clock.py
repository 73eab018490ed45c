"""Which clock a study is judged by, and which speed profile its modelled seconds come from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from adasearch.errors import InputError, unknown
from adasearch.profiles.modelled_time import SpeedCurve, modelled_run, modelled_trial
from adasearch.profiles.profile import Setting, SpeedProfile, profile_command, setting_differences
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import SECONDS, IntervalRecord, StudyRecord, TrialRecord
from adasearch.store.store import Store

__all__ = [
    "ClockChoice",
    "StatedClock",
    "check_clock",
    "choose_clock",
    "clock_notes",
    "curve_of",
    "intervals_of",
    "judged",
    "newest_fitting",
    "profile_of",
    "remodelled",
    "with_clock",
]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedClock:
    """A clock and the name of a speed profile, as far as somebody said them; None is what was left open."""

    clock: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChoice:
    """The clock that a study is judged by.

    Args:
        clock: "measured" or "modelled".
        profile: name of the speed profile that modelled seconds come from; None without one.
        origin: the profile was "given" by the user, is that of the "stored" study (which may have none), is
            the newest "fitting" one, or there is "none" that fits.
    """

    clock: str
    profile: str | None
    origin: Literal["given", "stored", "fitting", "none"]


def choose_clock(given: StatedClock, stored: StatedClock | None, fitting: str | None) -> ClockChoice:
    """Return the clock and the speed profile of a study.

    What the user gave counts first, then the ``stored`` study. A study that starts takes modelled seconds
    where a profile is ``fitting``, else measured ones; so does one that is to be judged by modelled time and
    has no profile so far.

    >>> choose_clock(StatedClock(), None, "abacus")
    ClockChoice(clock='modelled', profile='abacus', origin='fitting')
    """
    if given.profile is not None:
        return ClockChoice(clock=given.clock or "modelled", profile=given.profile, origin="given")
    clock = given.clock or (stored and stored.clock)
    if stored is not None and (stored.profile is not None or clock == "measured"):
        return ClockChoice(clock=clock or "modelled", profile=stored.profile, origin="stored")
    if fitting is not None:
        return ClockChoice(clock=clock or "modelled", profile=fitting, origin="fitting")
    return ClockChoice(clock=clock or "measured", profile=None, origin="none")


def newest_fitting(here: Setting, profiles: Sequence[SpeedProfile]) -> str | None:
    """Return the name of the newest profile of this network, its images and this device; None without one."""
    fitting = [each for each in profiles if not setting_differences(each.setting, here)]
    return max(fitting, key=lambda each: each.created_at).profile if fitting else None


def clock_notes(
    study: StudyRecord, choice: ClockChoice, here: Setting, profiles: Sequence[SpeedProfile]
) -> list[str]:
    """Return what is to be said of a choice: a profile that is taken, and in what one differs."""
    name = choice.profile
    if choice.origin == "fitting":
        return [f"{study.architecture}: speed profile {name}, {choice.clock} clock"]
    if choice.origin == "none":
        own = [each for each in profiles if each.setting.network == here.network]
        return [
            f"speed profile {each.profile} of {study.architecture} is not used: "
            f"{'; '.join(setting_differences(each.setting, here))}"
            for each in own
        ]
    found = None if name is None else profile_of(study, name, profiles)
    if choice.origin == "given" and found is not None and (why := setting_differences(found.setting, here)):
        return [f"{study.architecture}: modelled seconds are those of {name}: {'; '.join(why)}"]
    if choice.origin == "stored" and choice.clock == "measured" and name is not None and found is None:
        return [f"{study.study}: its speed profile {name} is gone, so there are no modelled seconds"]
    return []


def check_clock(
    study: StudyRecord, choice: ClockChoice, profiles: Sequence[SpeedProfile], *, results: str = "results"
) -> None:
    """Refuse a clock without the speed profile that it needs, which a command for ``results`` takes.

    Raises:
        InputError: no profile of that name, or none for the modelled clock.
    """
    own = study.task == "own"
    network = study.architecture if own else f"{study.architecture} ({study.scale}) on {study.dataset}"
    name = choice.profile
    how = profile_command(study, results, kind="speed", device_profile=name)
    if name is None:
        if choice.clock == "modelled":
            raise InputError(f"--clock modelled needs a speed profile of {network} here; '{how}' takes one")
        return
    gone_is_told = (choice.origin, choice.clock) == ("stored", "measured")
    if profile_of(study, name, profiles) is None and not gone_is_told:
        names = {each.profile for each in profiles}
        if name not in names:
            raise unknown("device profile", name, names)
        raise InputError(f"device profile {name} has none of {network}; '{how}' takes one")


def with_clock(study: StudyRecord, choice: ClockChoice) -> StudyRecord:
    """Return a study that is judged by a clock."""
    return replace(
        study,
        clock=choice.clock,
        device_profile=choice.profile,
        objectives=f"val_error,{SECONDS[choice.clock]}",
    )


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
