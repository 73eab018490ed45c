"""The former place of :mod:`adasearch.data.sources`, for scripts that import its two functions from here."""

from adasearch.data.sources.registry import decode, open_source

__all__ = ["decode", "open_source"]
