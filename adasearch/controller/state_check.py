"""Whether a controller's checkpoint holds what a controller can have written, before any of it is taken."""

import math
import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, NoReturn, get_args, get_type_hints

import torch
from torch import Tensor, nn

from adasearch.controller.random_numbers import check_random_numbers
from adasearch.controller.state import ControllerState, MarkedInterval, SamplerState
from adasearch.errors import InputError
from adasearch.records import Action, Decision, Limits, Signals
from adasearch.signal_sets import MEAN_GRADIENT, MEASURED, NOISE, PER_STEP, PRECONDITIONED

__all__ = ["check_state"]

MOST = 2**53  # whole numbers up to here are floats, too, without rounding
OF_GRADIENTS = PRECONDITIONED | frozenset(MEASURED)
OF_NOISE = NOISE | PRECONDITIONED
TOLD = OF_GRADIENTS | {"train_loss", "val_loss"}  # by the training, so they may be NaN or infinite
SIGNALS = get_type_hints(Signals)


def check_state(
    state: ControllerState,
    *,
    limits: Limits,
    needs: frozenset[str],
    parameters: Callable[[], Sequence[nn.Parameter]],
) -> None:
    """Check a state in the present format.

    Args:
        state: all its keys are there.
        limits: of the sizes to go on with.
        needs: the signals that are measured.
        parameters: asked for the trained ones if the state holds a sum of their gradients.

    Raises:
        InputError: a part is missing, of another type, outside its range, or contradicts another; the message
            names part and rule.
    """
    examples_seen = _whole(state["examples_seen"], "examples_seen")
    steps = _whole(state["steps"], "steps", most=examples_seen)
    initial = _whole(state["initial_batch_size"], "initial_batch_size", least=1)
    _factor(state["lr_scale"], "lr_scale")
    size = _check_decision(_mapping(state["decision"], "decision"), limits)
    sampler = _mapping(state["sampler"], "sampler", SamplerState.__required_keys__)
    examples = _whole(sampler["examples"], "sampler.examples", least=1)
    rows = _list(state["history"], "history")
    sizes = [_check_row(row, number, examples, initial, needs) for number, row in enumerate(rows)]
    for name, last in (("examples_seen", examples_seen), ("step", steps)):
        course = [row[name] for row in rows] + [last]
        if any(before > after for before, after in pairwise(course)):
            _refuse(
                f"history, in the order of its rows and {last} at the end, must not fall in {name}", course
            )
    _check_sampler(sampler, limits, size, max(initial, size, *sizes, 1), examples_seen)
    if state["interval"] is not None:
        interval = _mapping(state["interval"], "interval", MarkedInterval.__required_keys__)
        _check_interval(interval, steps, examples_seen, needs)
        gradient = _list(interval["mean_gradient"], "interval.mean_gradient")
        if interval["steps"] and not needs.isdisjoint(MEAN_GRADIENT) and not gradient:
            _refuse("interval.mean_gradient must be there, since the scheduler needs it", gradient)
        _check_gradient(gradient, parameters)
    check_random_numbers(state["random"])


def _refuse(rule: str, value: object) -> NoReturn:
    held = " ".join(reprlib.repr(value).split())
    raise InputError(f"the checkpoint is damaged or made up: {rule}, but it holds {held}")


def _whole(value: object, name: str, *, least: int = 0, most: int = MOST) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        _refuse(f"{name} must be a whole number from {least} to {most}", value)
    return int(value)


def _number(value: object, name: str, *, finite: bool = True) -> float:
    if (
        not isinstance(value, Real)
        or isinstance(value, bool)
        or (isinstance(value, Integral) and abs(int(value)) > MOST)
    ):
        _refuse(f"{name} must be a number", value)
    if finite and not math.isfinite(value):
        _refuse(f"{name} must be finite", value)
    return float(value)


def _factor(value: object, name: str) -> None:
    if _number(value, name) <= 0:
        _refuse(f"{name} must be greater than 0", value)


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        _refuse(f"{name} must be a list", value)
    return value


def _mapping(value: object, name: str, keys: Collection[str] = ()) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        _refuse(f"{name} must be a dictionary", value)
    if missing := sorted(set(keys) - value.keys()):
        _refuse(f"{name} must have {', '.join(missing)}", [*value])
    return value


def _check_decision(decision: Mapping[str, Any], limits: Limits) -> int:
    """Return the size that is gone on with."""
    _mapping(decision, "decision", [field.name for field in fields(Decision)])
    size = _size(decision["batch_size"], "decision.batch_size", limits)
    _factor(decision["lr_scale"], "decision.lr_scale")
    if decision["action"] not in get_args(Action):
        _refuse(f"decision.action must be one of {', '.join(get_args(Action))}", decision["action"])
    if not isinstance(decision["reason"], str):
        _refuse("decision.reason must be a text", decision["reason"])
    return size


