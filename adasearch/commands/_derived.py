"""The schedules that ``adasearch advise`` derives from what profiles say, as fields of schedulers."""

from collections.abc import Sequence

from adasearch.analysis.deba_fit import deba_along
from adasearch.records import Limits, Signals, StudyRecord, TrialRecord, Value
from adasearch.schedulers.base import nearest
from adasearch.schedulers.points import Point, points_text

__all__ = ["derived_fields", "scaled_path", "sizes_along"]


def derived_fields(
    reference: TrialRecord, study: StudyRecord, path: Sequence[int], history: Sequence[Signals]
) -> dict[str, dict[str, Value]]:
    """Return the fields of each schedule that is worth a training, by scheduler.

    That is ``lr_tail``, but for a training function, whose learning rate is its own affair; and, where the
    path changes its size, a ramp along it and DEBA with the thresholds that follow it on the profile's own
    signals.

    Args:
        reference: the tuned constant trial, whose size is the schedules' mean or first.
        study: its study.
        path: sizes that are best in equal parts of a run; empty where that is not known.
        history: of the profile's run at a fixed batch.
    """
    size = int(reference.params["train/batch_size"])
    points = scaled_path(path, size, study.limits, study.budget) if path else []
    tail: dict[str, dict[str, Value]] = {} if study.task == "own" else {"lr_tail": {"mean_batch_size": size}}
    if not points:
        return tail
    coupling = "linear" if reference.params.get("train/optimizer") == "sgd" else "sqrt"
    ramp: dict[str, Value] = {"points": points_text(points), "coupling": coupling}
    found = {"ramp": ramp, **tail}
    wanted = sizes_along(points, size, [row.examples_seen for row in history])
    deba = deba_along(history, wanted, study.limits) if history else None
    if deba is not None:
        names = ("rule", "confidence_threshold", "stability_threshold", "window", "cooldown", "gradient")
        found["deba"] = {**{name: getattr(deba, name) for name in names}, "coupling": coupling}
    return found


def sizes_along(points: Sequence[Point], first: int, ends: Sequence[int]) -> list[int]:
    """Return the size of each interval under points of a ramp; ``ends`` are the intervals', in examples.

    The first has the ``first`` size, since nothing is decided before its end.

    >>> sizes_along([Point(0, 16), Point(200, 64)], 32, [100, 200, 300, 400])
    [32, 16, 64, 64]
    """
    sizes = [first]
    for end in ends[:-1]:
        sizes.append([first, *(point.batch_size for point in points if point.mark <= end)][-1])
    return sizes


def scaled_path(sizes: Sequence[int], mean: int, limits: Limits, budget: int) -> list[Point]:
    """Return a path of sizes over equal parts of a run as points of a ramp, smoothed, with this mean size.

    A running median of three takes out what one part's estimate of the noise gets wrong. Empty where that
    leaves one size.

    >>> limits = Limits(smallest=8, largest=256)
    >>> [str(point) for point in scaled_path([32, 32, 64, 64], 48, limits, 4000)]
    ['32@0', '64@2000']
    """
    smooth = [
        sorted(sizes[max(0, k - 1) : k + 2])[len(sizes[max(0, k - 1) : k + 2]) // 2]
        for k in range(len(sizes))
    ]
    factor = mean * len(smooth) / sum(smooth)
    points: list[Point] = []
    for part, size in enumerate(smooth):
        taken = nearest(size * factor, limits)
        if not points or points[-1].batch_size != taken:
            points.append(Point(budget * part // len(smooth), taken))
    return points if len(points) > 1 else []
