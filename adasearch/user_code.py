"""What a user names as ``module:attribute``: schedulers, networks and data of their own.

The current folder is searched for these alone, and last. On the path of every command, a file that lies there
by chance would take the place of a library, or of an optional one that some library tries to import.
"""

import importlib
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec

from adasearch.errors import InputError, one_line

__all__ = ["find_own", "load_own"]


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
    module, _, attribute = name.partition(":")
    top = module.partition(".")[0]
    try:
        if top not in sys.modules and not find_spec(top) and find_own(top):
            sys.path.append(os.getcwd())
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever the user's module does when it is imported
        raise InputError(f"{kind} {name!r} cannot be imported: {one_line(error)}") from error
