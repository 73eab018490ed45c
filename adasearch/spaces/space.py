"""Search spaces: YAML to Optuna distributions.

A study takes one architecture file (``train/...``) and one scheduler file (``scheduler/...``)::

    scheduler: deba                                  # or  architecture: resnet18, or function: my_loop:train
    fields:
      window: {int: [3, 20], default: 15}
      stability_threshold: {float: [0.01, 1.0], log: true}
      rule: {choice: [settle, noise]}
      growth: {fixed: 1.5}
      confidence_threshold: {quantile: [0.1, 0.9]}   # of the indicator on the network's stability profile

``wrappers`` of any scheduler but ``constant``, which are off where they are left out, are searched alike::

    wrappers:
      cooldown: {int: [0, 10]}                       # intervals that a new size stays at least
      grow_only: {choice: [false, true]}

The fields of a ``function`` are whatever its user named them, beside ``lr`` and ``batch_size``.

A field that the file leaves out keeps the default of its class. ``default`` is the value of the first trial;
without one it is the class's default if the range holds it, else the middle of the range.
"""

import dataclasses
import re
import reprlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_type_hints

from optuna.distributions import BaseDistribution
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from adasearch.errors import InputError, text_of, unknown
from adasearch.io.yaml_text import plain_error, read_yaml
from adasearch.profiles.quantiles import CALIBRATED, QUANTILE
from adasearch.records import Value
from adasearch.schedulers.fields import WRAPPERS, field_kinds, fits, wanted
from adasearch.schedulers.registry import make_scheduler, scheduler_class
from adasearch.spaces.field import FieldSpace
from adasearch.training.config import OWN_RESERVED, Hyperparameters

__all__ = ["Space", "load_space", "parse_space", "space_names"]

FOLDER = Path(str(resources.files("adasearch") / "search_spaces"))


