"""Two settings compared over the same seeds: intervals, tests, and a verdict in words.

Pairs share a seed (weights, order of the data) and a stretch of time. Errors are compared by their
differences, times by the logarithms of their ratios. For both: a bootstrap interval of the mean (BCa), a
paired t test of no difference, and two one-sided t tests (TOST) of a difference within a stated margin.
Where all pairs differ by the same amount, as the errors of few test images may, the tests take a scatter of a
tenth of the margin for errors. Times of which that is so are computed ones (a timetable by the modelled
clock), which another seed would not change: their difference counts as known.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import Any

from adasearch.analysis.enough import MIN_PAIRS, hardly_learnt
from adasearch.analysis.equal_error import times_compare
from adasearch.analysis.estimates import LEVEL, Estimate, alike, estimate
from adasearch.analysis.verdicts import PairedVerdict
from adasearch.errors import InputError
from adasearch.objective import ERROR, ERROR_MARGIN, is_fraction

__all__ = [
    "ERROR_MARGIN",
    "QUESTIONS",
    "TIME_MARGIN",
    "Paired",
    "check_margin",
    "corrected",
    "error_of",
    "holm",
    "paired",
    "speedup_of",
    "verdict",
]

TIME_MARGIN = math.log(1.05)  # times whose ratio is nearer to 1 are equal: five percent
ROUNDING = 1e-12
"""Logarithms of ratios below it are of equal times."""

LEAST_SCATTER = 0.1
"""Standard deviation of errors' differences that are all the same, as a share of the margin. Ours."""

QUESTIONS = ("p_error", "p_time", "p_equal_error", "p_equal_time")
"""What is asked of pairs; each has a p value of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """A setting against another over ``seeds`` pairs.

    ``error`` is this error minus the other's, ``log_speed`` the logarithm of the other's time over this one.
    ``p_error`` and ``p_time`` are of no difference, ``p_equal_...`` of one beyond the margin; None where
    there are too few pairs. ``error_margin`` is the difference of errors that counts as none, ``acted``
    tells whether this setting changed the batch size, and ``learnt`` whether either learnt enough to compare.
    """

    seeds: int
    error: Estimate
    log_speed: Estimate | None
    p_error: float | None = None
    p_time: float | None = None
    p_equal_error: float | None = None
    p_equal_time: float | None = None
    error_margin: float = ERROR_MARGIN
    acted: bool = True
    learnt: bool = True

    @property
    def higher_error(self) -> bool:
        """Whether the error is surely higher, and not equal within the margin."""
        if self.p_error is None or self.p_equal_error is None:
            return False
        return _signs(self.error.mean, self.p_error)[1] and self.p_equal_error >= LEVEL

    @property
    def perhaps_higher(self) -> bool:
        """Whether the interval of the error lies above none, and it is not equal within the margin."""
        above = self.error.low is not None and self.error.low > 0
        return above and self.p_equal_error is not None and self.p_equal_error >= LEVEL

    @property
    def times_compare(self) -> bool:
        """Whether the times mean something beside one another, by the one rule of all tables."""
        compare = times_compare(self.error.mean, self.error_margin, acted=self.acted)
        return compare and not self.higher_error and not self.perhaps_higher

    @property
    def time_saved(self) -> float | None:
        """The fraction of the other's time that was saved; None where the times do not compare."""
        gain = speedup_of(self)
        return None if gain is None else 1 - 1 / gain.mean


def error_of(pairs: Paired | None) -> Estimate | None:
    """Return the difference of errors, None without pairs."""
    return None if pairs is None else pairs.error


def speedup_of(pairs: Paired | None) -> Estimate | None:
    """Return how many times as fast, by the geometric mean; None without pairs, or times that compare."""
    if pairs is None or pairs.log_speed is None or not pairs.times_compare:
        return None
    return pairs.log_speed.exp()


def check_margin(margin: float | None, objectives: Iterable[str] = (ERROR,)) -> None:
    """Refuse a difference of errors that cannot count as none; None stands for the usual ones.

    Raises:
        InputError: it is not greater than 0, or of fractions not less than 1.
    """
    if margin is None:
        return
    if any(map(is_fraction, objectives)) and not 0 < margin < 1:
        raise InputError(
            "--margin is a difference of errors as a fraction, such as 0.01 for one point: it must lie "
            f"between 0 and 1, both left out, but got {margin:g}"
        )
    if not 0 < margin < math.inf:
        raise InputError(f"--margin must be greater than 0 but got {margin:g}")


