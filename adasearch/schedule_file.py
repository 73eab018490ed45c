"""A schedule that was found, as a YAML file: what ``adasearch export`` writes and ``load_schedule`` reads."""

import math
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from adasearch.errors import InputError
from adasearch.io.text import source_of
from adasearch.io.yaml_text import parse_yaml, plain_error, read_document
from adasearch.records import Limits, Value
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.registry import make_scheduler
from adasearch.training.config import Hyperparameters, hyperparameters_of

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

__all__ = ["VERSION", "Provenance", "Schedule", "load_schedule"]

MARK = "# digest of the lines above, to be removed if they are changed: "
VERSION = 2
"""2: the provenance has ``image_size``, which version 1 told by the name of the data set alone."""


class Provenance(BaseModel):
    """Where a schedule comes from, and what is known of it.

    ``trial`` was trained with the seed ``search_seed``; ``confirm_seeds`` are those of the runs that checked
    it since. ``verdict`` is the confirmed one if there is one, else the search's. ``params`` are those of a
    training function of the user's own, which ``architecture`` names then; empty elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    trial: str
    form: str
    verdict: str
    val_error: float | None = None
    search_seed: int
    confirm_seeds: tuple[int, ...] = ()
    architecture: str
    scale: str
    dataset: str
    image_size: int | None = None
    sequence_length: int | None = None
    tokenizer: str | None = None
    label_column: str | None = None
    image_column: str | None = None
    config: str | None = None
    split: str | None = None
    weights: str | None = None
    subset: int | None = None
    fingerprint: str
    train_examples: int
    precision: str
    params: dict[str, Value] = {}
    versions: dict[str, Value]

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, content: Any) -> Any:
        """Take the image size of a file of version 1 out of the name of the data set."""
        if not isinstance(content, Mapping) or "image_size" in content:
            return content
        source, size = source_of(str(content.get("dataset", "")))
        return content if size is None else {**content, "dataset": source, "image_size": size}


class Schedule(BaseModel):
    """A schedule ready for a loop of one's own, or for ``adasearch train --schedule``.

    Attributes:
        schedule_version: of this format.
        name: of the scheduler, as in ``adasearch.SCHEDULERS`` or ``module:Class``.
        fields: its hyperparameters, all of them.
        batch_size: to begin with: examples per optimiser step, over all processes.
        smallest: least batch size.
        largest: greatest batch size.
        multiple_of: every size is a multiple of this.
        interval: epochs between two decisions.
        epochs: length of the run that it was found in; the learning rate's course spans it.
        train: the optimiser's settings: learning rate, its course, weight decay (see ``Hyperparameters``).
        provenance: where it comes from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schedule_version: int
    name: str
    fields: dict[str, Value]
    batch_size: int
    smallest: int
    largest: int
    multiple_of: int = 1
    interval: float
    epochs: float
    train: dict[str, Value]
    provenance: Provenance

    @model_validator(mode="before")
    @classmethod
    def _of_raw_noise(cls, content: Any) -> Any:
        """Name the noise in a file of a version that knew one kind only, which is not the default now."""
        fields = content.get("fields") if isinstance(content, Mapping) else None
        if not isinstance(fields, Mapping) or "coupling" not in fields or ":" in str(content.get("name")):
            return content
        return {**content, "fields": {"noise": "raw", **fields}}

    @field_validator("schedule_version")
    @classmethod
    def _known(cls, version: int) -> int:
        if version > VERSION:
            raise ValueError(f"must be at most {VERSION} for this adasearch but got {version}")
        return version

    @model_validator(mode="after")
    def _sound(self) -> "Schedule":
        if not self.limits.admit(self.batch_size):
            raise ValueError(f"batch_size must lie in {self.limits} but got {self.batch_size}")
        for name in ("interval", "epochs"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be greater than 0 but got {value}")
        if unknown := sorted(set(self.train) - set(Hyperparameters.__dataclass_fields__)):
            raise ValueError(f"train has no field {unknown[0]!r}")
        _ = self.hyperparameters
        if ":" not in self.name:  # a module of the user's own is imported when its scheduler is asked for
            _ = self.scheduler
        return self

    @property
    def limits(self) -> Limits:
        """The batch sizes that the schedule keeps to."""
        return Limits(smallest=self.smallest, largest=self.largest, multiple_of=self.multiple_of)

    @property
    def scheduler(self) -> BatchSizeScheduler:
        """The scheduler, ready to decide.

        Raises:
            InputError: it is a ``module:Class`` that cannot be imported, or refuses its fields.
        """
        return make_scheduler(self.name, self.fields)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The training's settings, the initial batch size among them."""
        return hyperparameters_of({"batch_size": self.batch_size, **self.train})

    def optimizer(self, model: "nn.Module", *, scaled: bool = False) -> "Optimizer":
        """Return the optimiser that the search trained with, for the parameters of a model that are trained.

        ``scaled`` tells that it is stepped behind a ``GradScaler``.

        Raises:
            InputError: a training function of the user's own was searched, which makes its own.
        """
        from adasearch.training.muon import hidden_matrices
        from adasearch.training.optimizer import make_optimizer

        if self.provenance.params:
            raise InputError(
                f"{self.provenance.architecture} makes its own optimizer; its settings are in "
                "schedule.provenance.params"
            )
        return make_optimizer(
            self.hyperparameters,
            [p for p in model.parameters() if p.requires_grad],
            matrices=hidden_matrices(model),
            scaled=scaled,
        )

    def lr(self, progress: float) -> float:
        """Return the learning rate at a share of the run, ``controller.progress``, in [0, 1].

        It is that of the search, before the scheduler's factor, which the controller sets itself.
        """
        return self.hyperparameters.lr * self.hyperparameters.lr_curve.factor(progress)

    def write(self, path: Path) -> None:
        """Write the file over its former self.

        Raises:
            InputError: it cannot be written.
        """
        without: Any = None if self.provenance.params else {"provenance": {"params"}}
        content = self.model_dump(mode="json", exclude=without)
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        length = self.provenance.sequence_length
        unit = "" if length is None else f"# Sizes and marks count sequences of {length} tokens.\n"
        text = f"# Made by 'adasearch export'; adasearch.load_schedule({path.name!r}) reads it.\n{unit}{text}"
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
            path.write_text(f"{text}{MARK}{_digest(text)}\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--output {path}: {error.strerror or error}") from error


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def load_schedule(path: str | Path) -> Schedule:
    """Read an exported schedule.

    ::

        found = adasearch.load_schedule("schedule.yaml")
        optimizer = found.optimizer(model)
        controller = BatchSizeController(
            model, optimizer, data, found.scheduler, epochs=found.epochs,
            batch_size=found.batch_size, limits=found.limits, interval=found.interval,
        )
        for inputs, labels in controller.batches(loader):
            for group in optimizer.param_groups:
                group["lr"] = found.lr(controller.progress)
            controller.step(loss_function(model(inputs), labels))

    ``found.train`` holds the settings themselves. Reading imports nothing; a
    ``module:Class`` is imported when ``found.scheduler`` is asked for.

    Raises:
        InputError: no such file, no schedule, a value that breaks a rule, or text that was changed while its
            last line, the digest, was not removed.
    """
    document = read_document(path, f"schedule {path}")
    content = parse_yaml(document, f"schedule {path}")
    text, mark, digest = document.rpartition(MARK)
    if mark and digest.strip() != _digest(text):
        raise InputError(
            f"schedule {path} was changed since it was exported; where that was meant, remove its last line, "
            "the digest"
        )
    if not isinstance(content, Mapping):
        raise InputError(f"schedule {path} must be a mapping")
    try:
        return Schedule.model_validate(content)
    except ValidationError as error:
        raise InputError(f"schedule {path}: {plain_error(error.errors()[0])}") from error
