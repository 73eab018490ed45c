"""How steadily a network trains at a fixed batch, in figures over seeds."""

import math
import statistics
from collections.abc import Sequence

from adasearch.profiles.profile import Statistic
from adasearch.records import Signals
from adasearch.schedulers.base import variation
from adasearch.schedulers.coupling import Noise, moments_of

__all__ = [
    "DIVIDED",
    "DIVIDED_SPREAD",
    "FIGURES",
    "SCALE",
    "SPREAD",
    "mean_interval",
    "noise_scale",
    "noise_spread",
    "run_figures",
    "spread_of",
    "stability_figures",
]

EPS = 1e-8  # guards divisions, as in DEBA

PARTS = 10  # of a run, for the noise scale over time

CONFIDENCE = 0.95

FIGURES = ("stability_score", "grad_norm_variation", "loss_variation", "noise_scale")
"""The figures of a run, see :func:`run_figures`."""


SCALE = "noise_scale"
SPREAD = "noise_spread"
"""The figure that :func:`noise_spread` gives; profiles up to version 0.2.0 lack it."""

DIVIDED, DIVIDED_SPREAD = "preconditioned_noise_scale", "preconditioned_noise_spread"
"""Likewise of gradients over Adam's ``sqrt(v_hat) + eps``, where they were measured."""


def run_figures(history: Sequence[Signals]) -> dict[str, float]:
    """Return the figures of one run at a fixed batch; NaN where one cannot be had.

    * ``stability_score`` = 1 / (1 + CV), CV the standard deviation of the gradient norm over intervals
      divided by its mean: in (0, 1], and 1 for a norm that never changes. Ours; the paper's is not known.
    * ``grad_norm_variation``: mean over intervals of DEBA's dG, ``|‖g_t‖ - ‖g_{t-1}‖| / ‖g_{t-1}‖``.
    * ``loss_variation``: likewise of DEBA's dL, of the training loss.
    * ``noise_scale``: tr(Sigma) / |G|^2 in examples (McCandlish et al. 2018), each summed over the run first.
    """
    norms = [row.grad_norm for row in history if row.grad_norm is not None]
    pairs = [history[start : start + 2] for start in range(len(history) - 1)]
    mean = statistics.fmean(norms) if norms else 0.0
    return {
        "stability_score": 1 / (1 + statistics.pstdev(norms) / mean) if mean > 0 else math.nan,
        "grad_norm_variation": _mean([variation(pair, "grad_norm", EPS) for pair in pairs]),
        "loss_variation": _mean([variation(pair, "train_loss", EPS) for pair in pairs]),
        "noise_scale": noise_scale(history),
    }


def noise_scale(history: Sequence[Signals], noise: Noise = "raw") -> float:
    """Return tr(Sigma) / |G|^2 of some intervals in examples; NaN if the estimate of |G|^2 is not positive.

    Each is the mean over all measured steps, since a ratio of two noisy numbers is biased. They are those of
    gradients as they are, or with "preconditioned" of gradients over Adam's denominator.
    """
    variance, length = moments_of(noise)
    pairs = [(getattr(row, variance), getattr(row, length), row.noise_count) for row in history]
    known = [each for each in pairs if None not in each]
    total = math.fsum(one * count for one, _, count in known)
    square = math.fsum(other * count for _, other, count in known)
    return total / square if square > 0 else math.nan


def noise_spread(history: Sequence[Signals], parts: int = PARTS, noise: Noise = "raw") -> float:
    """Return ``mean(sqrt N)^2 / mean(N)`` over equal parts of a run, N the noise scale, in (0, 1].

    NaN where fewer than two parts have a noise scale. See :mod:`adasearch.analysis.ceilings` for its meaning.
    """
    scales = [noise_scale(part, noise) for part in _parts(history, parts)]
    known = [scale for scale in scales if math.isfinite(scale) and scale > 0]
    return spread_of(known) if len(known) > 1 else math.nan


def spread_of(scales: Sequence[float]) -> float:
    """Return ``mean(sqrt N)^2 / mean(N)`` of noise scales greater than 0.

    >>> spread_of([4.0, 4.0]), spread_of([1.0, 9.0])
    (1.0, 0.8)
    """
    return statistics.fmean(map(math.sqrt, scales)) ** 2 / statistics.fmean(scales)


def _parts(history: Sequence[Signals], parts: int) -> list[Sequence[Signals]]:
    ends = sorted({math.ceil(len(history) * part / parts) for part in range(1, parts + 1)})
    return [history[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Return mean, low and high end of the 95 % t interval of a mean over seeds that cannot be negative.

    None where it cannot be said: all without finite values, the ends with fewer than two.

    >>> mean_interval([1.0])
    (1.0, None, None)
    >>> [round(x, 3) for x in mean_interval([1.0, 2.0, 3.0])]
    [2.0, 0.0, 4.484]
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None, None, None
    mean = statistics.fmean(finite)
    if len(finite) < 2:
        return mean, None, None
    from scipy import stats  # takes a while to import

    error = statistics.stdev(finite) / math.sqrt(len(finite))
    half = error * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(finite) - 1))
    return mean, max(0.0, mean - half), mean + half  # no figure is negative


def stability_figures(histories: Sequence[Sequence[Signals]]) -> tuple[Statistic, ...]:
    """Return every figure over seeds, and the noise scale of each tenth of the run.

    Args:
        histories: one per seed, equally long, none of a run that diverged.
    """
    runs = [run_figures(history) for history in histories]
    found = [Statistic(name, None, *mean_interval([figures[name] for figures in runs])) for name in FIGURES]
    found += _noise_figures(histories, "raw", scale=SCALE, spread=SPREAD)
    if any(row.preconditioned_noise is not None for history in histories for row in history):
        values = [noise_scale(history, "preconditioned") for history in histories]
        found.append(Statistic(DIVIDED, None, *mean_interval(values)))
        found += _noise_figures(histories, "preconditioned", scale=DIVIDED, spread=DIVIDED_SPREAD)
    return tuple(found)


def _noise_figures(
    histories: Sequence[Sequence[Signals]], noise: Noise, *, scale: str, spread: str
) -> list[Statistic]:
    """Return the spread of one kind of noise scale, and the scale of each tenth of the run."""
    spreads = [noise_spread(history, noise=noise) for history in histories]
    found = [Statistic(spread, None, *mean_interval(spreads))]
    length = min(len(history) for history in histories)
    for tenths in zip(*(_parts(history[:length], PARTS) for history in histories), strict=True):
        values = [noise_scale(part, noise) for part in tenths]
        found.append(Statistic(scale, tenths[0][-1].epoch, *mean_interval(values)))
    return found


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else math.nan