def paired(
    errors: Sequence[tuple[float, float]],
    times: Sequence[tuple[float, float]] | None,
    *,
    margin: float,
    acted: bool = True,
    objective: str = ERROR,
) -> Paired:
    """Compare pairs of (this, the other); ``times`` is None where a clock has none.

    ``objective`` names what is called error here.
    """
    differences = [this - other for this, other in errors]
    speeds = None if times is None else [math.log(other / this) for this, other in times]
    enough = len(errors) >= MIN_PAIRS
    scattered = _scattered(differences, margin * LEAST_SCATTER) if enough else differences
    return Paired(
        seeds=len(errors),
        error=estimate(differences),
        log_speed=None if speeds is None else estimate(speeds),
        p_error=_differs(scattered) if enough else None,
        p_time=_times_differ(speeds) if enough and speeds is not None else None,
        p_equal_error=_within(scattered, margin) if enough else None,
        p_equal_time=_times_are_equal(speeds) if enough and speeds is not None else None,
        error_margin=margin,
        acted=acted,
        learnt=not is_fraction(objective)
        or not hardly_learnt(fmean(each) for each in zip(*errors, strict=True)),
    )


def _scattered(values: Sequence[float], least: float) -> Sequence[float]:
    """Return values, or where all are the same values of that mean and of the least standard deviation.

    >>> found = _scattered([0.02] * 4, 0.001)
    >>> round(stdev(found), 9), round(fmean(found), 9), _scattered([0.1, 0.2], 0.001)
    (0.001, 0.02, [0.1, 0.2])
    """
    if not alike(values):
        return values
    places = [place - (len(values) - 1) / 2 for place in range(len(values))]
    return [values[0] + least * place / stdev(places) for place in places]


def _times_differ(speeds: Sequence[float]) -> float:
    return float(abs(speeds[0]) < ROUNDING) if alike(speeds) else _differs(speeds)


def _times_are_equal(speeds: Sequence[float]) -> float:
    return float(abs(speeds[0]) >= TIME_MARGIN) if alike(speeds) else _within(speeds, TIME_MARGIN)


def _differs(values: Sequence[float]) -> float:
    """Return p of a mean of 0, two-sided."""
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(values, 0.0).pvalue)


def _within(values: Sequence[float], margin: float) -> float:
    """Return p of a mean at least ``margin`` away from 0: the greater of two one-sided tests."""
    from scipy.stats import ttest_1samp

    above = ttest_1samp(values, -margin, alternative="greater").pvalue
    below = ttest_1samp(values, margin, alternative="less").pvalue
    return float(max(above, below))


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values corrected for their number (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(ps)), key=lambda place: ps[place])
    result = [0.0] * len(ps)
    least = 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        result[place] = least
    return result


def corrected(rows: Mapping[str, Paired]) -> dict[str, Paired]:
    """Return comparisons with each question's p values corrected over all rows."""
    result = dict(rows)
    for question in QUESTIONS:
        asked = {name: p for name, row in rows.items() if (p := getattr(row, question)) is not None}
        for name, p in zip(asked, holm(list(asked.values())), strict=True):
            change: dict[str, Any] = {question: p}
            result[name] = replace(result[name], **change)
    return result


def verdict(row: Paired) -> PairedVerdict:
    """Return what a comparison shows, in words.

    Lower and higher errors, less and more time are beyond chance; what is equal is so within its margin.
    """
    if row.seeds < MIN_PAIRS:
        return "too few seeds"
    if not row.learnt:
        return "too few to say"
    assert row.p_error is not None
    assert row.p_equal_error is not None
    lower, _ = _signs(row.error.mean, row.p_error)
    slower = faster = equal_time = False
    if row.log_speed is not None and row.p_time is not None and row.p_equal_time is not None:
        slower, faster = _signs(row.log_speed.mean, row.p_time)
        equal_time = row.p_equal_time < LEVEL
    equal = row.p_equal_error < LEVEL
    rules: Sequence[tuple[bool, PairedVerdict]] = (
        (lower and faster, "both faster and better"),
        (equal and faster, "faster at equal error"),
        (equal and equal_time, "equal"),
        (lower and equal_time, "better at equal time"),
        (lower and slower and not equal, "lower error, more time"),
        (row.higher_error and faster, "worse error, less time"),
        (row.higher_error, "worse"),
        (slower, "slower"),
        (row.perhaps_higher, "perhaps worse"),
    )
    return next((words for holds, words in rules if holds), "no evidence")


def _signs(mean: float, p: float) -> tuple[bool, bool]:
    """Tell whether a mean is surely below, and surely above 0."""
    return (mean < 0 and p < LEVEL, mean > 0 and p < LEVEL)
