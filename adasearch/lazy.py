"""Public names of a package that are imported when they are first asked for (PEP 562)."""

from importlib import import_module

TYPE_CHECKING = False  # that of typing, which `python -m` would take from the current folder; see __main__
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["lazily"]


def lazily(package: str, homes: "Mapping[str, str]") -> "Callable[[str], object]":
    """Return a package's ``__getattr__``: ``homes`` are the modules of its public names.

    >>> lazily("adasearch", {"Limits": "adasearch.limits"})("Limits").default(800, workers=1)
    Limits(smallest=16, largest=100, multiple_of=1)
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    return get
