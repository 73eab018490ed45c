"""What ``adasearch advise`` tries, derived from what profiles say, and which of it is worth confirming."""

import math
from collections.abc import Sequence
from typing import TypeVar

from adasearch.analysis.ceilings import Ceilings
from adasearch.analysis.deba_fit import deba_along
from adasearch.analysis.selection import Pick, error_bound
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.records import Limits, Params, Signals, StudyRecord, TrialRecord
from adasearch.schedulers.base import nearest
from adasearch.schedulers.points import Point, points_text
from adasearch.spaces.space import Space

__all__ = [
    "WORTH",
    "Rank",
    "constant_ends",
    "constant_points",
    "derived_params",
    "modelled_batch",
    "points_between",
    "rank_of",
    "scaled_path",
    "sizes_along",
    "time_saved",
]

WORTH = 0.05
"""The share of the seconds below which a schedule is not worth it: times that are nearer count as equal."""

ALIKE = 1.5  # learning rates within this factor are not two
Rank = tuple[int, float]

N = TypeVar("N", int, float)


def constant_ends(space: Space, limits: Limits, curve: SpeedCurve) -> tuple[int, int]:
    """Return the smallest and the largest constant batch that may be taken, and whose speed is known."""
    sizes = [int(each) for each in space.ends("batch_size")]
    low, high = max(min(sizes), limits.smallest), min(max(sizes), limits.largest)
    return min(max(low, curve.sizes[0]), curve.sizes[-1]), max(min(high, curve.sizes[-1]), curve.sizes[0])


def modelled_batch(known: Ceilings, default: Params) -> Params:
    """Return the constant batch to take by the model: the default where that is nearly as good."""
    batch = known.batch
    near = batch.low <= batch.default <= batch.high
    return default if near else {"train/batch_size": batch.best}


def constant_points(space: Space, limits: Limits, default: Params, best: int) -> list[Params]:
    """Return where a constant batch is tried: the default, and another size at two rates.

    The rate follows the size from the default on, in proportion and by its root; where these hardly differ,
    by the optimiser's own rule and at twice that. Size and rates are the nearest ones that the ``space`` and
    ``limits`` allow.

    >>> from adasearch.spaces.space import parse_space
    >>> fields = {"batch_size": {"int": [16, 64]}, "lr": {"float": [0.01, 0.3]}}
    >>> space = parse_space({"function": "m:f", "fields": fields}, "space")
    >>> default = {"train/batch_size": 16, "train/lr": 0.1, "train/optimizer": "sgd"}
    >>> constant_points(space, Limits(smallest=16, largest=99), default, 99)
    [{}, {'train/batch_size': 64, 'train/lr': 0.3}, {'train/batch_size': 64, 'train/lr': 0.2}]
    >>> constant_points(space, Limits(smallest=16, largest=99), default, 16)
    [{}, {'train/batch_size': 16, 'train/lr': 0.2}]
    """
    size, rate = int(default["train/batch_size"]), default.get("train/lr")
    taken = int(_allowed(space, "batch_size", nearest(best, limits)))
    if not isinstance(rate, float):
        return [{}] if taken == size else [{}, {"train/batch_size": taken}]
    _, power = _coupling(default)
    ruled, other = (rate * (taken / size) ** exponent for exponent in (power, 1.5 - power))
    if max(ruled, other) < ALIKE * min(ruled, other):
        other = 2 * ruled
    points: list[Params] = [{}]
    for scaled in (ruled, other):
        point = {"train/batch_size": taken, "train/lr": _allowed(space, "lr", scaled)}
        if point not in points and point != {"train/batch_size": size, "train/lr": rate}:
            points.append(point)
    return points


def points_between(
    space: Space, limits: Limits, default: Params, best: int, reference: TrialRecord
) -> list[Params]:
    """Return where a constant batch is tried as well if the default is still the reference: half way.

    That is where the size of :func:`constant_points` was too far from the default for its error.
    """
    size = int(default["train/batch_size"])
    taken = int(_allowed(space, "batch_size", nearest(best, limits)))
    if reference.params["train/batch_size"] != size or max(taken, size) < 2 * min(taken, size):
        return []
    return constant_points(space, limits, default, round(math.sqrt(size * taken)))[1:]


def _allowed(space: Space, name: str, value: float) -> float:
    """Return what of a field is nearest to a value, in ratio."""
    field = space.fields.get(name)
    if field is not None and field.range is not None:
        low, high = field.range
        return min(max(value, low), high)
    return min((float(each) for each in space.ends(name)), key=lambda each: abs(math.log(each / value)))


def _coupling(params: Params) -> tuple[str, float]:
    """Return how the learning rate follows the size under a trial's optimiser, and the exponent."""
    return ("linear", 1.0) if params.get("train/optimizer") == "sgd" else ("sqrt", 0.5)


