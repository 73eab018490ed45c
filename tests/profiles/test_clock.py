"""Which clock a study gets, and what profile; other clocks for stored trials."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adasearch.analysis.compare import compare
from adasearch.analysis.gather import Scope, select
from adasearch.choices import Clock
from adasearch.errors import InputError
from adasearch.profiles.clock import (
    StatedClock,
    check_clock,
    choose_clock,
    clock_notes,
    newest_fitting,
    with_clock,
)
from adasearch.profiles.profile import SpeedProfile, here
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import StudyRecord
from adasearch.store import Store
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
from tests.profile_rows import speed_of
from tests.rows import STUDY, interval_at, study_of, trial_of

HERE = here(STUDY, 1)


def clocked(
    profiles: list[SpeedProfile],
    former: StudyRecord | None = None,
    clock: str | None = None,
    device_profile: str | None = None,
) -> tuple[str, str | None, str, list[str]]:
    """Clock, profile and objectives of a study, and what was said."""
    choice = choose_clock(
        StatedClock(clock=clock, profile=device_profile),
        StatedClock(clock=former.clock, profile=former.device_profile) if former else None,
        newest_fitting(HERE, profiles),
    )
    check_clock(STUDY, choice, profiles)
    found = with_clock(STUDY, choice)
    said = clock_notes(STUDY, choice, HERE, profiles)
    return found.clock, found.device_profile, found.objectives, said


NEW, MEASURED, MODELLED = None, StatedClock(clock="measured"), StatedClock(clock="modelled", profile="old")
KEPT = StatedClock(clock="measured", profile="old")


@pytest.mark.parametrize(
    ("given", "stored", "fitting", "clock", "profile", "origin"),
    [
        # what the user gave
        ((None, "h100"), NEW, "here", "modelled", "h100", "given"),
        (("measured", "h100"), NEW, "here", "measured", "h100", "given"),
        ((None, "h100"), MODELLED, "here", "modelled", "h100", "given"),
        ((None, "h100"), MEASURED, None, "modelled", "h100", "given"),
        # a stored study keeps its own
        ((None, None), MEASURED, "here", "measured", None, "stored"),
        ((None, None), MODELLED, "here", "modelled", "old", "stored"),
        ((None, None), KEPT, "here", "measured", "old", "stored"),
        (("measured", None), MODELLED, "here", "measured", "old", "stored"),
        (("modelled", None), KEPT, None, "modelled", "old", "stored"),
        # a study that starts, or is to be judged by modelled time for the first time
        ((None, None), NEW, "here", "modelled", "here", "fitting"),
        (("measured", None), NEW, "here", "measured", "here", "fitting"),
        (("modelled", None), MEASURED, "here", "modelled", "here", "fitting"),
        ((None, None), NEW, None, "measured", None, "none"),
        (("measured", None), NEW, None, "measured", None, "none"),
        (("modelled", None), NEW, None, "modelled", None, "none"),
        (("modelled", None), MEASURED, None, "modelled", None, "none"),
    ],
)
def test_clock_follows_from_what_is_given_what_is_stored_and_what_fits(
    given: tuple[str | None, str | None],
    stored: StatedClock | None,
    fitting: str | None,
    clock: str,
    profile: str | None,
    origin: str,
) -> None:
    choice = choose_clock(StatedClock(clock=given[0], profile=given[1]), stored, fitting)
    assert (choice.clock, choice.profile, choice.origin) == (clock, profile, origin)


def test_study_that_starts_is_judged_by_modelled_time_where_a_profile_fits() -> None:
    assert clocked([speed_of(STUDY)])[:3] == ("modelled", "abacus", "val_error,modelled_seconds")
    assert clocked([])[:3] == ("measured", None, "val_error,train_seconds")
    assert clocked([speed_of(STUDY)], clock="measured")[:3] == (
        "measured",
        "abacus",
        "val_error,train_seconds",
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"device_name": "Colossus"}, "device Colossus, not "),
        ({"fingerprint": "beef"}, "other images under the name digits"),
        ({"workers": 2}, "workers 2, not 1"),
        ({"versions": {"torch": "1.0"}}, "torch 1.0, not None"),
    ],
)
def test_profile_that_differs_is_not_used_and_the_difference_is_named(
    changes: dict[str, object], says: str
) -> None:
    profiles = [speed_of(STUDY, **changes)]  # type: ignore[arg-type]
    clock, name, _, said = clocked(profiles)
    assert (clock, name) == ("measured", None)
    (line,) = said
    assert line.startswith("speed profile abacus of resnet18 is not used: ")
    assert says in line
    with pytest.raises(InputError, match=r"--clock modelled needs a speed profile of resnet18 .* takes one"):
        clocked(profiles, clock="modelled")


def test_named_profile_of_another_device_is_used_and_told() -> None:
    profiles = [speed_of(STUDY), speed_of(STUDY, "h100", device_name="H100")]
    clock, name, _, said = clocked(profiles, device_profile="h100")
    assert (clock, name) == ("modelled", "h100")
    assert said[0].startswith("resnet18: modelled seconds are those of h100: device H100, not ")
    assert clocked(profiles, device_profile="h100", clock="measured")[:2] == ("measured", "h100")


def test_named_profile_must_be_of_this_network_and_these_images() -> None:
    with pytest.raises(InputError, match="unknown device profile 'h1000'; did you mean 'h100'"):
        clocked([speed_of(STUDY, "h100")], device_profile="h1000")
    for changes in ({"architecture": "vit_b_16"}, {"fingerprint": "beef"}):
        with pytest.raises(
            InputError, match=r"h100 has none of resnet18 \(nano\) on digits; 'adasearch profile"
        ):
            clocked([speed_of(STUDY, "h100", **changes)], device_profile="h100")  # type: ignore[arg-type]


def test_stored_study_keeps_its_clock() -> None:
    profiles = [speed_of(STUDY), speed_of(STUDY, "h100")]
    assert clocked(profiles, former=STUDY)[:2] == ("measured", None)
    modelled = replace(STUDY, clock="modelled", device_profile="h100")
    assert clocked(profiles, former=modelled)[:2] == ("modelled", "h100")
    with pytest.raises(InputError, match="unknown device profile 'h100'"):
        clocked([], former=modelled)
    gone = replace(STUDY, device_profile="h100")
    assert clocked([], former=gone)[:2] == ("measured", "h100")


# --- stored trials by another clock -----------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path) -> Store:
    """Two studies of one trial each, of a measured clock, and two profiles."""
    store = Store(str(tmp_path))
    for study, seconds in ((study_of("constant"), 4.0), (study_of("deba"), 3.0)):
        store.write_study(study)
        trial = trial_of(study, 0, val_error=0.1, seconds=seconds)
        store.write_intervals(trial, [interval_at(0), interval_at(1)])
        store.write_trial(trial)
    for name, factor in (("abacus", 1.0), ("h100", 0.01)):
        ProfileStore(str(tmp_path)).write(speed_of(STUDY, name, factor=factor))
    return store


def judge(store: Store, clock: Clock | None, name: str | None) -> list[tuple[str, float | None]]:
    found = select(store, Scope(clock=clock, device_profile=name))
    pairs = zip(found.studies, found.trials, strict=True)
    return [(study.clock, trial.modelled_seconds) for study, trial in pairs]


def test_trials_are_judged_by_any_profile_from_their_stored_rows(results: Store) -> None:
    steps = interval_at(1).signals.step
    assert judge(results, None, None) == [("measured", None)] * 2
    assert judge(results, None, "abacus") == [("modelled", 2.0 * steps)] * 2
    assert dict(judge(results, None, "h100")) == pytest.approx({"modelled": 0.02 * steps})
    assert judge(results, "measured", None) == [("measured", None)] * 2


def test_table_says_which_clock_it_uses(results: Store) -> None:
    assert "by the measured clock" in compare(results)
    assert "by the modelled (h100) clock" in compare(results, Scope(device_profile="h100"))
    with pytest.raises(InputError, match="unknown device profile 'h101'"):
        compare(results, Scope(device_profile="h101"))


def test_profile_of_another_network_judges_nothing(results: Store, tmp_path: Path) -> None:
    ProfileStore(str(tmp_path)).write(speed_of(study_of("deba", "vit_b_16"), "other"))
    with pytest.raises(InputError, match="device profile other holds none of these networks"):
        compare(results, Scope(device_profile="other"))


# --- from flags to studies --------------------------------------------------------------------------

REQUEST = Request(architectures=("tests.own_nets:good",), schedulers=("deba",), subset=160)


def resolved(
    request: Request, stored: Sequence[StudyRecord] = (), profiles: Sequence[SpeedProfile] = ()
) -> list[StudyRecord]:
    known = {study.study: study for study in stored}
    return [each.record for each in resolve(request, known.get, lambda text: None, profiles=profiles)]


def test_baseline_and_scheduler_start_with_the_same_clock_and_keep_it() -> None:
    plain = resolved(REQUEST)
    assert {(study.clock, study.device_profile) for study in plain} == {("measured", None)}
    profile = speed_of(plain[0])
    timed = resolved(REQUEST, profiles=[profile])
    assert {(study.clock, study.device_profile) for study in timed} == {("modelled", "abacus")}
    # Whoever starts by the measured clock stays there, a scheduler that joins the baseline included.
    assert resolved(REQUEST, plain, [profile]) == plain
    assert [study.clock for study in resolved(REQUEST, plain[:1], [profile])] == ["measured"] * 2
    assert resolved(REQUEST, timed, [profile]) == timed


def test_stored_study_is_not_continued_by_another_clock() -> None:
    plain = resolved(REQUEST)
    with pytest.raises(InputError, match="exists with clock=measured but this search has clock=modelled"):
        resolved(replace(REQUEST, clock="modelled"), plain, [speed_of(plain[0])])
    timed = resolved(REQUEST, profiles=[speed_of(plain[0])])
    profiles = [speed_of(plain[0]), speed_of(plain[0], "h100")]
    with pytest.raises(InputError, match=r"exists with device_profile=abacus but this search has .*=h100"):
        resolved(replace(REQUEST, device_profile="h100"), timed, profiles)


def test_stored_study_keeps_its_stability_profile() -> None:
    plain = [replace(study, stability_profile="mine") for study in resolved(REQUEST)]
    assert {study.stability_profile for study in resolved(REQUEST, plain)} == {"mine"}
