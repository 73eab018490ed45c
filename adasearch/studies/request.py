"""What a user asked for, and the studies that it comes to."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from adasearch.data.spec import DataSpec
from adasearch.records import Precision, StudyRecord
from adasearch.spaces.experiments import Experiment
from adasearch.spaces.space import Space

__all__ = ["Request", "ResolvedStudy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for; None is what was left open.

    ``schedulers`` excludes the constant baseline, which ``baseline`` adds. ``interval`` is in epochs
    ("0.5") or examples ("2000ex"). ``fixed`` holds ``train/field=value`` and ``scheduler/field=value``. The
    spaces of an ``experiment`` take the place of those that come with adasearch.
    """

    architectures: Sequence[str]
    schedulers: Sequence[str]
    dataset: str = "digits"
    image_size: int | None = None
    download: bool = False
    scale: str = "nano"
    baseline: bool = True
    subset: int | None = None
    epochs: float | None = None
    interval: str | None = None
    seed: int | None = None
    workers: int | None = None
    smallest: int | None = None
    largest: int | None = None
    precision: Precision | None = None
    compile: bool | None = None
    per_example: bool | None = None
    sampler: str | None = None
    stopper: str | None = None
    space: str | None = None
    train_space: str | None = None
    fixed: Sequence[str] = field(default_factory=tuple)
    study: str | None = None
    experiment: Experiment | None = None
    device: str = "cpu"
    threads: int = 1
    clock: str | None = None
    device_profile: str | None = None

    @property
    def sized_dataset(self) -> str:
        """The data set as studies name it: with the size that its images are resized to, if any."""
        return self.dataset if self.image_size is None else f"{self.dataset}@{self.image_size}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResolvedStudy:
    """A study ready to run: its identity, its spaces, where its data lie, and whether it is stored."""

    record: StudyRecord
    train_space: Space
    scheduler_space: Space
    data: DataSpec
    stored: bool
