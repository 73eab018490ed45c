"""Whether a value is of the kind that a dataclass field declares."""

import dataclasses
from numbers import Integral, Real
from typing import Literal, get_origin, get_type_hints

from adasearch.records import Value
from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.constant import Constant

__all__ = ["FOLLOWED", "WRAPPERS", "field_kinds", "field_names", "fits", "wanted"]

LARGEST = 2**53  # whole numbers up to here are floats, too, without rounding


def fits(hint: object, value: object) -> bool:
    """Tell whether ``value`` is of the kind ``hint``; kinds other than those of :func:`wanted` take any.

    >>> fits(int, 3), fits(int, 3.5), fits(float, 3), fits(float, True), fits(str, 3)
    (True, False, True, False, False)
    >>> fits(float, 10**400)
    False
    """
    if isinstance(value, Integral) and abs(int(value)) > LARGEST:
        return False
    if hint is bool or isinstance(value, bool):
        return isinstance(value, bool) and hint not in (int, float, str) and get_origin(hint) is not Literal
    if hint is int:
        return isinstance(value, Integral)
    if hint is float:
        return isinstance(value, Real)
    if hint is str or get_origin(hint) is Literal:
        return isinstance(value, str)
    return True


def wanted(hint: object) -> str:
    """Return what the kind is called in a message."""
    names: dict[object, str] = {bool: "true or false", int: "whole numbers", float: "numbers"}
    return names.get(hint, "a name")


WRAPPERS: dict[str, Value] = {
    "wrappers.cooldown": 0,
    "wrappers.grow_only": False,
    "wrappers.beta2": False,
    "wrappers.weight_decay": False,
}
"""What may wrap a scheduler, as fields beside its own, and the value that stands for no wrapper."""


FOLLOWED = ("wrappers.beta2", "wrappers.weight_decay")
"""Those of them by which more of the optimiser than its learning rate follows the size."""


def field_names(cls: type[BatchSizeScheduler]) -> list[str]:
    """Return the names of a scheduler's own hyperparameters."""
    return [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]


def field_kinds(cls: type[BatchSizeScheduler]) -> dict[str, object]:
    """Return the declared kind of every field that a scheduler may be given, those of ``WRAPPERS`` last."""
    hints = get_type_hints(cls)
    own = {name: hints[name] for name in field_names(cls)}
    # A constant size has nothing to wrap, and every scheduler's search shares the one constant study.
    return own if cls is Constant else own | {name: type(default) for name, default in WRAPPERS.items()}
