"""The user's own objects, named on the command line as ``module:name``."""

import importlib

from adasearch.errors import InputError

__all__ = ["load_object"]


def load_object(text: str, what: str) -> object:
    """Return what ``module:name`` stands for; ``what`` says in messages what it was to be.

    Raises:
        InputError: the module cannot be imported, or has no such name.

    >>> load_object("math:pi", "number")
    3.141592653589793
    """
    module, _, name = text.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the user's module does when it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{what} {text!r} cannot be imported: {reason}") from error
