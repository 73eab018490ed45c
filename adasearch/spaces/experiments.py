"""Published set-ups as files: ``search --experiment NAME`` runs one, and every flag still overrides its line.

An experiment names networks, schedulers, data and spans as the flags do, and may give the search spaces in
full (the syntax is that of :mod:`adasearch.spaces`). ``nano`` holds what changes with ``--scale nano``.
"""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from adasearch.choices import Precision, Sampler, Scale, Stopper
from adasearch.errors import InputError, unknown
from adasearch.io.yaml_text import plain_error, read_yaml
from adasearch.spaces.field import FieldSpace
from adasearch.spaces.space import Space, parse_space

__all__ = ["Experiment", "experiment_names", "load_experiment"]


class _Settings(BaseModel):
    """What an experiment may say, by the names of the flags; None leaves a flag's own default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architectures: tuple[str, ...] | None = None
    schedulers: dict[str, dict[str, FieldSpace] | None] | None = None
    dataset: str | None = None
    image_size: int | None = None
    sequence_length: int | None = None
    tokenizer: str | None = None
    label_column: str | None = None
    image_column: str | None = None
    config: str | None = None
    split: str | None = None
    weights: str | None = None
    subset: int | None = None
    epochs: float | None = None
    budget: str | None = None
    interval: str | None = None
    evaluate_every: str | None = None
    trials: int | None = None
    smallest: int | None = None
    largest: int | None = None
    precision: Precision | None = None
    sampler: Sampler | None = None
    stopper: Stopper | None = None
    no_baseline: bool | None = None
    train: dict[str, FieldSpace] | None = None


class Experiment(_Settings):
    """A published set-up.

    Attributes:
        about: what it is and where it was published, in one line.
        schedulers: by name, the fields of its space; empty for the space that comes with it.
        scale: of its networks, unless the user gives another.
        nano: what changes with ``--scale nano``; a space given there takes the place of the whole one.
    """

    about: str
    scale: Scale = "full"
    nano: _Settings = _Settings()

    @model_validator(mode="after")
    def _complete(self) -> "Experiment":
        if not self.architectures or not self.schedulers or not self.dataset:
            raise ValueError("needs architectures, schedulers and dataset")
        return self

    def at(self, scale: str | None) -> "Experiment":
        """Return the experiment as it runs at a scale; None is its own."""
        scale = scale or self.scale
        changes = self.nano.model_dump(exclude_none=True, by_alias=True) if scale == "nano" else {}
        whole = self.model_dump(exclude_none=True, by_alias=True)
        return Experiment.model_validate({**whole, **changes, "scale": scale})

    def train_space(self, architecture: str) -> Space | None:
        """Return the training's space for a network, None for the one that comes with it."""
        return None if self.train is None else _space(self.train, "train", architecture=architecture)

    def scheduler_space(self, scheduler: str) -> Space | None:
        """Return a scheduler's space, None for the one that comes with it."""
        fields = (self.schedulers or {}).get(scheduler)
        return None if fields is None else _space(fields, scheduler, scheduler=scheduler)


def _space(fields: Mapping[str, FieldSpace], part: str, **owner: str) -> Space:
    raw = {name: each.model_dump(by_alias=True, exclude_defaults=True) for name, each in fields.items()}
    return parse_space({**owner, "fields": raw}, f"experiment, {part}", owner.get("scheduler"))


def _folder() -> Path:
    return Path(str(resources.files("adasearch") / "search_spaces" / "experiments"))


def experiment_names() -> list[str]:
    """Return the names of the experiments that come with adasearch."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def load_experiment(name: str) -> Experiment:
    """Read an experiment by path, or by the name of one that comes with adasearch.

    Raises:
        InputError: no such experiment, no YAML, or a rule broken.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = _folder() / f"{name}.yaml"
        if name not in experiment_names():
            raise unknown("experiment", name, experiment_names())
    content = read_yaml(path, f"experiment {name}")
    if not isinstance(content, Mapping):
        raise InputError(f"experiment {name} must be a mapping")
    try:
        found = Experiment.model_validate(content)
        found.at("nano")  # what that changes may break a rule of the whole
        return found
    except ValidationError as error:
        raise InputError(f"experiment {name}: {plain_error(error.errors()[0])}") from error
