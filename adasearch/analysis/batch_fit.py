"""The cheapest constant batch by the runs that are stored, beside the one that the noise scale infers.

Of complete constant runs of one network, data and budget at several sizes it is known after how many examples
each reached an error that all of them reach. McCandlish's model (arXiv 1812.06162) of these examples is ::

    E(B) = E_min (1 + B / B_crit)        and of the steps        S(B) = E(B) / B = S_min (1 + B_crit / B)

so that with ``t(B)`` the seconds of a step a training takes ``t(B) (1 + B_crit / B)``: the critical batch of
the runs stands where the noise scale does (:mod:`adasearch.analysis.ceilings`).

**What is compared** (ours). Sizes of one octave, those nearest to one power of two, count as one. The target
is the least error that each octave has a setting for whose every seed reached it. Examples between two
evaluations are interpolated; before the first one they are not known, and then the octave that learnt least
is left out. The setting of an octave that needed the fewest examples stands for it, so that the learning rate
is tuned at each size as far as several were tried there.

**The fit** (ours) is least squares on logarithms, since seeds differ by a share of their examples. The 95 %
interval holds each ``B_crit`` that an F test does not refuse, by the profile of the misfit over it. So one
run a size is enough to tell how far runs scatter around the model, where a bootstrap would have nothing to
draw from; of several seeds all count.

**What it assumes**: the model, of plain gradient noise; a learning rate that is tuned at every size; and that
a run reaches the target as it would within a budget of its own. Where the learning rate decays over the
budget all runs come to a low error late, so that sizes seem more alike than they are, and the batch comes out
too large.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["MIN_SIZES", "ConstantRun", "SizeFit", "fitted", "octave_of", "runs_to_target"]

MIN_SIZES = 3  # two numbers are fitted, so that any two sizes would agree with the model
REACH, GRID = 64, 2001  # times the sizes that were tried, to either side; values of B_crit looked at
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantRun:
    """A complete run at one size.

    Args:
        batch_size: in examples.
        setting: all its parameters, which its other seeds share.
        course: examples seen and the error at each evaluation, in order; at least one.
    """

    batch_size: int
    setting: tuple[tuple[str, object], ...]
    course: tuple[tuple[int, float], ...]

    @property
    def lowest(self) -> float:
        """The least error of an evaluation."""
        return min(error for _, error in self.course)

    def examples_to(self, target: float) -> float | None:
        """Return after how many examples the error was at most ``target``.

        None where it never was, or was at the first evaluation, before which nothing is known.
        """
        (before, former), *later = self.course
        if former <= target:
            return None
        for seen, error in later:
            if error <= target:
                return before + (seen - before) * (former - target) / (former - error)
            before, former = seen, error
        return None


def octave_of(size: int) -> int:
    """Return the exponent of the power of two that a size is nearest to.

    >>> [octave_of(size) for size in (16, 22, 24, 32)]
    [4, 4, 5, 5]
    """
    return round(math.log2(size))


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeFit:
    """What the examples to a target say of the size.

    Args:
        critical: ``B_crit`` in examples; ``low`` and ``high`` are the ends of its 95 % interval. All lie at
            most 64 times below or above the sizes that were tried, which stands for 0 and for no end.
        examples: ``E_min``.
    """

    critical: float
    low: float
    high: float
    examples: float


def fitted(runs: Sequence[tuple[int, float]]) -> SizeFit:
    """Return the fit to the size and the examples of each run, three at least.

    >>> found = fitted([(size, 1000 * (1 + size / 64)) for size in (16, 64, 256)])
    >>> round(found.critical), round(found.low), round(found.high), round(found.examples)
    (64, 64, 64, 1000)
    """
    from scipy import stats  # takes a while to import, and most commands need none of it

    sizes, examples = (np.array(column, dtype=float) for column in zip(*runs, strict=True))
    grid = np.geomspace(sizes.min() / REACH, sizes.max() * REACH, GRID)
    least = np.log(examples) - np.log1p(sizes / grid[:, None])  # log E_min by each run, at each B_crit
    misfit = least.var(axis=1) * len(runs)
    best, free = int(misfit.argmin()), len(runs) - 2
    bound = misfit[best] * (1 + float(stats.f.ppf(LEVEL, 1, free)) / free)
    inside = grid[misfit <= bound]
    return SizeFit(
        critical=float(grid[best]),
        low=float(inside[0]),
        high=float(inside[-1]),
        examples=float(np.exp(least[best].mean())),
    )


def runs_to_target(runs: Iterable[ConstantRun]) -> tuple[float, list[tuple[int, float]]] | None:
    """Return the target, and size and examples of each run that stands for an octave that reached it.

    None where fewer than ``MIN_SIZES`` octaves have one in common: see the module.
    """
    octaves: dict[int, dict[object, list[ConstantRun]]] = {}
    for run in runs:
        octaves.setdefault(octave_of(run.batch_size), {}).setdefault(run.setting, []).append(run)
    reached = {
        octave: min(max(run.lowest for run in seeds) for seeds in settings.values())
        for octave, settings in octaves.items()
    }
    while len(reached) >= MIN_SIZES:
        worst = max(reached, key=lambda octave: reached[octave])
        found = [_fewest(octaves[octave].values(), reached[worst]) for octave in sorted(reached)]
        if all(found):
            return reached[worst], [run for each in found for run in each]
        del reached[worst]
    return None


def _fewest(settings: Iterable[Sequence[ConstantRun]], target: float) -> list[tuple[int, float]]:
    """Return size and examples of each seed of the setting that needed the fewest; none where not known."""
    whole = []
    for seeds in settings:
        known = [(run.batch_size, examples) for run in seeds if (examples := run.examples_to(target))]
        if len(known) == len(seeds):
            whole.append(known)
    return min(whole, key=lambda runs: sum(math.log(each) for _, each in runs) / len(runs), default=[])
