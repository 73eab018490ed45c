"""The values that one parameter of a search space may take."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, TypeGuard

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from adasearch.records import Value

__all__ = ["FieldSpace", "scalar"]


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
        if not value.isprintable():
            raise ValueError(f"needs a name without control characters but got {reprlib.repr(value)}")
    return value


Scalar = Annotated[bool | int | float | str, BeforeValidator(scalar)]
Real = Annotated[float, BeforeValidator(scalar), Field(strict=True)]
Whole = Annotated[int, Field(strict=True, gt=-(2**53), lt=2**53)]  # what floats hold exactly
PROBES = 100  # whole numbers of a range that are tried on the class; a gap lies near its beginning


class FieldSpace(BaseModel):
    """The values that one parameter may take; exactly one of the first five is given.

    ``quantile`` is a range within [0, 1], of the indicators that a threshold is compared with, on the
    network's profile (see :mod:`adasearch.profiles.quantiles`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    float_: tuple[Real, Real] | None = Field(None, alias="float")
    int_: tuple[Whole, Whole] | None = Field(None, alias="int")
    choice: tuple[Scalar, ...] | None = Field(None, min_length=1)
    fixed: Scalar | None = None
    quantile: tuple[Real, Real] | None = None
    log: bool = False
    default: Scalar | None = None

    @model_validator(mode="before")
    @classmethod
    def _known_form(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        for kind in ("float", "int", "quantile"):
            ends = data.get(kind)
            if ends is not None and not (isinstance(ends, list | tuple) and len(ends) == 2):
                raise ValueError(f"{kind} takes [low, high] but got {reprlib.repr(ends)}")
        return data

    @model_validator(mode="after")
    def _one_kind(self) -> "FieldSpace":
        kinds = (self.float_, self.int_, self.choice, self.fixed, self.quantile)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(
                "give exactly one of float: [low, high], int: [low, high], choice: [...], fixed: value, "
                "quantile: [low, high]"
            )
        if self.log and (self.float_ is None and self.int_ is None):
            raise ValueError("log goes with float or int")
        if self.range is not None:
            self._check_range(*self.range)
        elif self.choice is not None and self.default is not None and self.default not in self.choice:
            raise ValueError(f"default {self.default!r} is not one of the choices {list(self.choice)}")
        return self

    def _check_range(self, low: float, high: float) -> None:
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(
                f"the range must run from a lower to a higher number but got [{low:g}, {high:g}]"
            )
        if self.quantile is not None and not (low >= 0 and high <= 1):
            raise ValueError(f"a quantile must lie in 0 to 1 but got [{low:g}, {high:g}]")
        if self.log and low <= 0:
            raise ValueError(f"a log range must begin above 0 but got [{low:g}, {high:g}]")
        if self.default is not None:
            if not (_number(self.default) and low <= self.default <= high):
                raise ValueError(f"default {self.default!r} lies outside [{low:g}, {high:g}]")
            if self.int_ is not None and not isinstance(self.default, int):
                raise ValueError(f"default must be a whole number but got {self.default!r}")

    @property
    def range(self) -> tuple[float, float] | tuple[int, int] | None:
        """Low and high end, both included; None for choices and fixed values."""
        if self.quantile is not None:
            return self.quantile
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
        if self.quantile is not None:
            return FloatDistribution(*self.quantile)
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
        if self.quantile is None and _number(class_default) and low <= class_default <= high:
            value = class_default
        return round(value) if self.int_ is not None else value


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
