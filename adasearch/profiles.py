"""What is known of a network before any search: how steady its training is, and how fast.

A stability profile holds figures of runs at a fixed batch, a speed profile step times against the batch size.
Both say what they are of (:class:`Setting`), so that none is silently used for anything else. All formulas
here are ours: the DEBA paper names a stability score and a gradient-norm variation, but its formula for the
first is not known.

Opens without torch and without ray.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime

from adasearch.modelled import SpeedCurve, saturation_size
from adasearch.records import Params, Precision, Signals
from adasearch.schedulers.base import variation

__all__ = [
    "FIGURES",
    "Figure",
    "Setting",
    "SpeedPoint",
    "SpeedProfile",
    "StabilityProfile",
    "differences",
    "mean_interval",
    "noise_scale",
    "run_figures",
    "stability_figures",
]

EPS = 1e-8  # guards divisions, as in DEBA
PARTS = 10  # of a run, for the noise scale over time
CONFIDENCE = 0.95
DEPENDS_ON = ("adasearch", "torch", "torchvision")  # packages whose version a profile depends on


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a profile was taken of, and where.

    Args:
        architecture, scale: the network.
        dataset, fingerprint: the images; the fingerprint tells sets of one name apart.
        precision, compile, per_example: as in :class:`~adasearch.train_config.TrainConfig`.
        workers: training processes.
        threads: of each process, where it runs on a CPU.
        device: "cpu" or "cuda".
        device_name: what the maker calls it.
        driver: its driver's version; None where it has none.
        versions: of the packages.
    """

    architecture: str
    scale: str
    dataset: str
    fingerprint: str
    precision: Precision
    compile: bool
    per_example: bool
    workers: int
    threads: int
    device: str
    device_name: str
    driver: str | None
    versions: Params = field(default_factory=dict)

    @property
    def network(self) -> tuple[str, str]:
        """What a profile can only ever be used for."""
        return self.architecture, self.scale


