"""Whether a checkpoint is of the run that is to go on, although another version of adasearch wrote it.

A checkpoint keeps the ``repr`` of what its run was told. A later version may know more fields; a run that has
these at their defaults, or as that version did, is the same run.
"""

import ast
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["difference", "text_of"]

FORMER = {"noise": "raw"}
"""What a version without a field did, by the field's name, where its default is another."""

_NAMES = {"inf": math.inf, "nan": math.nan, "None": None, "True": True, "False": False}


def text_of(told: object) -> str:
    """Return what a checkpoint keeps of something that its run was told."""
    return told if isinstance(told, str) else repr(told)


def difference(stored: str, present: object) -> str | None:
    """Return in what a stored ``repr`` is of something else than ``present``; None if it is not.

    >>> from adasearch.records import Limits
    >>> difference("Limits(smallest=16, largest=64)", Limits(smallest=16, largest=64))
    >>> difference("Limits(smallest=16, largest=32)", Limits(smallest=16, largest=64))
    'largest 32, not 64'
    """
    if stored == text_of(present):
        return None
    if isinstance(present, str):
        return f"{stored}, not {present}"
    try:
        return _difference(_parsed(ast.parse(stored, mode="eval").body), present, "")
    except (SyntaxError, ValueError):  # the repr of a class that has one of its own
        return f"{stored}, not {present!r}"


def _parsed(node: ast.expr) -> Any:
    """Return the values of a dataclass's ``repr`` by field, and its class's name under ""."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "frozenset":  # another order in each process
        return frozenset(*map(ast.literal_eval, node.args))
    if isinstance(node, ast.Call) and not node.args:
        name = ast.unparse(node.func).rpartition(".")[2]
        return {"": name, **{str(each.arg): _parsed(each.value) for each in node.keywords}}
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    return ast.literal_eval(node)


def _difference(stored: Any, present: Any, name: str) -> str | None:
    if not dataclasses.is_dataclass(present):
        return None if stored == present else f"{name} {stored!r}, not {present!r}".strip()
    kind = type(present).__name__
    if not isinstance(stored, Mapping) or stored[""] != kind:
        there = stored[""] if isinstance(stored, Mapping) else repr(stored)
        return f"{name} {there}, not {kind}".strip()
    known = {field.name: field for field in dataclasses.fields(present)}
    if gone := sorted(stored.keys() - known.keys() - {""}):
        return f"{gone[0]} {stored[gone[0]]!r}, which this version does not know"
    for field in known.values():
        value = getattr(present, field.name)
        if field.name in stored:
            found = _difference(stored[field.name], value, field.name)
        else:  # a field of a later version
            same = value in (field.default, FORMER.get(field.name, field.default))
            found = None if same else f"{field.name} unknown, not {value!r}"
        if found is not None:
            return found
    return None