def derived_params(
    reference: TrialRecord,
    study: StudyRecord,
    path: Sequence[int],
    noise: Sequence[float],
    history: Sequence[Signals],
    curve: SpeedCurve,
) -> dict[str, Params]:
    """Return the parameters of each schedule that is worth a training, by scheduler.

    That is ``lr_tail``, but for a training function, whose learning rate is its own affair; and, where that
    saves enough time, a ramp along the path and DEBA with the thresholds that follow it on the profile's own
    signals. These two begin with the path's first size, at the learning rate that their coupling gives it.

    Args:
        reference: the tuned constant trial, whose settings of the training the schedules take, and whose size
            is their mean.
        study: its study.
        path: sizes that are best in equal parts of a run; empty where that is not known.
        noise: the noise scale of each part.
        history: of the profile's run at a fixed batch.
        curve: seconds of a step.
    """
    train = {name: value for name, value in reference.params.items() if name.startswith("train/")}
    size = int(train["train/batch_size"])
    profiled = history[0].batch_size if history else size
    points = scaled_path(path, noise, profiled, size, study.limits, study.budget) if path else []
    tail: dict[str, Params] = {"lr_tail": {**train, "scheduler/mean_batch_size": size}}
    tail = {} if study.task == "own" else tail
    if not points or time_saved(points, size, curve, study.budget) < WORTH:
        return tail
    coupling, power = _coupling(train)
    first = points[0].batch_size
    rate = float(train["train/lr"]) * (first / size) ** power
    begun = {**train, "train/batch_size": first, "train/lr": rate, "scheduler/coupling": coupling}
    found = {"ramp": {**begun, "scheduler/points": points_text(points[1:])}, **tail}
    deba = None
    if history:
        deba = deba_along(history, sizes_along(points, [row.examples_seen for row in history]), study.limits)
    if deba is not None:
        names = ("rule", "confidence_threshold", "stability_threshold", "window", "cooldown", "gradient")
        found["deba"] = {**begun, **{f"scheduler/{name}": getattr(deba, name) for name in names}}
    return found


def sizes_along(points: Sequence[Point], ends: Sequence[int]) -> list[int]:
    """Return the size of each interval along a path; ``ends`` are the intervals', in examples.

    >>> sizes_along([Point(0, 16), Point(200, 64)], [100, 200, 300, 400])
    [16, 16, 64, 64]
    """
    begins = [0, *ends[:-1]]
    return [[point.batch_size for point in points if point.mark <= begin][-1] for begin in begins]


def time_saved(points: Sequence[Point], constant: int, curve: SpeedCurve, budget: int) -> float:
    """Return the share of the seconds that a path of sizes saves over a constant batch, at equal examples.

    >>> curve = SpeedCurve(sizes=(16, 64), step_seconds=(2.0, 4.0), measure_seconds={})
    >>> time_saved([Point(0, 16), Point(320, 64)], 16, curve, 640)  # 20 * 2 + 5 * 4 in place of 40 * 2
    0.25
    """
    ends = [*(point.mark for point in points[1:]), budget]
    spans = zip(points, ends, strict=True)
    seconds = sum((end - each.mark) / each.batch_size * curve.step(each.batch_size) for each, end in spans)
    return 1 - seconds / (budget / constant * curve.step(constant))


def scaled_path(
    sizes: Sequence[int], noise: Sequence[float], profiled: int, constant: int, limits: Limits, budget: int
) -> list[Point]:
    """Return a path of sizes as points of a ramp that gets as far as a constant batch, in fewer steps.

    By McCandlish's model a part of the profile's run made progress in proportion to ``1 / (profiled + N)``,
    and takes as many examples as ``B + N`` times that at a size B. The path is scaled so that it takes as
    many examples as the constant batch to the same progress, and each part begins where it is due by them.
    A running median of three takes out what one part's estimate of the noise gets wrong. Empty where that
    leaves one size.

    Args:
        sizes: best in equal parts of the profile's run, up to a factor.
        noise: N, the noise scale of each part, in examples.
        profiled: batch size of the profile's run.
        constant: the constant batch.
        limits: of the sizes.
        budget: examples of the ramp's run.

    >>> limits = Limits(smallest=8, largest=256)
    >>> [str(point) for point in scaled_path([32, 32, 64, 64], [0.0] * 4, 8, 48, limits, 4000)]
    ['32@0', '64@1333']
    """
    sizes, noise = _smooth(sizes), _smooth(noise)
    progress = [1 / (profiled + scale) for scale in noise]
    factor = constant * sum(progress) / sum(p * size for p, size in zip(progress, sizes, strict=True))
    spans = [p * (factor * size + scale) for p, size, scale in zip(progress, sizes, noise, strict=True)]
    points: list[Point] = []
    for part, size in enumerate(sizes):
        taken = nearest(size * factor, limits)
        if not points or points[-1].batch_size != taken:
            points.append(Point(round(budget * sum(spans[:part]) / sum(spans)), taken))
    return points if len(points) > 1 else []


def _smooth(values: Sequence[N]) -> list[N]:
    """Return the running median of three; of the two at an end the greater.

    >>> _smooth([1, 9, 2, 3, 4])
    [9, 2, 3, 3, 4]
    """
    near = [sorted(values[max(0, k - 1) : k + 2]) for k in range(len(values))]
    return [each[len(each) // 2] for each in near]


def rank_of(pick: Pick, study: StudyRecord) -> Rank | None:
    """Return how good a schedule's trial is, least first; None where it is not worth confirming.

    Worth it is a batch that changed and saved enough of the reference's seconds at an equal error, or had an
    error below the reference's by more than its own standard error in an equal time; the former come first. A
    search would call either "too few to say": one trial is all that it has here.
    """
    trial, reference = pick.trial, pick.reference
    if trial is None or reference is None or pick.error_bound is None or pick.idle:
        return None
    share = trial.seconds(study.clock) / reference.seconds(study.clock)
    error, objective = trial.known_error, study.objective
    if error <= pick.error_bound and share <= 1 - WORTH:
        return 0, share
    within = error_bound(error, study.val_examples, objective=objective, se=trial.val_error_se)
    return (1, error) if within < reference.known_error and share <= 1 + WORTH else None
