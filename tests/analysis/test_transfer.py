"""What carries over from other studies: from which, in which order, and in what form."""

from dataclasses import replace

import pytest

from adasearch.analysis.transfer import Donor, donors_of, nearest_first, point_of
from adasearch.profiles.profile import Figure, StabilityProfile
from adasearch.records import Params, StudyRecord
from adasearch.spaces.space import Space, load_space, parse_space
from tests.profile_rows import stability_of
from tests.rows import study_of, trial_of

TRAIN, QUANTILE = load_space("architectures", "resnet18"), load_space("schedulers", "deba_quantile")
FIRST = {**TRAIN.first(), **QUANTILE.first()}


def donor(architecture: str = "alexnet", **params: object) -> Donor:
    """A study of another network whose best trial had ``params`` (with __ for the slash)."""
    space = load_space("architectures", architecture)
    study = replace(study_of("deba", architecture), train_space=space.complete().to_json())
    named: Params = {name.replace("__", "/"): value for name, value in params.items()}  # type: ignore[misc]
    return Donor(study=study, params=named)


def profile(architecture: str, score: float, noise: float = 100.0) -> StabilityProfile:
    figures = (
        Figure("stability_score", None, score, None, None),
        Figure("noise_scale", None, noise, None, None),
        Figure("noise_scale", 3.0, 7.0, None, None),
    )
    return replace(stability_of(study_of("deba", architecture)), figures=figures)


# --- from whom --------------------------------------------------------------------------------------


def test_donors_are_other_networks_or_other_images_under_the_same_scheduler() -> None:
    own = study_of("deba")
    elsewhere = replace(own, study="resnet18-nano-deba-photos", fingerprint="beef")
    studies: list[StudyRecord] = [
        own,
        elsewhere,
        study_of("deba", "alexnet"),
        study_of("adabatch", "vgg11"),
        study_of("deba", "vgg11"),
    ]
    trials = [
        trial_of(study, 0, val_error=0.2, seconds=9.0, params={"train/lr": 0.3}) for study in studies[:4]
    ]
    trials.append(trial_of(studies[4], 0, status="failed"))
    found = donors_of(own, studies, trials)
    assert [each.study.study for each in found] == [elsewhere.study, "alexnet-nano-deba-digits"]
    assert found[0].params == {"train/lr": 0.3}


def test_donor_gives_its_candidate_not_its_first_trial() -> None:
    own, other, constant = study_of("deba"), study_of("deba", "alexnet"), study_of("constant", "alexnet")
    trials = [
        trial_of(constant, 0, val_error=0.2, seconds=10.0),
        trial_of(other, 0, val_error=0.2, seconds=9.0, params={"train/lr": 0.1}),
        trial_of(other, 1, val_error=0.2, seconds=5.0, params={"train/lr": 0.2}),
    ]
    (found,) = donors_of(own, [own, other, constant], trials)
    assert found.params == {"train/lr": 0.2}


def test_nearest_profile_comes_first_and_none_at_all_last() -> None:
    donors = [donor("alexnet"), donor("vgg11"), donor("vit_b_16"), donor("resnet50")]
    profiles = [
        profile("resnet18", 0.8),
        profile("alexnet", 0.2),
        profile("vgg11", 0.7),
        profile("vit_b_16", 0.95),
    ]
    found = nearest_first(study_of("deba"), donors, profiles)
    assert [each.study.architecture for each in found] == ["vgg11", "vit_b_16", "alexnet", "resnet50"]


def test_noise_scale_counts_by_its_logarithm_and_a_diverged_profile_not_at_all() -> None:
    profiles = [profile("resnet18", 0.8, 100), profile("alexnet", 0.8, 10_000), profile("vgg11", 0.8, 2)]
    donors = [donor("vgg11"), donor("alexnet")]
    found = nearest_first(study_of("deba"), donors, profiles)
    assert [each.study.architecture for each in found] == ["vgg11", "alexnet"]  # a factor of 50 against 100
    profiles[2] = replace(profiles[2], diverged=1)
    found = nearest_first(study_of("deba"), donors, profiles)
    assert [each.study.architecture for each in found] == ["alexnet", "vgg11"]


def test_without_profiles_the_order_is_that_of_the_names() -> None:
    found = nearest_first(study_of("deba"), [donor("vgg11"), donor("alexnet")], [])
    assert [each.study.architecture for each in found] == ["alexnet", "vgg11"]


# --- in what form -----------------------------------------------------------------------------------


def test_quantiles_carry_over_and_absolute_thresholds_do_not() -> None:
    given = donor(
        quantile__confidence_threshold=0.3, scheduler__confidence_threshold=2.9, scheduler__window=4
    )
    point = point_of(given, TRAIN, QUANTILE)
    assert point["quantile/confidence_threshold"] == 0.3
    assert point["scheduler/window"] == 4
    absolute = point_of(given, TRAIN, load_space("schedulers", "deba_short"))
    assert absolute["scheduler/confidence_threshold"] == 1.0  # its own default
    assert absolute["scheduler/window"] == 4


def test_learning_rate_carries_over_as_a_multiple_of_each_networks_default() -> None:
    # AlexNet without BatchNorm starts at 0.01, ResNet-18 at 0.1
    point = point_of(
        donor(train__lr=0.03, train__batch_size=64, train__lr_schedule="constant"), TRAIN, QUANTILE
    )
    assert point["train/lr"] == pytest.approx(0.3)
    assert point["train/batch_size"] == 64
    assert point["train/lr_schedule"] == "constant"


def test_what_lies_outside_the_ranges_is_moved_to_their_ends() -> None:
    point = point_of(donor(train__lr=0.09, scheduler__window=30, scheduler__growth=1.0), TRAIN, QUANTILE)
    assert (point["train/lr"], point["scheduler/window"], point["scheduler/growth"]) == (0.5, 10, 1.2)


def test_what_a_donor_lacks_or_this_space_refuses_is_the_default() -> None:
    for given in (donor(), donor(train__lr_schedule="staircase"), donor(scheduler__window="wide")):
        assert point_of(given, TRAIN, QUANTILE) == FIRST


def test_point_is_one_of_the_spaces() -> None:
    given = donor(train__lr=0.02, scheduler__rule="noise", quantile__stability_threshold=0.99)
    point = point_of(given, TRAIN, QUANTILE)
    every = {**TRAIN.distributions(), **QUANTILE.distributions()}
    assert point.keys() == every.keys()
    for name, distribution in every.items():
        assert distribution._contains(distribution.to_internal_repr(point[name]))


def test_fixed_fields_stay_fixed() -> None:
    space: Space = parse_space({"scheduler": "deba", "fields": {"window": {"fixed": 6}}}, "here")
    assert "scheduler/window" not in point_of(donor(scheduler__window=4), TRAIN, space)
