"""What a controller's checkpoint holds, in plain values, and who may read it."""

import reprlib
from collections.abc import Mapping
from numbers import Integral
from typing import Any, TypedDict

from adasearch.errors import InputError
from adasearch.signals.interval_state import IntervalState
from adasearch.training.same_run import difference

__all__ = ["VERSION", "ControllerState", "MarkedInterval", "SamplerState", "check_place", "readable"]

VERSION = 2
"""Of the format. Version 0.2.0 of adasearch wrote its own in this place, and the history by columns; format 1
has no random-number states."""


class _Place(TypedDict):
    examples: int
    seed: int
    drop_last: bool
    epoch: int
    offset: int
    batch_size: int
    drawn: list[int]


class SamplerState(_Place, total=False):
    """Where a sampler is: numbers and one short list; ``weights`` is their digest, if it draws by weight."""

    weights: str


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
    random: dict[str, Any] | None


def check_place(state: SamplerState) -> None:
    """Check the kinds of what a sampler's state holds.

    Raises:
        InputError: something is missing, or of another kind.
    """
    fits = isinstance(state, Mapping) and all(
        isinstance(state.get(name), list if name == "drawn" else Integral) or name == "seed"
        for name in SamplerState.__required_keys__
    )
    if not fits:
        raise InputError("this is no state of a sampler: that is what its state_dict() returned")


def readable(state: ControllerState, scheduler: object) -> ControllerState:
    """Return a state in the present format, if it is that of a controller with such a scheduler.

    Raises:
        InputError: it is not, or of a newer format, of another scheduler or other fields of it; the message
            has both names.
    """
    if not isinstance(state, Mapping) or not state.keys() >= ControllerState.__required_keys__ - {"random"}:
        raise InputError("this is no state of a controller: that is what its state_dict() returned")
    state = _upgraded(state)
    theirs = state["scheduler"]
    if not isinstance(theirs, str):
        raise InputError(f"the checkpoint's scheduler must be a text but is {reprlib.repr(theirs)}")
    if difference(theirs, scheduler) is not None:  # a version that knew fewer fields had the same
        raise InputError(
            f"the checkpoint is of scheduler {theirs[:300]}, but this controller has {scheduler!r}"
        )
    return state


def _upgraded(state: Any) -> ControllerState:
    """Return a state of this format or an earlier one in this one."""
    version = state["version"]
    if version != "0.2.0" and (type(version) is not int or not 1 <= version <= VERSION):
        told = (version if isinstance(version, str) else reprlib.repr(version))[:40]
        raise InputError(f"the checkpoint has format {told}, but this adasearch reads those up to {VERSION}")
    if version == VERSION and "random" not in state:
        raise InputError("this is no state of a controller: it has no random-number states")
    history = state["history"]
    if version == "0.2.0":
        try:
            history = [dict(zip(history["columns"], row, strict=True)) for row in history["rows"]]
        except (LookupError, TypeError, ValueError) as error:
            raise InputError("the checkpoint's history is no table of columns and rows") from error
    found: Any = {"random": None, **state, "version": VERSION, "history": history}
    upgraded: ControllerState = found
    return upgraded
