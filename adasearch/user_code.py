"""What a user names as ``module:attribute``: schedulers, networks and data of their own."""

import importlib

from adasearch.errors import InputError, one_line

__all__ = ["load_own"]


def load_own(kind: str, name: str) -> object:
    """Return what ``module:attribute`` names; ``kind`` says in the message what it was to be.

    Raises:
        InputError: no such module or attribute, or the module fails when it is imported.

    >>> load_own("function", "math:gcd")(12, 18)
    6
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # whatever the user's module does when it is imported
        raise InputError(f"{kind} {name!r} cannot be imported: {one_line(error)}") from error
