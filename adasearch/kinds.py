"""Whether a value is of the kind that a dataclass field declares."""

from numbers import Integral, Real
from typing import Literal, get_origin

__all__ = ["fits", "wanted"]

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
