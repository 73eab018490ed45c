"""Figures of stored results, for notebooks and reports; they need matplotlib."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adasearch.plots.confirmed import against_controls
    from adasearch.plots.importance import interaction_map
    from adasearch.plots.profiles import modelled_against_measured, score_against_gain, throughput
    from adasearch.plots.replay import replay_sizes
    from adasearch.plots.search import (
        ADAPTIVE,
        CONSTANT,
        GREY,
        INK,
        WIDTH,
        batch_sizes,
        deba_signals,
        left_title,
        pareto,
        plain_axes,
    )

__all__ = [
    "ADAPTIVE",
    "CONSTANT",
    "GREY",
    "INK",
    "WIDTH",
    "against_controls",
    "batch_sizes",
    "deba_signals",
    "interaction_map",
    "left_title",
    "modelled_against_measured",
    "pareto",
    "plain_axes",
    "replay_sizes",
    "score_against_gain",
    "throughput",
]

_HOME = {
    "ADAPTIVE": "adasearch.plots.search",
    "CONSTANT": "adasearch.plots.search",
    "GREY": "adasearch.plots.search",
    "INK": "adasearch.plots.search",
    "WIDTH": "adasearch.plots.search",
    "batch_sizes": "adasearch.plots.search",
    "deba_signals": "adasearch.plots.search",
    "left_title": "adasearch.plots.search",
    "pareto": "adasearch.plots.search",
    "plain_axes": "adasearch.plots.search",
    "against_controls": "adasearch.plots.confirmed",
    "interaction_map": "adasearch.plots.importance",
    "modelled_against_measured": "adasearch.plots.profiles",
    "score_against_gain": "adasearch.plots.profiles",
    "throughput": "adasearch.plots.profiles",
    "replay_sizes": "adasearch.plots.replay",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
