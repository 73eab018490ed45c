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
import re
import reprlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, TypeGuard, get_type_hints

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from adasearch.errors import InputError, unknown
from adasearch.records import Value
from adasearch.schedulers import make_scheduler, scheduler_class

__all__ = ["FieldSpace", "Space", "load_space", "parse_space", "scalar", "space_names"]


def scalar(value: object) -> Value:
    """Return a single value of a YAML document; YAML reads 1e-3 as text, a person means a number.

    Raises:
        ValueError: it is no single value.

    >>> scalar("1e-3"), scalar("cosine")
    (0.001, 'cosine')
    """
    if not isinstance(value, bool | int | float | str):
        raise ValueError(f"needs a number, a name, true or false but got {reprlib.repr(value)}")
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)
    return value


Scalar = Annotated[bool | int | float | str, BeforeValidator(scalar)]
Real = Annotated[float, BeforeValidator(scalar), Field(strict=True)]
Whole = Annotated[int, Field(strict=True, gt=-(2**53), lt=2**53)]  # what floats hold exactly
PROBES = 100  # whole numbers of a range that are tried on the class; a gap lies near its beginning


class FieldSpace(BaseModel):
    """The values that one parameter may take; exactly one of the first four is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    float_: tuple[Real, Real] | None = Field(None, alias="float")
    int_: tuple[Whole, Whole] | None = Field(None, alias="int")
    choice: tuple[Scalar, ...] | None = Field(None, min_length=1)
    fixed: Scalar | None = None
    log: bool = False
    default: Scalar | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_form(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        if "quantile" in data:
            raise ValueError(
                "a quantile needs a stability profile, which this version cannot make; use float: [low, high]"
            )
        for kind in ("float", "int"):
            ends = data.get(kind)
            if ends is not None and not (isinstance(ends, list | tuple) and len(ends) == 2):
                raise ValueError(f"{kind} takes [low, high] but got {reprlib.repr(ends)}")
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
        if self.default is not None:
            if not (_number(self.default) and low <= self.default <= high):
                raise ValueError(f"default {self.default!r} lies outside [{low:g}, {high:g}]")
            if self.int_ is not None and not isinstance(self.default, int):
                raise ValueError(f"default must be a whole number but got {self.default!r}")
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

    def probes(self) -> Sequence[Value]:
        """Values that stand for all: the ends and, of a range of whole numbers, the first ones."""
        if self.int_ is None:
            return self.ends()
        low, high = self.int_
        return [*range(low, min(high, low + PROBES)), high]

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
            return self.default
        if self.range is None:
            options = self.ends()
            return class_default if class_default in options else options[0]
        low, high = self.range
        value = math.sqrt(low * high) if self.log else (low + high) / 2
        if _number(class_default) and low <= class_default <= high:
            value = class_default
        return round(value) if self.int_ is not None else value


def _number(value: object) -> TypeGuard[int | float]:
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
        if ":" in (self.scheduler or "") and not re.fullmatch(r"[^\W\d][\w.]*:\w+", str(self.scheduler)):
            raise ValueError(f"scheduler must be a name or module:Class but got {self.scheduler!r}")
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

    def ends(self, name: str) -> tuple[Value, ...]:
        """Return what :meth:`FieldSpace.ends` says of a field; of one left out, the class's default."""
        field = self.fields.get(name)
        return (self._class_defaults()[name],) if field is None else field.ends()

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
        values = self.ends(name)
        if allowed.issuperset(map(str, values)):
            return self
        kept = sorted(allowed.intersection(map(str, values))) or sorted(allowed)
        if len(kept) == 1:
            return self.with_fixed(name, kept[0])
        return self.model_copy(update={"fields": {**self.fields, name: FieldSpace(choice=tuple(kept))}})

    def within(self, name: str, smallest: int, largest: int) -> "Space":
        """Return this space with a field of whole numbers and its default cut to a range."""

        def inside(value: Value) -> int:
            return min(max(int(value), smallest), largest)

        field = self.fields.get(name)
        sizes = list(dict.fromkeys(map(inside, self.ends(name))))
        if field is None or len(sizes) == 1:
            return self.with_fixed(name, sizes[0])
        default = None if field.default is None else inside(field.default)
        kind = "choice" if field.int_ is None else "int"
        cut = FieldSpace.model_validate({kind: sizes, "log": field.log, "default": default})
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
        defaults = {field.name: field.default for field in dataclasses.fields(self._owner_class())}
        for name, default in defaults.items():
            if default is dataclasses.MISSING:
                raise InputError(f"field {name} of {self.scheduler or 'training'} must have a default")
        return defaults  # type: ignore[return-value]

    def _owner_class(self) -> type:
        if self.scheduler is not None:
            return scheduler_class(self.scheduler)
        from adasearch.train import Hyperparameters

        return Hyperparameters

    def check(self) -> None:
        """Try every range on the class that takes it, and the first point as a whole.

        Raises:
            InputError: an unknown field, or values that the class refuses.
        """
        known = self._class_defaults()
        hints = get_type_hints(self._owner_class())
        for name, field in self.fields.items():
            if name not in known:
                raise unknown(f"field of {self.scheduler or 'training'}", name, known)
            for value in field.probes():
                if not _fits(hints[name], value) or (hints[name] is int and field.float_ is not None):
                    raise InputError(f"field {name} takes {_wanted(hints[name])} but got {value!r}")
                self._try(f"field {name}", {name: value})
        point = {**self.fixed(), **self.first()}
        self._try("the first trial", {name.partition("/")[2]: value for name, value in point.items()})

    def _try(self, what: str, values: Mapping[str, Value]) -> None:
        try:
            if self.scheduler is not None:
                make_scheduler(self.scheduler, values)
            else:
                self._owner_class()(**values)
        except ValueError as error:
            raise InputError(f"{what}: {error}") from error


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
        raise InputError(f"{origin}: {_plain(error.errors()[0])}") from error
    except InputError as error:
        raise InputError(f"{origin}: {' '.join(str(error).split())}") from error
    return space


def _plain(error: ErrorDetails) -> str:
    """Return pydantic's finding as one line that names place, rule and value."""
    place = " ".join(str(part) for part in error["loc"] if part != "fields")
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown key"
    elif error["type"] in ("dict_type", "model_type"):
        message = f"must be a mapping but got {reprlib.repr(error['input'])}"
    elif error["type"] != "value_error":
        message += f" but got {reprlib.repr(error['input'])}"
    return " ".join(f"{place}: {message}".removeprefix(": ").split())


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
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date that does not exist
        raise InputError(f"space {name} is not YAML: {' '.join(str(error).split())}") from error
    space = parse_space(content, f"space {name}")
    if (space.kind == "train") != (kind == "architectures"):
        raise InputError(
            f"space {name} is for {'an architecture' if space.kind == 'train' else 'a scheduler'}"
        )
    return space
