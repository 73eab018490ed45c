"""Search spaces: YAML to Optuna distributions.

A study takes one architecture file (``train/...``) and one scheduler file (``scheduler/...``)::

    scheduler: deba                                  # or  architecture: resnet18
    fields:
      window: {int: [3, 20], default: 15}
      stability_threshold: {float: [0.01, 1.0], log: true}
      rule: {choice: [settle, noise]}
      growth: {fixed: 1.5}

A field that the file leaves out keeps the default of its class. ``default`` is the value of the first trial;
without one it is the class's default if the range holds it, else the middle of the range.
"""

import dataclasses
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adasearch.errors import InputError, unknown
from adasearch.records import Value
from adasearch.schedulers import make_scheduler, scheduler_class

__all__ = ["FieldSpace", "Space", "load_space", "parse_space", "space_names"]

Scalar = bool | int | float | str
Strict = Annotated[int, Field(strict=True)]


class FieldSpace(BaseModel):
    """The values that one parameter may take; exactly one of the first four is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    float_: tuple[float, float] | None = Field(None, alias="float")
    int_: tuple[Strict, Strict] | None = Field(None, alias="int")
    choice: tuple[Scalar, ...] | None = Field(None, min_length=1)
    fixed: Scalar | None = None
    log: bool = False
    default: Scalar | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_quantile(cls, data: object) -> object:
        if isinstance(data, Mapping) and "quantile" in data:
            raise ValueError(
                "a quantile needs a stability profile, which this version cannot make; use float: [low, high]"
            )
        return data

    @model_validator(mode="after")
    def _one_kind(self) -> "FieldSpace":
        given = [kind for kind in (self.float_, self.int_, self.choice, self.fixed) if kind is not None]
        if len(given) != 1:
            raise ValueError(
                "give exactly one of float: [low, high], int: [low, high], choice: [...], fixed: value"
            )
        low_high = self.range
        if low_high is None:
            if self.log:
                raise ValueError("log goes with float or int")
            if self.choice is not None and self.default is not None and self.default not in self.choice:
                raise ValueError(f"default {self.default!r} is not one of the choices {list(self.choice)}")
            return self
        low, high = low_high
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(
                f"the range must run from a lower to a higher number but got [{low:g}, {high:g}]"
            )
        if self.log and low <= 0:
            raise ValueError(f"a log range must begin above 0 but got [{low:g}, {high:g}]")
        if self.default is not None and not (_number(self.default) and low <= float(self.default) <= high):
            raise ValueError(f"default {self.default!r} lies outside [{low:g}, {high:g}]")
        return self

    @property
    def range(self) -> tuple[float, float] | tuple[int, int] | None:
        """Low and high end, both included; None for choices and fixed values."""
        return self.float_ if self.float_ is not None else self.int_

    def ends(self) -> tuple[Value, ...]:
        """Every choice, the fixed value, or the two ends of the range."""
        if self.range is not None:
            return self.range
        return self.choice if self.choice is not None else (self.fixed,)  # type: ignore[return-value]

    def distribution(self) -> BaseDistribution | None:
        """Return Optuna's distribution, or None for a fixed value."""
        if self.float_ is not None:
            return FloatDistribution(*self.float_, log=self.log)
        if self.int_ is not None:
            return IntDistribution(*self.int_, log=self.log)
        if self.choice is not None:
            return CategoricalDistribution(self.choice)
        return None

    def first(self, class_default: object) -> Value:
        """Return the value of the first trial."""
        if self.default is not None:
            return int(self.default) if self.int_ is not None else self.default
        if self.range is None:
            options = self.ends()
            return class_default if class_default in options else options[0]
        low, high = self.range
        if isinstance(class_default, int | float) and low <= class_default <= high:
            return class_default
        middle = math.sqrt(low * high) if self.log else (low + high) / 2
        return round(middle) if self.int_ is not None else middle


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Space(BaseModel):
    """The search space of an architecture's training or of a scheduler, as in a YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str | None = None
    scheduler: str | None = None
    fields: dict[str, FieldSpace] = {}

    @model_validator(mode="after")
    def _one_owner(self) -> "Space":
        if (self.architecture is None) == (self.scheduler is None):
            raise ValueError("give exactly one of architecture: NAME and scheduler: NAME")
        return self

    @property
    def kind(self) -> Literal["train", "scheduler"]:
        """The prefix of this space's parameters."""
        return "train" if self.scheduler is None else "scheduler"

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the searched parameters by prefixed name."""
        found = {f"{self.kind}/{name}": field.distribution() for name, field in self.fields.items()}
        return {name: distribution for name, distribution in found.items() if distribution is not None}

    def fixed(self) -> dict[str, Value]:
        """Return every parameter that is not searched by prefixed name: fixed ones, and class defaults."""
        searched = self.distributions()
        values: dict[str, Value] = self._class_defaults()
        values |= {name: field.fixed for name, field in self.fields.items() if field.fixed is not None}
        prefixed = {f"{self.kind}/{name}": value for name, value in values.items()}
        return {name: value for name, value in prefixed.items() if name not in searched}

    def first(self) -> dict[str, Value]:
        """Return the searched parameters of the first trial: our documented defaults."""
        defaults = self._class_defaults()
        searched = self.distributions()
        return {
            f"{self.kind}/{name}": field.first(defaults[name])
            for name, field in self.fields.items()
            if f"{self.kind}/{name}" in searched
        }

    def with_fixed(self, name: str, value: Value) -> "Space":
        """Return this space with one field fixed.

        Raises:
            InputError: no such field, or a value that its class refuses.
        """
        return parse_space(
            {
                **self.model_dump(by_alias=True, exclude_none=True),
                "fields": {**self._raw(), name: {"fixed": value}},
            },
            "--set",
        )

    def with_choices(self, name: str, allowed: frozenset[str]) -> "Space":
        """Return this space with the values of a choice narrowed to ``allowed``."""
        field = self.fields.get(name)
        values = field.ends() if field else (self._class_defaults()[name],)
        if allowed.issuperset(map(str, values)):
            return self
        kept = sorted(allowed.intersection(map(str, values))) or sorted(allowed)
        if len(kept) == 1:
            return self.with_fixed(name, kept[0])
        return self.model_copy(update={"fields": {**self.fields, name: FieldSpace(choice=tuple(kept))}})

    def within(self, name: str, smallest: int, largest: int) -> "Space":
        """Return this space with an integer field and its default cut to a range."""
        field = self.fields[name]
        sizes = [min(max(int(value), smallest), largest) for value in field.ends()]
        default = None if field.default is None else min(max(int(field.default), smallest), largest)
        if field.int_ is None or sizes[0] == sizes[1]:
            return self.with_fixed(name, sizes[0])
        cut = FieldSpace(**{"int": (sizes[0], sizes[1])}, log=field.log, default=default)
        return self.model_copy(update={"fields": {**self.fields, name: cut}})

    def to_json(self) -> str:
        """Return the space as JSON, equal for equal spaces."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)

    def _raw(self) -> dict[str, object]:
        return {
            name: field.model_dump(by_alias=True, exclude_defaults=True)
            for name, field in self.fields.items()
        }

    def _class_defaults(self) -> dict[str, Value]:
        return {field.name: field.default for field in dataclasses.fields(self._owner_class())}  # type: ignore[misc]

    def _owner_class(self) -> type:
        if self.scheduler is not None:
            return scheduler_class(self.scheduler)
        from adasearch.train import Hyperparameters

        return Hyperparameters

    def check(self) -> None:
        """Try the ends of every range on the class that takes them.

        Raises:
            InputError: an unknown field, or values that the class refuses.
        """
        known = self._class_defaults()
        hints = get_type_hints(self._owner_class())
        for name, field in self.fields.items():
            if name not in known:
                raise unknown(f"field of {self.scheduler or 'training'}", name, known)
            for value in field.ends():
                if not _fits(hints[name], value) or (hints[name] is int and field.float_ is not None):
                    raise InputError(f"field {name} takes {_wanted(hints[name])} but got {value!r}")
                try:
                    if self.scheduler is not None:
                        make_scheduler(self.scheduler, {name: value})
                    else:
                        self._owner_class()(**{name: value})
                except ValueError as error:
                    raise InputError(f"field {name}: {error}") from error


