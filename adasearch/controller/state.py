"""What a controller's checkpoint holds, in plain values, and who may read it."""

from collections.abc import Mapping
from typing import Any, TypedDict

from adasearch.controller.sampler import SamplerState
from adasearch.errors import InputError
from adasearch.records import Limits
from adasearch.signals.interval_state import IntervalState

__all__ = ["VERSION", "ControllerState", "MarkedInterval", "readable"]

VERSION = 1
"""Of the format. Version 0.2.0 of adasearch wrote its own in this place, and the history by columns."""


class MarkedInterval(IntervalState):
    """An interval under way, and the mark in examples at which it ends."""

    mark: int


class ControllerState(TypedDict):
    """A controller between two steps."""

    version: int
    scheduler: str
    steps: int
    examples_seen: int
    initial_batch_size: int
    lr_scale: float
    decision: dict[str, Any]
    history: list[dict[str, Any]]
    interval: MarkedInterval | None
    sampler: SamplerState


def readable(state: ControllerState, scheduler: object, limits: Limits) -> ControllerState:
    """Return a state in the present format, if it is that of a controller such as this one.

    Raises:
        InputError: it is not, or of a newer format, of another scheduler or other fields of it, or it goes on
            at a size outside the limits; the message has both names.
    """
    if not isinstance(state, Mapping) or not state.keys() >= ControllerState.__required_keys__:
        raise InputError("this is no state of a controller: that is what its state_dict() returned")
    state = _upgraded(state)
    if state["scheduler"] != repr(scheduler):
        raise InputError(
            f"the checkpoint is of scheduler {state['scheduler']}, but this controller has {scheduler!r}"
        )
    size = state["decision"]["batch_size"]
    if not limits.admit(size):
        raise InputError(f"the checkpoint goes on with batch_size={size}, outside {limits}")
    return state


def _upgraded(state: Any) -> ControllerState:
    """Return a state of this format or an earlier one in this one."""
    version = state["version"]
    if version == "0.2.0":
        columns, rows = state["history"]["columns"], state["history"]["rows"]
        history = [dict(zip(columns, row, strict=True)) for row in rows]
        return {**state, "version": VERSION, "history": history}  # type: ignore[typeddict-item]
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise InputError(
            f"the checkpoint has format {version}, but this adasearch reads those up to {VERSION}"
        )
    found: ControllerState = state
    return found
