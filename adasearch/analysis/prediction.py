"""Will a growing batch pay on this network? A guess from its profiles and from other networks.

What a network tells of itself (:class:`Traits`) is its *ceiling*, the throughput at the best profiled batch
size over that at the default size, and from its stability profile the stability score and the noise scale.
What the store knows of others (:class:`Gain`) is what a scheduler's candidate gained over the tuned
reference. Between the two stands least squares, of the logarithm of the speed-up and of the change in error,
on one trait per four networks in the order above (on none below four: the mean), with the prediction interval
of linear regression, so that few networks give wide ranges. A Bayesian ridge regression on all three traits
was tried first: its ranges held none of five networks that were held out. All of this is ours; the DEBA paper
says that stability tells who gains, not how.

How good such guesses are is for :func:`leave_one_out` to say. Opens without torch and without ray.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np

from adasearch.analysis.equal_error import times_compare
from adasearch.analysis.paired_tests import ERROR_MARGIN, TIME_MARGIN
from adasearch.profiles.modelled_time import SpeedCurve

__all__ = [
    "MIN_NETWORKS",
    "Checked",
    "Gain",
    "Prediction",
    "Range",
    "Traits",
    "ceiling",
    "leave_one_out",
    "pays",
    "predict",
    "worth_growing",
]

MIN_NETWORKS = 3
"""Other networks that a prediction is made from at least. Ours."""

NETWORKS_PER_TRAIT = 4
"""Networks that it takes to let one more trait count. Ours."""

RANGE_LEVEL = 0.9  # of the ranges

Answer = Literal["pays", "may pay", "unlikely", "not worth it", "not known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the profiles of one network say of it on one data set and device.

    ``stability_score`` lies in (0, 1], ``noise_scale`` is in examples; either is None where its profile has
    none. ``ceiling`` is at least 1, see :func:`ceiling`. ``rising_at`` is the largest timed batch size if the
    device is not saturated there, so that the true ceiling may lie higher; else None. ``sequence_length`` is
    that of its examples, None where they are no sequences.
    """

    architecture: str
    scale: str
    dataset: str
    ceiling: float
    stability_score: float | None
    noise_scale: float | None
    rising_at: int | None = None
    sequence_length: int | None = None

    @property
    def classifies(self) -> bool:
        """Whether its errors are those of classification, which others' tell something of."""
        return self.sequence_length is None and self.dataset != "own"

    @property
    def network(self) -> tuple[str, str]:
        """What is held out when the guesses are checked."""
        return self.architecture, self.scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What a scheduler's candidate was worth on a network: times over the reference's, and error minus its.

    ``confirmed`` tells fresh seeds and the test split from the one seed and the validation split of a search.
    """

    traits: Traits
    scheduler: str
    speedup: float
    error_change: float
    confirmed: bool

    @property
    def times_compare(self) -> bool:
        """Whether the speed-up means something, by the one rule of all tables."""
        return times_compare(self.error_change, ERROR_MARGIN)


@dataclass(frozen=True, slots=True)
class Range:
    """A guess and its 90 % range."""

    mean: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Tell whether a value lies inside."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What to expect of a scheduler on a network before any search.

    ``speedup`` and ``error_change`` (a difference of fractions) are against a tuned constant batch, and None
    where fewer than ``MIN_NETWORKS`` other ``networks`` are known.
    """

    traits: Traits
    scheduler: str
    speedup: Range | None
    error_change: Range | None
    networks: int
    answer: Answer

    @property
    def times_compare(self) -> bool:
        """Whether the speed-up may mean something, by the one rule of all tables: the range allows it."""
        return self.error_change is not None and times_compare(self.error_change.low, ERROR_MARGIN)

    @property
    def expected(self) -> bool:
        """Whether it :func:`pays` by its means, where the ceiling allows any gain."""
        if self.speedup is None or self.error_change is None or not worth_growing(self.traits):
            return False
        return pays(self.speedup.mean, self.error_change.mean)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A guess beside what was really run, the network having been held out."""

    outcome: Gain
    prediction: Prediction

    @property
    def right(self) -> bool:
        """Whether guess and outcome agree on :func:`pays`."""
        return self.prediction.expected == pays(self.outcome.speedup, self.outcome.error_change)

    @property
    def inside(self) -> bool:
        """Whether both ranges hold the outcome."""
        guess = self.prediction
        assert guess.speedup is not None
        assert guess.error_change is not None
        return guess.speedup.holds(self.outcome.speedup) and guess.error_change.holds(
            self.outcome.error_change
        )


def ceiling(curve: SpeedCurve, batch_size: int) -> float:
    """Return the throughput at the best profiled batch size over that at ``batch_size``, at least 1.

    No schedule that begins there can save more time than this at an equal number of examples.

    >>> ceiling(SpeedCurve(sizes=(16, 32), step_seconds=(1.0, 1.6), measure_seconds={}), 16)
    1.25
    """
    best = min(seconds / size for size, seconds in zip(curve.sizes, curve.step_seconds, strict=True))
    return max(1.0, curve.step(batch_size) / batch_size / best)


def pays(speedup: float, error_change: float) -> bool:
    """Tell whether an outcome is a gain: at least five percent faster, the error at most a point higher."""
    return math.log(speedup) >= TIME_MARGIN and times_compare(error_change, ERROR_MARGIN)


def predict(traits: Traits, scheduler: str, outcomes: Sequence[Gain]) -> Prediction:
    """Return what to expect of a scheduler on a network from what is known of other networks.

    Outcomes of the same network are left out, on whatever data, so that a guess is one before any search. No
    speed-up is guessed beyond the ceiling, where that is known.
    """
    others = [
        each for each in outcomes if each.scheduler == scheduler and each.traits.network != traits.network
    ]
    # A network that was searched on several data sets is one network: its mean counts.
    grouped = [
        [each for each in others if each.traits.network == network]
        for network in dict.fromkeys(each.traits.network for each in others)
    ]
    networks = len(grouped)
    speedup = error_change = None
    if networks >= MIN_NETWORKS:
        rows = np.array([np.mean(_columns([each.traits for each in group]), axis=0) for group in grouped])
        new = _columns([traits])[0]
        gains = [fmean(math.log(each.speedup) for each in group) for group in grouped]
        most = traits.ceiling if traits.rising_at is None else math.inf
        speedup = Range(*(min(math.exp(value), most) for value in _regressed(rows, gains, new)))
        changes = [fmean(each.error_change for each in group) for group in grouped]
        error_change = Range(*_regressed(rows, changes, new))
    return Prediction(
        traits=traits,
        scheduler=scheduler,
        speedup=speedup,
        error_change=error_change,
        networks=networks,
        answer=_answer(traits, speedup, error_change),
    )


def leave_one_out(outcomes: Sequence[Gain]) -> list[Checked]:
    """Return each outcome beside the guess from all other networks; without those that allow none."""
    found = [
        Checked(outcome=each, prediction=predict(each.traits, each.scheduler, outcomes)) for each in outcomes
    ]
    return [each for each in found if each.prediction.speedup is not None]


def _answer(traits: Traits, speedup: Range | None, error_change: Range | None) -> Answer:
    """Return the answer in words: clear only where the whole range, or the ceiling, is."""
    if not worth_growing(traits):
        return "not worth it"
    if speedup is None or error_change is None or not _may_gain(traits.ceiling):
        return "not known"
    if math.log(speedup.high) < TIME_MARGIN or error_change.low > ERROR_MARGIN:
        return "not worth it"
    if not pays(speedup.mean, error_change.mean):
        return "unlikely"
    return "pays" if pays(speedup.low, error_change.high) else "may pay"


def worth_growing(traits: Traits) -> bool:
    """Tell whether a larger batch is, or may be, any faster here; if not, no schedule that grows can gain."""
    return traits.rising_at is not None or _may_gain(traits.ceiling)


def _may_gain(most: float) -> bool:
    return math.log(most) >= TIME_MARGIN


def _regressed(traits: np.ndarray, values: Sequence[float], new: np.ndarray) -> tuple[float, float, float]:
    """Return mean, low and high end of the 90 % prediction interval of a value at ``new`` traits.

    ``traits`` has a row per network; a trait that a row lacks (NaN) is the mean of the others.
    """
    from scipy import stats  # takes a while to import

    rows = np.vstack([traits, new])
    known = np.isfinite(rows)
    means = np.where(known, rows, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    rows = np.column_stack([np.ones(len(rows)), np.where(known, rows, means)])
    rows = rows[:, : 1 + len(values) // NETWORKS_PER_TRAIT]
    past, last, y = rows[:-1], rows[-1], np.asarray(values)
    inverse = np.linalg.pinv(past.T @ past)
    weights = inverse @ past.T @ y
    freedom = max(1, len(y) - np.linalg.matrix_rank(past))
    variance = float(np.sum((y - past @ weights) ** 2)) / freedom
    mean = float(last @ weights)
    half = float(stats.t.ppf((1 + RANGE_LEVEL) / 2, freedom)) * math.sqrt(
        variance * (1 + last @ inverse @ last)
    )
    return mean, mean - half, mean + half


def _columns(every: Sequence[Traits]) -> np.ndarray:
    """Return traits as rows of numbers in order, NaN where one is missing."""
    return np.array(
        [
            [
                math.log(each.ceiling),
                math.nan if each.stability_score is None else each.stability_score,
                math.log(each.noise_scale) if each.noise_scale and each.noise_scale > 0 else math.nan,
            ]
            for each in every
        ]
    )
