"""The schedules that ``adasearch advise`` derives from what profiles say, as parameters of trials."""

from collections.abc import Sequence
from typing import TypeVar

from adasearch.analysis.deba_fit import deba_along
from adasearch.records import Limits, Params, Signals, StudyRecord, TrialRecord
from adasearch.schedulers.base import nearest
from adasearch.schedulers.points import Point, points_text

__all__ = ["derived_params", "scaled_path", "sizes_along"]

N = TypeVar("N", int, float)


def derived_params(
    reference: TrialRecord,
    study: StudyRecord,
    path: Sequence[int],
    noise: Sequence[float],
    history: Sequence[Signals],
) -> dict[str, Params]:
    """Return the parameters of each schedule that is worth a training, by scheduler.

    That is ``lr_tail``, but for a training function, whose learning rate is its own affair; and, where the
    path changes its size, a ramp along it and DEBA with the thresholds that follow it on the profile's own
    signals. These two begin with the path's first size, at the learning rate that their coupling gives it.

    Args:
        reference: the tuned constant trial, whose settings of the training the schedules take, and whose size
            is their mean.
        study: its study.
        path: sizes that are best in equal parts of a run; empty where that is not known.
        noise: the noise scale of each part.
        history: of the profile's run at a fixed batch.
    """
    train = {name: value for name, value in reference.params.items() if name.startswith("train/")}
    size = int(train["train/batch_size"])
    profiled = history[0].batch_size if history else size
    points = scaled_path(path, noise, profiled, size, study.limits, study.budget) if path else []
    tail: dict[str, Params] = {"lr_tail": {**train, "scheduler/mean_batch_size": size}}
    found = {} if study.task == "own" else tail
    if not points:
        return found
    coupling, power = ("linear", 1.0) if train.get("train/optimizer") == "sgd" else ("sqrt", 0.5)
    first = points[0].batch_size
    train |= {"train/batch_size": first, "scheduler/coupling": coupling}
    if "train/lr" in train:
        train["train/lr"] = float(train["train/lr"]) * (first / size) ** power
    found = {"ramp": {**train, "scheduler/points": points_text(points[1:])}, **found}
    deba = None
    if history:
        deba = deba_along(history, sizes_along(points, [row.examples_seen for row in history]), study.limits)
    if deba is not None:
        names = ("rule", "confidence_threshold", "stability_threshold", "window", "cooldown", "gradient")
        found["deba"] = {**train, **{f"scheduler/{name}": getattr(deba, name) for name in names}}
    return found


def sizes_along(points: Sequence[Point], ends: Sequence[int]) -> list[int]:
    """Return the size of each interval along a path; ``ends`` are the intervals', in examples.

    >>> sizes_along([Point(0, 16), Point(200, 64)], [100, 200, 300, 400])
    [16, 16, 64, 64]
    """
    begins = [0, *ends[:-1]]
    return [[point.batch_size for point in points if point.mark <= begin][-1] for begin in begins]


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