def differences(there: Setting, here: Setting) -> list[str]:
    """Return in which respects a profile was taken under other circumstances than those of a study.

    Threads count on a CPU alone. An empty list says that the profile fits.
    """
    found = []
    for name in [each.name for each in fields(Setting)]:
        one, other = getattr(there, name), getattr(here, name)
        if name == "versions":
            pairs = [(package, one.get(package), other.get(package)) for package in DEPENDS_ON]
            found += [f"{package} {old}, not {new}" for package, old, new in pairs if old != new]
        elif name == "fingerprint" and one != other and there.dataset == here.dataset:
            found.append(f"other images under the name {here.dataset}")
        elif name == "dataset" or (name == "threads" and here.device != "cpu"):
            continue
        elif one != other:
            label = {"fingerprint": "dataset", "device_name": "device"}.get(name, name)
            was, now = (there.dataset, here.dataset) if name == "fingerprint" else (one, other)
            if name != "device":  # the device's name says it better
                found.append(f"{label} {was}, not {now}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedPoint:
    """Times at one batch size, alone on the device.

    Args:
        batch_size: global examples per step.
        device_batch: greatest number of examples per forward pass.
        step_seconds: median over blocks of steps, nothing measured.
        step_seconds_low, step_seconds_high: its 95 % interval.
        repeats: blocks.
        measure_seconds: by signal set, of measuring it once.
        peak_memory_bytes: of the process; None where it cannot be had.
    """

    batch_size: int
    device_batch: int
    step_seconds: float
    step_seconds_low: float
    step_seconds_high: float
    repeats: int
    measure_seconds: dict[str, float]
    peak_memory_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedProfile:
    """Step times of one network on one device, by rising batch size."""

    profile: str
    setting: Setting
    points: tuple[SpeedPoint, ...]
    created_at: datetime

    @property
    def saturation_batch_size(self) -> int:
        """The size from which on the device is saturated, see :func:`saturation_size`."""
        return saturation_size(self.curve.sizes, self.curve.step_seconds)

    @property
    def curve(self) -> SpeedCurve:
        """The times as functions of the batch size."""
        sets = self.points[0].measure_seconds
        return SpeedCurve(
            sizes=tuple(point.batch_size for point in self.points),
            step_seconds=tuple(point.step_seconds for point in self.points),
            measure_seconds={
                name: tuple(point.measure_seconds[name] for point in self.points) for name in sets
            },
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A number over seeds: mean and 95 % interval, None where there are too few finite values.

    ``epoch`` is None for a figure of the whole run, else the end of the part that it is of.
    """

    name: str
    epoch: float | None
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityProfile:
    """How steadily one network trains at a fixed batch.

    Args:
        profile: its name; that of its trials in the store is ``<profile>-profile-<number>``.
        setting: what it is of.
        subset, seed: of the data, as a study has them.
        train_examples: in the training split.
        interval, intervals: examples per interval, and how many the budget has.
        batch_size: the fixed one.
        params: of the training.
        figures: empty if a run diverged: then it predicts nothing.
        seeds: runs, diverged ones included.
        diverged: runs that failed.
    """

    profile: str
    setting: Setting
    subset: int | None
    seed: int
    train_examples: int
    interval: int
    intervals: int
    batch_size: int
    params: Params
    figures: tuple[Figure, ...]
    seeds: int
    diverged: int
    created_at: datetime


FIGURES = ("stability_score", "grad_norm_variation", "loss_variation", "noise_scale")
"""The figures of a run, see :func:`run_figures`."""


def run_figures(history: Sequence[Signals]) -> dict[str, float]:
    """Return the figures of one run at a fixed batch; NaN where one cannot be had.

    * ``stability_score`` = 1 / (1 + CV), CV the standard deviation of the gradient norm over intervals
      divided by its mean: in (0, 1], and 1 for a norm that never changes. Ours; the paper's is not known.
    * ``grad_norm_variation``: mean over intervals of DEBA's dG, ``|‖g_t‖ - ‖g_{t-1}‖| / ‖g_{t-1}‖``.
    * ``loss_variation``: likewise of DEBA's dL, of the training loss.
    * ``noise_scale``: tr(Sigma) / |G|^2 in examples (McCandlish et al. 2018), each summed over the run first.
    """
    norms = [row.grad_norm for row in history if row.grad_norm is not None]
    pairs = range(2, len(history) + 1)
    mean = statistics.fmean(norms) if norms else 0.0
    return {
        "stability_score": 1 / (1 + statistics.pstdev(norms) / mean) if mean > 0 else math.nan,
        "grad_norm_variation": _mean([variation(history[:end], "grad_norm", EPS) for end in pairs]),
        "loss_variation": _mean([variation(history[:end], "train_loss", EPS) for end in pairs]),
        "noise_scale": noise_scale(history),
    }


def noise_scale(history: Sequence[Signals]) -> float:
    """Return tr(Sigma) / |G|^2 of some intervals in examples; NaN if the estimate of |G|^2 is not positive.

    Each is the mean over all measured steps, since a ratio of two noisy numbers is biased.
    """
    rows = [row for row in history if row.grad_noise is not None and row.grad_sq_norm is not None]
    noise = math.fsum((row.grad_noise or 0.0) * row.noise_count for row in rows)
    square = math.fsum((row.grad_sq_norm or 0.0) * row.noise_count for row in rows)
    return noise / square if square > 0 else math.nan


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


def stability_figures(histories: Sequence[Sequence[Signals]]) -> tuple[Figure, ...]:
    """Return every figure over seeds, and the noise scale of each tenth of the run.

    Args:
        histories: one per seed, equally long, none of a run that diverged.
    """
    runs = [run_figures(history) for history in histories]
    found = [Figure(name, None, *mean_interval([figures[name] for figures in runs])) for name in FIGURES]
    length = min(len(history) for history in histories)
    ends = sorted({math.ceil(length * part / PARTS) for part in range(1, PARTS + 1)})
    for start, end in zip([0, *ends], ends, strict=False):
        values = [noise_scale(history[start:end]) for history in histories]
        found.append(Figure("noise_scale", histories[0][end - 1].epoch, *mean_interval(values)))
    return tuple(found)


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else math.nan
