"""What a user names as ``module:attribute``, or gives as a Python object: schedulers, networks, data.

The current folder is searched for these alone, and last. On the path of every command, a file that lies there
by chance would take the place of a library, or of an optional one that some library tries to import.

An object that no import can find, such as a function of a notebook, is known by a name that begins with
``python:``, in this process and, since it travels with the trials, on the workers.
"""

import difflib
import importlib
import inspect
import os
import re
import sys
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

from adasearch.errors import InputError, one_line

__all__ = ["find_own", "give", "load_own", "packed", "source_of_given", "unpack"]

GIVEN = "python"
"""The module, which is none, of objects that were given."""

_given: dict[str, object] = {}
_sources: dict[str, str] = {}  # of those, as far as it is known

MAX_ERROR = 300  # characters of what a user's module raises


def find_own(module: str) -> ModuleSpec | None:
    """Return where the top module of a dotted name lies, in the current folder at last; import nothing."""
    top = module.partition(".")[0]
    try:
        return find_spec(top) or PathFinder.find_spec(top, [""])
    except ValueError:  # it is no name, or that of a program
        return None


def load_own(kind: str, name: str) -> object:
    """Return what ``module:attribute`` names; ``kind`` says in the message what it was to be.

    Where the module lies in the current folder, that becomes the last one on ``sys.path``, for what it
    imports itself.

    Raises:
        InputError: no such module or attribute, or the module fails when it is imported.

    >>> load_own("function", "math:gcd")(12, 18)
    6
    """
    if name in _given:
        return _given[name]
    module, _, attribute = name.partition(":")
    top = module.partition(".")[0]
    if module == GIVEN:
        raise InputError(f"{kind} {name!r} was an object of another Python session; give it once more")
    if module.endswith(".py"):
        stem = module.removesuffix(".py").replace("/", ".").strip(".")
        raise InputError(
            f"{kind} {name!r} names a file and must name a module; did you mean {f'{stem}:{attribute}'!r}? "
            "modules are looked for in the current folder, too"
        )
    try:
        if top not in sys.modules and not find_spec(top) and find_own(top):
            sys.path.append(os.getcwd())
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever the user's module does when it is imported
        hint = _hint(error, module, attribute)
        raise InputError(
            f"{kind} {name!r} cannot be imported: {one_line(error)[:MAX_ERROR]}{hint}"
        ) from error


def give(thing: object, name: str | None = None) -> str:
    """Return the name by which an object is found from now on.

    It is ``module:attribute`` where an import finds it there, else ``python:`` and ``name``, or the name that
    it has itself; an object of that name takes the place of the former one.

    >>> import math
    >>> give(math.gcd), give(lambda: None, "net")
    ('math:gcd', 'python:net')
    """
    home, own = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if name is None and home not in (None, "__main__") and own is not None and _found(home, own) is thing:
        return f"{home}:{own}"
    bare = (name or own or type(thing).__name__).rpartition(".")[2]
    given = f"{GIVEN}:{re.sub(r'[^0-9A-Za-z]+', '_', bare).strip('_')}"
    _given[given] = thing
    _sources[given] = ""
    with suppress(OSError, TypeError):
        _sources[given] = inspect.getsource(thing)  # type: ignore[arg-type]
    return given


def source_of_given(name: str) -> str | None:
    """Return the source of an object that was given, as far as it is known; None for any other name."""
    return _sources.get(name)


def _found(module: str, attribute: str) -> object:
    """Return what an import would find; None if that is nothing."""
    return getattr(sys.modules.get(module), attribute, None)


def packed() -> bytes:
    """Return the objects that were given, for a process of ours to :func:`unpack`; empty if there are none.

    Raises:
        InputError: one of them cannot be pickled.
    """
    if not _given:
        return b""
    import cloudpickle  # type: ignore[import-untyped]

    try:
        return bytes(cloudpickle.dumps((_given, _sources)))
    except Exception as error:
        raise InputError(
            f"an object that was given cannot be sent to the workers: {one_line(error)[:MAX_ERROR]}"
        ) from error


def unpack(objects: bytes) -> None:
    """Know what another process of ours :func:`packed`."""
    if objects:
        import cloudpickle

        given, sources = cloudpickle.loads(objects)
        _given.update(given)
        _sources.update(sources)


def _hint(error: BaseException, module: str, attribute: str) -> str:
    """Return where a module was looked for, and which name may have been meant."""
    top = module.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and error.name in (top, module):
        near = difflib.get_close_matches(top, [path.stem for path in Path.cwd().glob("*.py")], n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        return f"; {meant}it is neither installed nor on PYTHONPATH nor in the current folder, {Path.cwd()}"
    if isinstance(error, AttributeError) and (found := sys.modules.get(module)) is not None:
        near = difflib.get_close_matches(attribute, [each for each in vars(found) if each[0] != "_"], n=1)
        return f"; did you mean {f'{module}:{near[0]}'!r}?" if near else ""
    return ""
