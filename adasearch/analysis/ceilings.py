"""What the noise scale says beforehand: the most that a schedule saves, and the cheapest constant batch.

Both are McCandlish's model (arXiv 1812.06162) with N(s) the noise scale at progress s in [0, 1]: a unit of
progress takes ``1 + N/B`` steps, and ``B + N`` examples, in units that do not matter here. It assumes plain
stochastic gradient noise and a learning rate that is tuned at every size, and it is a model: under Adam it
can mislead (Merrill et al., arXiv 2505.23971), also with the noise of preconditioned gradients, which is
taken where it was measured.

**A schedule against the best constant batch** [derived]. Of a constant batch the excess over the least number
of steps times the excess over the least number of examples is 1. The best varying batch is proportional to
``sqrt(N(s))`` and makes the product ::

    gamma = mean(sqrt N)^2 / mean(N)

1 where N is constant. At equal examples it saves ``1 - gamma`` of the excess steps. Where a step takes ``a +
b B`` seconds it saves at most ``(1 - sqrt(gamma)) / 2`` of the seconds, reached where fixed and proportional
cost balance. Estimates of N that scatter make gamma smaller, and the ceiling comes out too high, not too low.

**The constant batch**: with ``t(B)`` the seconds of a step, training takes ``t(B) (1 + mean(N) / B)``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from adasearch.counts import told
from adasearch.profiles.modelled_time import SpeedCurve
from adasearch.profiles.profile import StabilityProfile
from adasearch.profiles.stability import DIVIDED, DIVIDED_SPREAD, SCALE, SPREAD, spread_of

__all__ = [
    "MODEL_NOTE",
    "Ceilings",
    "ConstantBatch",
    "best_path",
    "ceilings_of",
    "constant_batch",
    "excess_steps_saved",
    "noise_of",
    "path_saves",
    "seconds_saved",
]

MODEL_NOTE = (
    "the best constant batch, and what a schedule saves over it: McCandlish's model of plain gradient noise "
    "(of gradients over Adam's second moments where they were measured), with a learning rate tuned at each "
    "size; a noise scale that scatters makes such ceilings too high, not "
    "too low"
)
"""What a reader of these figures must know."""

BAND = 1.05
"""What the sizes of a band cost at most over the best one. Ours."""

GRID = 200  # sizes looked at between the smallest and the largest profiled


def seconds_saved(gamma: float) -> float:
    """Return the greatest share of the seconds that any schedule saves over the best constant batch.

    >>> [round(100 * seconds_saved(gamma), 1) for gamma in (1.0, 0.9, 0.71)]
    [0.0, 2.6, 7.9]
    """
    return (1 - math.sqrt(gamma)) / 2


def excess_steps_saved(gamma: float) -> float:
    """Return the greatest share of the steps beyond the least number that is saved at equal examples."""
    return 1 - gamma


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantBatch:
    """The constant batch that costs least by the model.

    Args:
        best: its size, inside the profiled sizes.
        low, high: ends of the band around it that costs at most 5 % more.
        default: the user's own size.
        cost: seconds at ``default`` over those at ``best``, at least 1.
        open_end: whether ``high`` is the largest profiled size, so that larger ones might do as well.
        sequence_length: tokens of an example of text, None of others.
    """

    best: int
    low: int
    high: int
    default: int
    cost: float
    open_end: bool
    sequence_length: int | None = None

    def written(self, size: int) -> str:
        """Return a size as a person reads it, of text in tokens.

        >>> batch = ConstantBatch(best=64, low=32, high=96, default=16, cost=1.2, open_end=True)
        >>> batch.written(64), replace(batch, sequence_length=128).written(64)
        ('64', '8,192 tokens')
        """
        return told(size, self.sequence_length)

    @property
    def band(self) -> str:
        """The sizes that cost at most 5 % more."""
        return f"{self.written(self.low)} to {self.written(self.high)}{' or more' if self.open_end else ''}"


def constant_batch(
    curve: SpeedCurve, noise: Sequence[float], default: int, *, ends: tuple[int, int] | None = None
) -> ConstantBatch:
    """Return the best constant batch for a speed curve and the noise scale at equal steps of progress.

    The sizes between two ``ends`` are looked at, by default the smallest and the largest profiled one.

    >>> flat = SpeedCurve(sizes=(1, 1024), step_seconds=(1.001, 2.024), measure_seconds={})  # 1 + B/1000
    >>> constant_batch(flat, [250.0], 32).best  # sqrt(a / b * N) = sqrt(1000 * 250) = 500
    500
    """
    mean = math.fsum(noise) / len(noise)
    first, last = ends or (curve.sizes[0], curve.sizes[-1])

    def seconds(size: int) -> float:
        return curve.step(size) * (1 + mean / size)

    grid = {round(first * (last / first) ** (k / GRID)) for k in range(GRID + 1)}
    best = min(sorted(grid), key=seconds)
    near = range(max(first, best - max(2, best // 20)), min(last, best + max(2, best // 20)) + 1)
    best = min(near, key=seconds)  # the grid's steps are a few percent of a size
    within = [size for size in sorted(grid | {best}) if seconds(size) <= BAND * seconds(best)]
    return ConstantBatch(
        best=best,
        low=within[0],
        high=within[-1],
        default=default,
        cost=max(1.0, seconds(default) / seconds(best)),
        open_end=within[-1] == last,
    )


def best_path(curve: SpeedCurve, noise: Sequence[float]) -> list[int]:
    """Return the size that costs least at each of equal steps of progress, by the noise scale there.

    >>> flat = SpeedCurve(sizes=(1, 1024), step_seconds=(1.001, 2.024), measure_seconds={})  # 1 + B/1000
    >>> best_path(flat, [90.0, 250.0])
    [300, 500]
    """
    return [constant_batch(curve, [scale], curve.sizes[0]).best for scale in noise]


def path_saves(curve: SpeedCurve, noise: Sequence[float], *, ends: tuple[int, int] | None = None) -> float:
    """Return the share of the seconds that :func:`best_path` saves over the best constant batch, at least 0.

    The constant batch lies between two ``ends``, as in :func:`constant_batch`.
    What :func:`seconds_saved` bounds for any device, on this one. Ours: the model at each step of progress.
    """

    def seconds(size: int, scale: float) -> float:
        return curve.step(size) * (1 + scale / size)

    constant = constant_batch(curve, noise, curve.sizes[0], ends=ends).best
    least = sum(seconds(size, scale) for size, scale in zip(best_path(curve, noise), noise, strict=True))
    return max(0.0, 1 - least / sum(seconds(constant, scale) for scale in noise))


def noise_of(steady: StabilityProfile, scale: str | None = None) -> list[float]:
    """Return the noise scale of each part of a profile's runs where it is known, in examples.

    ``scale`` is the figure's name; None is that of gradients over Adam's second moments where the profile has
    it in two parts at least, else that of gradients as they are.
    """
    name = scale or (DIVIDED if len(noise_of(steady, DIVIDED)) > 1 else SCALE)
    return [
        each.mean
        for each in steady.figures
        if each.name == name and each.epoch is not None and each.mean is not None and each.mean > 0
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """What the profiles of a network say of any schedule, and of a constant batch.

    Args:
        gamma: see the module; ``gamma_low`` and ``gamma_high`` are its 95 % interval over seeds, None with
            one seed or in a profile of version 0.2.0.
        batch: the constant batch of least cost.
        path: share of the seconds that the best path of sizes saves over it on this device.
        source: what the model's N is, in words.
    """

    gamma: float
    gamma_low: float | None
    gamma_high: float | None
    batch: ConstantBatch
    path: float
    source: str = "the noise scale"

    def row(self) -> dict[str, object]:
        """Return the figures by name."""
        return {
            "noise_gamma": self.gamma,
            "noise_gamma_low": self.gamma_low,
            "noise_gamma_high": self.gamma_high,
            "most_seconds_saved": seconds_saved(self.gamma),
            "most_excess_steps_saved": excess_steps_saved(self.gamma),
            "constant_batch": self.batch.best,
            "constant_batch_low": self.batch.low,
            "constant_batch_high": self.batch.high,
            "default_batch_cost": self.batch.cost,
            "best_path_seconds_saved": self.path,
        }

    def shares(self) -> tuple[str, str]:
        """Return the most seconds and excess steps that any schedule saves, with intervals, in words."""
        known = (self.gamma, self.gamma_high, self.gamma_low)  # a smaller gamma is a higher ceiling
        return (
            _percent([None if each is None else seconds_saved(each) for each in known]),
            _percent([None if each is None else excess_steps_saved(each) for each in known]),
        )

    @property
    def spread(self) -> str:
        """Gamma with its interval, in words."""
        return _written([self.gamma, self.gamma_low, self.gamma_high], ".2f")

    def said(self) -> list[str]:
        """Return them in words."""
        seconds, steps = self.shares()
        batch = self.batch
        return [
            f"by {self.source} a constant batch of {batch.written(batch.best)} costs least to an equal "
            f"loss, {batch.band} at most 5 % more, the default of {batch.written(batch.default)} "
            f"{batch.cost:.2f} times as much",
            f"over that constant batch no schedule saves more than {seconds} of the seconds, or {steps} of "
            f"the steps beyond the least (gamma {self.spread})",
            "that is where a step costs a fixed and a proportional part; with this device's own step times "
            f"the best path of sizes saves {self.path:.1%} of the seconds",
        ]


def ceilings_of(
    curve: SpeedCurve,
    steady: StabilityProfile,
    critical: Sequence[float] = (),
    *,
    ends: tuple[int, int] | None = None,
) -> Ceilings | None:
    """Return what the profiles say; None where the noise scale was not had in two parts of the run.

    The ``critical`` batch of each part takes its place where that was measured. The constant batch lies
    between two ``ends``, by default the smallest and the largest profiled size.
    """
    noise = critical or noise_of(steady)
    if len(noise) < 2:
        return None
    name = DIVIDED_SPREAD if len(noise_of(steady, DIVIDED)) > 1 else SPREAD
    spread = next((each for each in steady.figures if each.name == name), None)
    if critical or spread is None or spread.mean is None:  # the last of version 0.2.0
        gamma, low, high = spread_of(noise), None, None
    else:
        gamma, low = spread.mean, spread.low
        high = None if spread.high is None else min(spread.high, 1.0)
    source = f"the noise scale{' of one seed' if steady.seeds == 1 else ''}"
    return Ceilings(
        gamma=gamma,
        gamma_low=low,
        gamma_high=high,
        batch=replace(
            constant_batch(curve, noise, steady.batch_size, ends=ends),
            sequence_length=steady.setting.sequence_length,
        ),
        path=path_saves(curve, noise, ends=ends),
        source="its critical batch as it was measured" if critical else source,
    )


def _percent(shares: Sequence[float | None]) -> str:
    return _written([None if share is None else 100 * share for share in shares], ".1f", " %")


def _written(values: Sequence[float | None], form: str, unit: str = "") -> str:
    """Write a mean and the ends of its interval, where that is known."""
    mean, low, high = (None if value is None else format(value, form) for value in values)
    return f"{mean}{unit}" if low is None or high is None else f"{mean}{unit} ({low} to {high})"
