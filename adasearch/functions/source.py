"""A training function by its name, and the digest of the source that it came from."""

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from adasearch.errors import InputError
from adasearch.user_code import load_own, source_of_given

__all__ = ["digest_of", "function_of"]

KIND = "training function"
DIGEST_BYTES = 8


def function_of(name: str) -> Callable[[Any], object]:
    """Return the function that ``module:function`` names.

    Raises:
        InputError: there is none.
    """
    if ":" not in name:
        raise InputError(f"--train must be module:function but got {name!r}")
    found = load_own(KIND, name)
    if not callable(found):
        raise InputError(f"{KIND} {name!r} must be a function of a trial but is {type(found).__name__}")
    digest_of(name)  # as it is imported
    return cast(Callable[[Any], object], found)


def digest_of(name: str) -> str:
    """Return a digest of the source of a function's module, as it was when it was first asked for.

    Of a function that was given as an object it is that of the function alone.

    Raises:
        InputError: it has no source.
    """
    given = source_of_given(name)
    return _of_module(name) if given is None else _digest(given.encode())


def _digest(source: bytes) -> str:
    return hashlib.blake2b(source, digest_size=DIGEST_BYTES).hexdigest()


@cache
def _of_module(name: str) -> str:
    load_own(KIND, name)
    module = name.partition(":")[0]
    spec = find_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise InputError(f"{KIND} {name!r} must lie in a file, from which others can import it")
    return _digest(Path(spec.origin).read_bytes())