def _fits(hint: object, value: Value) -> bool:
    """Tell whether a value has the type that a dataclass field declares."""
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is int:
        return isinstance(value, int)
    if hint is float:
        return isinstance(value, int | float)
    return isinstance(value, str)


def _wanted(hint: object) -> str:
    names: dict[object, str] = {bool: "true or false", int: "whole numbers", float: "numbers"}
    return names.get(hint, "a name")


def parse_space(content: object, origin: str) -> Space:
    """Return the space that a parsed YAML document describes.

    Raises:
        InputError: it breaks a rule; the message begins with ``origin``.
    """
    try:
        space = Space.model_validate(content)
        space.check()
    except ValidationError as error:
        first = error.errors()[0]
        place = " ".join(str(part) for part in first["loc"] if part != "fields")
        raise InputError(f"{origin}: {place + ': ' if place else ''}{_plain(first['msg'])}") from error
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error
    return space


def _plain(message: str) -> str:
    if message.startswith("Input should be a valid dictionary"):
        return "must be a mapping with fields"
    return message.removeprefix("Value error, ").replace("Extra inputs are not permitted", "unknown key")


def _folder() -> Path:
    return Path(str(resources.files("adasearch") / "search_spaces"))


def space_names(kind: Literal["architectures", "schedulers"]) -> list[str]:
    """Return the names of the spaces that come with adasearch."""
    return sorted(path.stem for path in (_folder() / kind).glob("*.yaml"))


def load_space(kind: Literal["architectures", "schedulers"], name: str) -> Space:
    """Read a space by path, or by the name of one that comes with adasearch.

    Raises:
        InputError: no such space, no YAML, or a rule broken.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = _folder() / kind / f"{name}.yaml"
        if not path.exists():
            raise unknown(f"space for {kind}", name, space_names(kind))
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"space {name}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"space {name} is not YAML: {' '.join(str(error).split())}") from error
    space = parse_space(content, f"space {name}")
    if (space.kind == "train") != (kind == "architectures"):
        raise InputError(
            f"space {name} is for {'an architecture' if space.kind == 'train' else 'a scheduler'}"
        )
    return space