def _size(value: object, name: str, limits: Limits) -> int:
    size = _whole(value, name, least=1)
    if not limits.admit(size):
        raise InputError(f"the checkpoint goes on with batch_size={size}, outside {limits}")
    return size


def _check_row(row: object, number: int, examples: int, initial: int, needs: frozenset[str]) -> int:
    """Return a row's batch size."""
    place = f"history[{number}]"
    wanted = {field.name for field in fields(Signals) if field.default is MISSING or field.name in needs}
    row = _mapping(row, place, wanted)
    for name, value in row.items():
        kind = SIGNALS.get(name)
        if kind is int:
            _whole(value, f"{place}.{name}")
        elif kind is not None and (name in wanted or value is not None):
            _number(value, f"{place}.{name}", finite=name not in TOLD)
    for name, expected in (
        ("interval", number),
        ("initial_batch_size", initial),
        ("epoch", row["examples_seen"] / examples),
    ):
        if row[name] != expected:
            _refuse(f"{place}.{name} must be {expected}", row[name])
    _factor(row["lr_scale"], f"{place}.lr_scale")
    return _whole(row["batch_size"], f"{place}.batch_size", least=1)


def _check_sampler(
    sampler: Mapping[str, Any], limits: Limits, size: int, largest: int, examples_seen: int
) -> None:
    """Check the place in the stream: from here on it must reach the end of the epoch, and no further."""
    for name, kinds in (("seed", (Integral, str)), ("drop_last", bool)):
        if not isinstance(sampler[name], kinds):
            _refuse(f"sampler.{name} must be of a plain type", sampler[name])
    epoch, examples = _whole(sampler["epoch"], "sampler.epoch"), sampler["examples"]
    start, end = epoch * examples, (epoch + 1) * examples
    drawn = [
        _size(each, f"sampler.drawn[{n}]", limits)
        for n, each in enumerate(_list(sampler["drawn"], "sampler.drawn"))
    ]
    offset = _whole(sampler["offset"], "sampler.offset", least=start, most=end + max(largest, *drawn, 1) - 1)
    if offset < examples_seen:
        _refuse(f"sampler.offset must be at least examples_seen={examples_seen}", offset)
    if drawn and offset + sum(drawn[:-1]) >= end:
        _refuse(f"sampler.drawn must begin before {end}, where the epoch ends", drawn)
    if sampler["drop_last"] is True and offset + sum(drawn) > end:
        _refuse(f"with drop_last sampler.drawn must end at {end}, where the epoch does", drawn)
    if _whole(sampler["batch_size"], "sampler.batch_size") != size:
        _refuse(f"sampler.batch_size must be the decision's, {size}", sampler["batch_size"])


def _check_interval(
    interval: Mapping[str, Any], steps: int, examples_seen: int, needs: Collection[str]
) -> None:
    _whole(interval["mark"], "interval.mark")
    _whole(interval["stride"], "interval.stride", least=1)
    _whole(interval["examples"], "interval.examples", most=examples_seen)
    own = _whole(interval["steps"], "interval.steps", most=steps)
    measured = _whole(interval["measured"], "interval.measured", most=own)
    _number(interval["loss"], "interval.loss", finite=False)
    sums = _mapping(interval["sums"], "interval.sums")
    wanted = (PER_STEP if measured else frozenset()) | (OF_NOISE if "noise_count" in sums else frozenset())
    _mapping(sums, "interval.sums", wanted & frozenset(needs))
    for name, value in sums.items():
        if name not in SIGNALS:
            _refuse("interval.sums must be of signals", name)
        _number(value, f"interval.sums.{name}", finite=name == "noise_count")


def _check_gradient(gradient: list[Any], parameters: Callable[[], Sequence[nn.Parameter]]) -> None:
    """Check that the sum of gradients is one of the parameters that are trained."""
    if not gradient:
        return
    trained = parameters()
    if len(gradient) != len(trained):
        _refuse(
            f"interval.mean_gradient must be of the {len(trained)} parameters that are trained", len(gradient)
        )
    for number, (each, p) in enumerate(zip(gradient, trained, strict=True)):
        fits = (
            isinstance(each, Tensor)
            and each.shape == p.shape
            and each.is_complex() == p.is_complex()
            and each.layout is torch.strided
            and not each.is_meta
        )
        if not (each is None or fits):
            held = each.shape if isinstance(each, Tensor) else each
            _refuse(f"interval.mean_gradient[{number}] must be of shape {tuple(p.shape)}", held)
