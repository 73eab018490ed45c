"""What suited other networks and data sets, as early points of a study: nearest profile first.

Thresholds carry over as quantiles of each network's own indicators, never as absolute values. Fields of the
training that are searched on a logarithmic scale (learning rate, weight decay, initial batch) carry over as
multiples of their space's default, since a network's usual learning rate is part of what it is. Everything
else is taken as it is; what lies outside the study's ranges is moved to their ends, and what the other study
did not have is the default. All of this is ours.

Opens without torch and without ray.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from adasearch.analysis.selection import pick_trials
from adasearch.io.yaml_text import parse_yaml
from adasearch.profiles.profile import StabilityProfile
from adasearch.profiles.quantiles import CALIBRATED
from adasearch.profiles.stability import FIGURES
from adasearch.records import Params, StudyRecord, TrialRecord, Value
from adasearch.spaces.space import Space, parse_space

__all__ = ["MAX_DONORS", "Donor", "donors_of", "has_profile", "nearest_first", "point_of"]

MAX_DONORS = 3
"""Other studies that a study learns from at most: of 12 trials half are still Optuna's. Ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Donor:
    """Another study of the same scheduler, and the parameters of the trial that stands for it."""

    study: StudyRecord
    params: Params


def donors_of(
    study: StudyRecord, studies: Sequence[StudyRecord], trials: Sequence[TrialRecord]
) -> list[Donor]:
    """Return the studies of the same scheduler on another network or other images, with a complete trial."""
    picks = pick_trials(studies, trials)
    found = []
    for other in studies:
        chosen = picks[other.study].trial
        same = _network(other) == _network(study) or other.task != study.task
        if other.scheduler == study.scheduler and not same and chosen is not None:
            found.append(Donor(study=other, params=chosen.params))
    return found


def has_profile(study: StudyRecord, profiles: Sequence[StabilityProfile]) -> bool:
    """Tell whether there is a stability profile of a study's network and images that predicts anything."""
    return any(_profiled(each) == _network(study) and not each.diverged for each in profiles)


def nearest_first(
    study: StudyRecord, donors: Sequence[Donor], profiles: Sequence[StabilityProfile]
) -> list[Donor]:
    """Return donors by the distance of their stability profile to the study's; those without one come last.

    The distance is Euclidean between the figures of :data:`~adasearch.profiles.stability.FIGURES`, each
    divided by its spread over all profiles, the noise scale as a logarithm; a figure that one of the two
    lacks is left out.
    """
    newest = {_profiled(each): each for each in sorted(profiles, key=lambda each: each.created_at)}
    figures = {network: _figures(each) for network, each in newest.items() if not each.diverged}
    spread = _spread(list(figures.values()))
    own = figures.get(_network(study), {})

    def distance(donor: Donor) -> float:
        other = figures.get(_network(donor.study), {})
        common = [name for name in own if name in other and spread[name] > 0]
        gaps = [(own[name] - other[name]) / spread[name] for name in common]
        return math.sqrt(math.fsum(gap**2 for gap in gaps) / len(gaps)) if gaps else math.inf

    return sorted(donors, key=lambda donor: (distance(donor), donor.study.study))


def point_of(donor: Donor, train_space: Space, scheduler_space: Space) -> dict[str, Value]:
    """Return a donor's parameters as a point of a study's two spaces."""
    theirs = parse_space(parse_yaml(donor.study.train_space, "stored space"), "stored space")
    defaults = {**theirs.fixed(), **theirs.first()}
    absolute = {f"scheduler/{name}" for name in CALIBRATED.get(donor.study.scheduler, {})}
    point = {**train_space.first(), **scheduler_space.first()}
    distributions = {**train_space.distributions(), **scheduler_space.distributions()}
    for name, distribution in distributions.items():
        if name not in donor.params or name in absolute:
            continue
        value = donor.params[name]
        if name.startswith("train/") and getattr(distribution, "log", False):
            value = _scaled(value, defaults.get(name), point[name])
        point[name] = _inside(value, distribution, point[name])
    return point


def _scaled(value: Value, their_default: Value | None, own_default: Value) -> Value:
    """Return the same multiple of another default."""
    numbers = (value, their_default, own_default)
    if not all(isinstance(each, int | float) and each for each in numbers):
        return value
    return float(own_default) * float(value) / float(their_default)  # type: ignore[arg-type]


def _inside(value: Value, distribution: BaseDistribution, default: Value) -> Value:
    if isinstance(distribution, CategoricalDistribution):
        return value if value in distribution.choices else default
    if isinstance(value, str):
        return default
    if isinstance(distribution, IntDistribution):
        return min(max(round(value), distribution.low), distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return min(max(float(value), distribution.low), distribution.high)


def _network(study: StudyRecord) -> tuple[str, str, str]:
    return study.architecture, study.scale, study.fingerprint


def _profiled(profile: StabilityProfile) -> tuple[str, str, str]:
    setting = profile.setting
    return setting.architecture, setting.scale, setting.fingerprint


def _figures(profile: StabilityProfile) -> dict[str, float]:
    found = {each.name: each.mean for each in profile.figures if each.epoch is None and each.mean is not None}
    noise = found.pop("noise_scale", 0.0)
    return found | ({"noise_scale": math.log(noise)} if noise > 0 else {})


def _spread(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    columns = {name: [each[name] for each in every if name in each] for name in FIGURES}
    return {name: float(np.std(values)) if values else 0.0 for name, values in columns.items()}
