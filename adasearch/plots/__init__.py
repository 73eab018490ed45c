"""Figures of stored results, for notebooks and reports; they need matplotlib.

Each function returns a matplotlib Figure of its own and touches no global state.
"""

from typing import TYPE_CHECKING

from adasearch.lazy import lazily

if TYPE_CHECKING:
    from adasearch.plots.axes import left_title, plain_axes
    from adasearch.plots.confirmed import against_controls
    from adasearch.plots.importance import interaction_map
    from adasearch.plots.profiles import (
        critical_batch,
        modelled_against_measured,
        score_against_gain,
        throughput,
    )
    from adasearch.plots.replay import replay_sizes
    from adasearch.plots.search import pareto
    from adasearch.plots.signals import deba_signals
    from adasearch.plots.style import ADAPTIVE, CONSTANT, GREY, INK, WIDTH
    from adasearch.plots.trajectories import batch_sizes

__all__ = [
    "ADAPTIVE",
    "CONSTANT",
    "GREY",
    "INK",
    "WIDTH",
    "against_controls",
    "batch_sizes",
    "critical_batch",
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

_HOMES = {
    "axes": "left_title plain_axes",
    "confirmed": "against_controls",
    "importance": "interaction_map",
    "profiles": "critical_batch modelled_against_measured score_against_gain throughput",
    "replay": "replay_sizes",
    "search": "pareto",
    "signals": "deba_signals",
    "style": "ADAPTIVE CONSTANT GREY INK WIDTH",
    "trajectories": "batch_sizes",
}

__getattr__ = lazily(
    __name__,
    {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names.split()},
)
