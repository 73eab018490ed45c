"""A path of sizes in the words of other training software.

Each form holds what that software can do; what it cannot is refused, or said where it is only coarser. Sizes
are global examples per optimiser step, marks are examples seen; with ``sequence_length`` both are tokens
where the software counts in tokens. Sources: Megatron-LM's ``--step-batch-size-schedule`` (2026), OLMo-core's
``BatchSizeSchedulerCallback`` (2026), Lightning's ``GradientAccumulationScheduler`` and the Hugging Face
Trainer's ``gradient_accumulation_steps``.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adasearch.errors import InputError
from adasearch.schedulers.points import Point

__all__ = ["EXPORT_FORMS", "SizePath", "exported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePath:
    """What a run took: a size to begin with, and turns.

    Args:
        initial: batch size to begin with.
        points: turns, at rising marks of examples.
        epoch: examples of an epoch.
        sequence_length: tokens of an example; None where examples are no sequences.
    """

    initial: int
    points: Sequence[Point]
    epoch: int
    sequence_length: int | None = None

    @property
    def unit(self) -> str:
        """What sizes and marks count, to be said behind a number; empty where that is examples."""
        return "" if self.sequence_length is None else f" sequences of {self.sequence_length} tokens"

    @property
    def stages(self) -> list[tuple[int, int, float]]:
        """Return (mark, batch size, factor on the learning rate) of each stage, the first at 0."""
        stages, factor = [(0, self.initial, 1.0)], 1.0
        for point in self.points:
            factor = factor if point.lr_scale is None else point.lr_scale
            stages.append((point.mark, point.batch_size, factor))
        return stages


def exported(path: SizePath, form: str) -> tuple[str, list[str]]:
    """Return the path in a form of ``EXPORT_FORMS``, and what is to be said of it.

    Raises:
        InputError: the form cannot hold it; the message says why.
    """
    return EXPORT_FORMS[form](path)


def _megatron(path: SizePath) -> tuple[str, list[str]]:
    """Return the value of ``--step-batch-size-schedule``, such as "0:32 4096:64", and its rule."""
    _no_factors(path, "megatron")
    unit = path.sequence_length or 1
    text = " ".join(f"{mark * unit}:{size}" for mark, size, _ in path.stages)
    common = math.gcd(*(size for _, size, _ in path.stages))
    counted = "tokens (--seq-length), sizes sequences" if path.sequence_length else "samples"
    return text + "\n", [
        f"thresholds are {counted}; micro-batch size times data-parallel size must divide {common}"
    ]


def _olmo(path: SizePath) -> tuple[str, list[str]]:
    """Return ``batch_sizes`` and ``schedule`` of the callback, both in tokens, as JSON."""
    length = path.sequence_length
    if length is None:
        raise InputError("olmo counts in tokens: give --sequence-length")
    for (_, before, _), (mark, size, factor) in zip(path.stages, path.stages[1:], strict=False):
        if size % before:
            raise InputError(
                f"olmo multiplies the batch by whole numbers, but it goes from {before} to {size} at {mark}"
            )
        root = math.sqrt(size / path.initial)
        if not math.isclose(factor, root, rel_tol=1e-6):
            raise InputError(
                f"olmo multiplies the learning rate by the root of the batch, {root:.4g} at {mark}, but this "
                f"schedule has the factor {factor:.4g}"
            )
    lists = {
        "batch_sizes": [size * length for _, size, _ in path.stages],
        "schedule": [mark * length for mark, _, _ in path.stages],
    }
    return json.dumps(lists, indent=2) + "\n", [
        "both lists are in tokens; the learning rate follows by itself, with Adam only"
    ]


def _lightning(path: SizePath) -> tuple[str, list[str]]:
    """Return ``scheduling`` of the callback: batches to accumulate, by epoch, as JSON."""
    _no_factors(path, "lightning")
    factors = _factors(path, "lightning")
    found: dict[int, int] = {}
    lost = []
    for (mark, size, _), factor in zip(path.stages, factors, strict=True):
        epoch = round(mark / path.epoch)
        if epoch * path.epoch != mark:
            lost.append(f"the turn to {size} at epoch {mark / path.epoch:.2f} is at {epoch}")
        if epoch in found and mark:
            lost.append(f"{found[epoch] * path.initial} is left out: {size} begins in the same epoch")
        found[epoch] = factor
    return json.dumps(found, indent=2) + "\n", [f"a loader's batch is {path.initial}{path.unit}", *lost]


def _hf(path: SizePath) -> tuple[str, list[str]]:
    """Return ``gradient_accumulation_steps`` by optimiser step, as JSON."""
    _no_factors(path, "hf")
    found, step = [], 0
    stages = path.stages
    for number, ((mark, size, _), factor) in enumerate(zip(stages, _factors(path, "hf"), strict=True)):
        found.append({"step": step, "gradient_accumulation_steps": factor})
        if number + 1 < len(stages):
            step += math.ceil((stages[number + 1][0] - mark) / size)
    return json.dumps(found, indent=2) + "\n", [
        f"per_device_train_batch_size times the number of devices is {path.initial}{path.unit}"
    ]


def _json(path: SizePath) -> tuple[str, list[str]]:
    """Return all of it as JSON."""
    rows = [{"examples": mark, "batch_size": size, "lr_scale": factor} for mark, size, factor in path.stages]
    said = [f"examples and sizes are{path.unit}"] if path.unit else []
    return json.dumps(rows, indent=2) + "\n", said


EXPORT_FORMS: Mapping[str, Callable[[SizePath], tuple[str, list[str]]]] = {
    "megatron": _megatron,
    "olmo": _olmo,
    "lightning": _lightning,
    "hf": _hf,
    "json": _json,
}


def _no_factors(path: SizePath, form: str) -> None:
    for mark, _, factor in path.stages:
        if factor != 1:
            raise InputError(
                f"{form} holds sizes alone, but at {mark} examples the learning rate becomes {factor:.3g} of "
                "its own (json has both)"
            )


def _factors(path: SizePath, form: str) -> list[int]:
    for mark, size, _ in path.stages:
        if size % path.initial:
            raise InputError(
                f"{form} accumulates whole batches of {path.initial}, but at {mark} examples there are {size}"
            )
    return [size // path.initial for _, size, _ in path.stages]
