"""What is known of a network before any search: how steady its training is, and how fast.

A stability profile holds figures of runs at a fixed batch, a speed profile step times against the batch size.
Both say what they are of (:class:`Setting`), so that none is silently used for anything else. All formulas
here are ours: the DEBA paper names a stability score and a gradient-norm variation, but its formula for the
first is not known.

Opens without torch and without ray.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime

from adasearch.environment import device_name, driver_version
from adasearch.io.advice import command
from adasearch.io.text import slug, source_of
from adasearch.profiles.modelled_time import SpeedCurve, rising_at, saturation_size
from adasearch.records import Params, Precision, StudyRecord

__all__ = [
    "Setting",
    "SpeedPoint",
    "SpeedProfile",
    "StabilityProfile",
    "Statistic",
    "default_name",
    "here",
    "profile_command",
    "setting_differences",
]

SELECTED = ("label_column", "image_column", "config", "split", "weights", "subset")
"""What else a study's images are; its flags are called so, too."""

DEPENDS_ON = ("adasearch", "torch", "torchvision")  # packages whose version a profile depends on


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a profile was taken of, and where.

    Args:
        architecture, scale: the network.
        dataset, fingerprint: the images; the fingerprint tells sets of one name apart.
        precision, compile, per_example: as in :class:`~adasearch.training.config.TrainConfig`.
        workers: training processes.
        threads: of each process, where it runs on a CPU.
        device: "cpu" or "cuda".
        device_name: what the maker calls it.
        driver: its driver's version; None where it has none.
        versions: of the packages; of a training function the digest of its ``source``, too.
        sequence_length: tokens of an example of a language task; None elsewhere, and in profiles of a version
            that did not store it.
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
    sequence_length: int | None = None

    @property
    def network(self) -> tuple[str, str]:
        """What a profile can only ever be used for."""
        return self.architecture, self.scale


def setting_differences(there: Setting, here: Setting) -> list[str]:
    """Return in which respects a profile was taken under other circumstances than those of a study.

    Threads count on a CPU alone. An empty list says that the profile fits.
    """
    found = []
    for name in [each.name for each in fields(Setting)]:
        one, other = getattr(there, name), getattr(here, name)
        if name == "versions":
            pairs = [(package, one.get(package), other.get(package)) for package in (*DEPENDS_ON, "source")]
            found += [f"{package} {old}, not {new}" for package, old, new in pairs if old != new]
        elif name == "fingerprint" and one != other and there.dataset == here.dataset:
            found.append(f"other images under the name {here.dataset}")
        elif name in ("dataset", "sequence_length") or (name == "threads" and here.device != "cpu"):
            continue  # which the fingerprint tells, or which do not matter
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
    def rising_at(self) -> int | None:
        """The largest timed size if the device is not saturated there, see :func:`rising_at`; else None."""
        return rising_at(self.curve.sizes, self.curve.step_seconds)

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
class Statistic:
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
    figures: tuple[Statistic, ...]
    seeds: int
    diverged: int
    created_at: datetime


def default_name(setting: Setting) -> str:
    """Return a speed profile's name: its device's as a slug, on a CPU with the number of threads.

    >>> s = Setting(architecture="a", scale="nano", dataset="digits", fingerprint="", precision="float32",
    ...     compile=False, per_example=False, workers=1, threads=1, device="cpu", device_name="AMD EPYC (x)",
    ...     driver=None)
    >>> default_name(s)
    'amd-epyc-x-1-thread'
    """
    name = slug(setting.device_name).lower()
    count = setting.threads
    return name if setting.device != "cpu" else f"{name}-{count}-thread{'s' if count > 1 else ''}"


def profile_command(of: Setting | StudyRecord, results: str, **flags: object) -> str:
    """Return the command that takes profiles of a network on the images of a setting or study.

    What stands in neither of them, such as the subset of a setting, is for ``flags``.
    """
    source, size = source_of(of.dataset)
    threads = of.threads if isinstance(of, Setting) and of.device == "cpu" and of.threads > 1 else None
    if isinstance(of, StudyRecord):
        flags = {name: getattr(of, name) for name in SELECTED} | {"seed": of.seed or None} | flags
        flags["tokenizer"] = of.tokenizer
    text = of.sequence_length is not None
    own = source == "own"  # the data of a training function are called so
    return command(
        "profile",
        results=results,
        train=of.architecture if own else None,
        architecture=None if own else of.architecture,
        scale=None if of.scale == "nano" else of.scale,
        dataset=None if source == "digits" or own else source,
        image_size=None if text else size,
        sequence_length=size if text else None,
        precision=None if of.precision == "float32" else of.precision,
        compile=of.compile,
        per_example=of.per_example,
        cpus_per_worker=threads,
        **flags,
    )


def here(study: StudyRecord, threads: int) -> Setting:
    """Return what a profile must be of to fit a study that runs on this machine, with so many threads."""
    return Setting(
        architecture=study.architecture,
        scale=study.scale,
        dataset=study.dataset,
        fingerprint=study.fingerprint,
        precision=study.precision,
        compile=study.compile,
        per_example=study.per_example,
        workers=study.workers,
        threads=threads,
        device=study.device,
        device_name=device_name(study.device),
        driver=driver_version(study.device),
        versions=study.versions if study.code is None else {**study.versions, "source": study.code},
        sequence_length=study.sequence_length,
    )
