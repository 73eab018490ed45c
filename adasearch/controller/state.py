"""What a controller's checkpoint holds, in plain values, and who may read it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypedDict

from adasearch._version import __version__
from adasearch.controller.sampler import SamplerState
from adasearch.errors import InputError
from adasearch.records import Action, Decision, Limits, Signals
from adasearch.signals.interval import IntervalState

__all__ = ["ControllerState", "check_origin", "decision_state", "history_of", "history_state"]


class DecisionState(TypedDict):
    """A :class:`~adasearch.records.Decision` in plain values."""

    batch_size: int
    lr_scale: float
    action: Action
    reason: str


class HistoryState(TypedDict):
    """A history as the names of its columns and its rows."""

    columns: list[str]
    rows: list[list[float | None]]


class RunningInterval(IntervalState):
    """An interval under way, and the mark in examples at which it ends."""

    mark: int


class ControllerState(TypedDict):
    """A controller between two steps."""

    version: str
    scheduler: str
    steps: int
    examples_seen: int
    initial_batch_size: int
    lr_scale: float
    decision: DecisionState
    history: HistoryState
    interval: RunningInterval | None
    sampler: SamplerState


def decision_state(decision: Decision) -> DecisionState:
    """Return a decision in plain values."""
    return {
        "batch_size": decision.batch_size,
        "lr_scale": decision.lr_scale,
        "action": decision.action,
        "reason": decision.reason,
    }


def history_state(history: Sequence[Signals]) -> HistoryState:
    """Return a history in plain values."""
    columns = [field.name for field in dataclasses.fields(Signals)]
    return {"columns": columns, "rows": [[getattr(row, name) for name in columns] for row in history]}


def history_of(state: HistoryState) -> list[Signals]:
    """Return the history that was written down."""
    columns = state["columns"]
    return [Signals(**dict(zip(columns, row, strict=True))) for row in state["rows"]]  # type: ignore[arg-type]


def check_origin(state: ControllerState, scheduler: object, limits: Limits) -> None:
    """Refuse the checkpoint of another scheduler, of other fields, of another version, or of other limits.

    Raises:
        InputError: with both names.
    """
    if not isinstance(state, Mapping) or not state.keys() >= ControllerState.__required_keys__:
        raise InputError("this is no state of a controller: that is what its state_dict() returned")
    if state["version"] != __version__:
        raise InputError(
            f"the checkpoint was written by adasearch {state['version']}, but this is {__version__}"
        )
    if state["scheduler"] != repr(scheduler):
        raise InputError(
            f"the checkpoint is of scheduler {state['scheduler']}, but this controller has {scheduler!r}"
        )
    size = state["decision"]["batch_size"]
    if not limits.admit(size):
        raise InputError(f"the checkpoint goes on with batch_size={size}, outside {limits}")