class Space(BaseModel):
    """The search space of a training, of a network or of a function, or of a scheduler, as in a YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str | None = None
    function: str | None = None
    scheduler: str | None = None
    fields: dict[str, FieldSpace] = {}

    @model_validator(mode="before")
    @classmethod
    def _wrappers_are_fields(cls, data: object) -> object:
        if not (isinstance(data, dict) and "wrappers" in data):
            return data
        wrappers, fields = data["wrappers"], data.get("fields", {})
        for key, value in (("wrappers", wrappers), ("fields", fields)):
            if not isinstance(value, dict):
                raise ValueError(f"{key} must be a mapping but got {reprlib.repr(value)}")
        named = {f"wrappers.{name}": value for name, value in wrappers.items()}
        return {key: value for key, value in data.items() if key != "wrappers"} | {"fields": fields | named}

    @model_validator(mode="after")
    def _one_owner(self) -> "Space":
        if sum(each is not None for each in (self.architecture, self.function, self.scheduler)) != 1:
            raise ValueError("give exactly one of architecture: NAME and scheduler: NAME")
        if ":" in (self.scheduler or "") and not re.fullmatch(r"[^\W\d][\w.]*:\w+", str(self.scheduler)):
            raise ValueError(f"scheduler must be a name or module:Class but got {self.scheduler!r}")
        for name in self.fields:
            if not re.fullmatch(r"[\w.]+", name):
                raise ValueError(f"a field's name must be letters, digits, '_' or '.' but got {name!r}")
        return self

    @property
    def kind(self) -> Literal["train", "scheduler"]:
        """The prefix of this space's parameters."""
        return "train" if self.scheduler is None else "scheduler"

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the searched parameters by prefixed name."""
        found = {self._key(name): field.distribution() for name, field in self.fields.items()}
        return {name: distribution for name, distribution in found.items() if distribution is not None}

    def quantiles(self) -> list[str]:
        """Return the fields whose value is a quantile of a stability profile."""
        return [name for name, field in self.fields.items() if field.quantile is not None]

    def _key(self, name: str) -> str:
        return f"{QUANTILE if name in self.quantiles() else self.kind}/{name}"

    def fixed(self) -> dict[str, Value]:
        """Return every parameter that is not searched by prefixed name: fixed ones, and class defaults.

        A threshold that is searched as a quantile is no part of it: its value follows from a profile.
        """
        searched = {*self.distributions(), *(f"{self.kind}/{name}" for name in self.quantiles())}
        values: dict[str, Value] = self._class_defaults()
        values |= {name: field.fixed for name, field in self.fields.items() if field.fixed is not None}
        prefixed = {f"{self.kind}/{name}": value for name, value in values.items()}
        return {name: value for name, value in prefixed.items() if name not in searched}

    def first(self) -> dict[str, Value]:
        """Return the searched parameters of the first trial: our documented defaults."""
        defaults = self._class_defaults()
        searched = self.distributions()
        return {
            self._key(name): field.first(defaults.get(name))
            for name, field in self.fields.items()
            if self._key(name) in searched
        }

    def first_values(self) -> dict[str, Value]:
        """Return all values of the first trial by bare name, but for thresholds given as quantiles."""
        start, point = f"{self.kind}/", {**self.fixed(), **self.first()}
        return {name.removeprefix(start): value for name, value in point.items() if name.startswith(start)}

    def ends(self, name: str) -> tuple[Value, ...]:
        """Return what :meth:`FieldSpace.ends` says of a field; of one left out, the class's default."""
        field = self.fields.get(name)
        return (self._class_defaults()[name],) if field is None else field.ends()

    def with_fixed(self, name: str, value: Value, flag: str = "--set") -> "Space":
        """Return this space with one field fixed, which ``flag`` asked for.

        Raises:
            InputError: no such field, or a value that its class refuses.
        """
        return parse_space(
            {
                **self.model_dump(by_alias=True, exclude_none=True),
                "fields": {**self._raw(), name: {"fixed": value}},
            },
            flag,
            self.scheduler,
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

    def lr_schedules(self) -> frozenset[str]:
        """Return the learning-rate schedules that the scheduler of the first trial may be combined with."""
        return make_scheduler(self.scheduler or "", self.first_values()).lr_schedules

    def to_json(self) -> str:
        """Return the space as JSON."""
        return self.model_dump_json(by_alias=True, exclude_defaults=True)

    def complete(self) -> "Space":
        """Return the space with the class's defaults for fields that it leaves out, sorted by name.

        Two spaces that search the same are then equal, and a default that changes is another space.
        """
        defaults = {name: FieldSpace(fixed=value) for name, value in self._class_defaults().items()}
        return self.model_copy(update={"fields": dict(sorted({**defaults, **self.fields}.items()))})

    def _raw(self) -> dict[str, object]:
        return {
            name: field.model_dump(by_alias=True, exclude_defaults=True)
            for name, field in self.fields.items()
        }

    def _class_defaults(self) -> dict[str, Value]:
        fields: Any = dataclasses.fields(self._owner_class())
        own: dict[str, Value] = {field.name: field.default for field in fields}
        if self.function is not None:
            return {name: own[name] for name in OWN_RESERVED}
        # Of the wrappers only those that are given: a space without them is the one it always was.
        return {name: WRAPPERS[name] for name in WRAPPERS if name in self.fields} | own

    def _owner_class(self) -> type:
        if self.scheduler is not None:
            return scheduler_class(self.scheduler)
        return Hyperparameters

    def check(self) -> None:
        """Try every range on the class that takes it, and the first point as a whole.

        Raises:
            InputError: an unknown field, or values that the class refuses.
        """
        kinds = self._kinds()
        for name, field in self.fields.items():
            if name not in kinds and self.function is None:
                raise unknown(f"field of {self.scheduler or 'training'}", name, kinds)
            if field.quantile is not None:
                known = CALIBRATED.get(self.scheduler or "", {})
                if name not in known:
                    raise InputError(
                        f"field {name} takes no quantile; those that do: "
                        + "; ".join(f"{owner}: {', '.join(names)}" for owner, names in CALIBRATED.items())
                    )
                continue
            for value in field.probes() if name in kinds else ():
                if not fits(kinds[name], value) or (kinds[name] is int and field.float_ is not None):
                    raise InputError(f"field {name} takes {wanted(kinds[name])} but got {value!r}")
        own = self.first_values()
        for name, field in self.fields.items():
            for value in () if field.quantile is not None else field.probes():
                self._try_beside(name, value, own)
        self._try("the first trial", own)

    def _kinds(self) -> dict[str, object]:
        """Return the kinds of fields by name; a training function alone knows what its others are."""
        if self.scheduler is not None:
            return dict(field_kinds(scheduler_class(self.scheduler)))
        kinds = get_type_hints(Hyperparameters)
        return kinds if self.function is None else {name: kinds[name] for name in OWN_RESERVED}

    def _try_beside(self, name: str, value: Value, first: Mapping[str, Value]) -> None:
        """Try a value beside the class's defaults or, where it does not suit them, the first trial's."""
        try:
            self._try(f"field {name}", {name: value})
        except InputError:
            self._try(f"field {name}", {**first, name: value})

    def _try(self, what: str, values: Mapping[str, Value]) -> None:
        try:
            if self.scheduler is not None:
                make_scheduler(self.scheduler, values)
            elif self.function is not None:
                self._owner_class()(**{name: values[name] for name in OWN_RESERVED if name in values})
            else:
                self._owner_class()(**values)
        except ValueError as error:
            raise InputError(f"{what}: {error}") from error


def parse_space(content: object, origin: str, own: str | None = None) -> Space:
    """Return the space that a parsed YAML document describes.

    ``own`` is the scheduler that the user named: only its ``module:Class`` is imported.

    Raises:
        InputError: it breaks a rule; the message begins with ``origin``.
    """
    try:
        space = Space.model_validate(content)
        if ":" in (space.scheduler or "") and space.scheduler != own:
            raise InputError(f"is for {space.scheduler}, which is not the scheduler that was named")
        space.check()
    except ValidationError as error:
        raise InputError(f"{origin}: {plain_error(error.errors()[0])}") from error
    except InputError as error:
        raise InputError(f"{origin}: {text_of(error)}") from error
    return space


def space_names(kind: Literal["architectures", "schedulers"]) -> list[str]:
    """Return the names of the spaces that come with adasearch."""
    return sorted(path.stem for path in (FOLDER / kind).glob("*.yaml"))


def load_space(kind: Literal["architectures", "schedulers"], name: str, own: str | None = None) -> Space:
    """Read a space by path, or by the name of one that comes with adasearch; ``own`` as for parsing one.

    Raises:
        InputError: no such space, no YAML, or a rule broken.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / kind / f"{name}.yaml"
        if name not in space_names(kind):
            raise unknown(f"space for {kind}", name, space_names(kind))
    space = parse_space(read_yaml(path, f"space {name}"), f"space {name}", own)
    if (space.kind == "train") != (kind == "architectures"):
        raise InputError(
            f"space {name} is for {'an architecture' if space.kind == 'train' else 'a scheduler'}"
        )
    return space
