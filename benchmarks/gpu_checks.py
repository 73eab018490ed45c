"""What must be right on a GPU: precisions, the layout of images, and clocks.

Sections of ``gpu.py``: each takes a place and yields rows.
"""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import get_args

import torch
from torch import nn

from adasearch.data.splits import LAYOUT
from adasearch.errors import InputError
from adasearch.records import IntervalRecord, Precision
from adasearch.runs.speed import FixedBatch
from adasearch.signal_sets import MEASURED
from adasearch.training.loop import train
from adasearch.training.precision import autocast, set_tf32
from adasearch.training.run import Run
from adasearch.training.stopwatch import Stopwatch
from common import Row, interleaved, per
from gpu_place import (
    GPT,
    NOTHING,
    RESNET,
    SMALL_RESNET,
    Net,
    Place,
    attempted,
    checked,
    measured,
    only,
    skipped,
)

__all__ = ["clocks", "precisions"]

ALL = FixedBatch(frozenset(MEASURED))
NEAR: Mapping[str, float] = {"float32": 1e-3, "tf32": 0.01, "bfloat16": 0.05, "float16": 0.05}
"""How far a loss may lie from that in single precision, as a share; a gradient's norm five times as far."""

COMPARED = ("grad_norm", "mean_grad_norm")
FACTOR = 2.0  # by which variances may differ, which are squares of few steps
VARIANCES = ("grad_component_variance", "mean_grad_component_variance", "grad_noise")


def step_seconds(record: IntervalRecord, steps: int) -> float:
    """Return the seconds of a step beside measuring."""
    return (record.train_seconds - record.measure_seconds - record.resize_seconds) / steps


def precisions(place: Place) -> Iterator[Row]:
    """Train and measure in each precision, against single precision, and see that each is what it is."""
    yield from attempted("rounding of products", rounding(place), {})
    yield from attempted("channels last", layout(place), {})
    for net, batch in ((SMALL_RESNET, 16),) if place.quick else ((RESNET, 128), (GPT, 32)):
        records: dict[str, IntervalRecord] = {}
        for precision in get_args(Precision):  # single precision comes first
            columns = {**net.columns, "batch_size": batch, "precision": precision}
            rows = _in_precision(net, batch, precision, records, place)
            yield from attempted("training and measuring", rows, columns)
        place.free()
    try:
        RESNET.config(128, 1, 1, precision="float16", per_example=True)
    except InputError as error:
        yield skipped("float16 with gradients per example", str(error), "not offered")


def _in_precision(
    net: Net, batch: int, precision: Precision, records: dict[str, IntervalRecord], place: Place
) -> Iterator[Row]:
    """Keep the last record of a short run, and compare it with that of single precision."""
    if precision == "tf32" and not place.cuda:
        yield skipped("training and measuring", "TF32 needs a GPU")
        return
    steps = 2 if place.quick else 16
    config = net.config(batch, steps, 3, precision=precision)
    *_, last = train(config, ALL, only(batch), net.data(), device=place.device)
    records[precision] = last
    yield _trained(last, records["float32"], precision, steps, updates=3 * steps)
    yield _measured(last, records["float32"], precision)


def _trained(
    last: IntervalRecord, whole: IntervalRecord, precision: Precision, steps: int, updates: int
) -> Row:
    loss, other = last.signals.val_loss, whole.signals.val_loss
    assert loss is not None
    assert other is not None
    apart = max(abs(loss / other - 1), abs(last.signals.train_loss / whole.signals.train_loss - 1))
    missed = updates - last.signals.step
    allowed = steps if precision == "float16" else 0  # a scale that begins too high costs the first updates
    return checked(
        "training",
        "step_seconds",
        step_seconds(last, steps),
        ok=apart <= NEAR[precision] and missed <= allowed,
        reason=f"losses {apart:.2%} from float32's (at most {NEAR[precision]:.1%}), {missed} updates skipped "
        f"(at most {allowed})",
    )


def _measured(last: IntervalRecord, whole: IntervalRecord, precision: Precision) -> Row:
    def ratio(name: str) -> float:
        return float(getattr(last.signals, name) / getattr(whole.signals, name))

    norms = {name: abs(ratio(name) - 1) for name in COMPARED}
    variances = {name: ratio(name) for name in VARIANCES}
    ok = all(each <= 5 * NEAR[precision] for each in norms.values())
    ok &= all(1 / FACTOR <= each <= FACTOR for each in variances.values())
    ok &= all(math.isfinite(getattr(last.signals, name)) for name in MEASURED)
    told = [f"{name} {each:.2%} from float32's" for name, each in norms.items()]
    told += [f"{name} {each:.3g} times" for name, each in variances.items()]
    return checked("measuring", "measure_seconds", last.measure_seconds, ok=ok, reason=", ".join(told))


def rounding(place: Place) -> Iterator[Row]:
    """See that products of single precision round to TF32 when that is asked for, and not otherwise."""
    if not place.cuda:
        yield skipped("rounding of products", "TF32 needs a GPU")
        return
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.randn(512, 512, generator=draw).to(place.device) for _ in range(2))
    images, kernels = (
        torch.randn(shape, generator=draw).to(place.device, memory_format=LAYOUT)
        for shape in ((32, 64, 32, 32), (64, 64, 3, 3))
    )
    works: dict[
        str, tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], torch.Tensor, torch.Tensor]
    ] = {
        "rounding of matrix products": (torch.matmul, one, other),
        "rounding of convolutions": (nn.functional.conv2d, images, kernels),
    }
    for precision in ("float32", "tf32"):
        set_tf32(precision, place.device)
        for what, (work, left, right) in works.items():
            exact = work(left.double(), right.double())
            error = float((work(left, right) - exact).norm() / exact.norm())
            low, high = (0.0, 5e-5) if precision == "float32" else (5e-5, 5e-3)
            reason = f"relative error, within {low:g} to {high:g}"
            row = checked(what, "error", error, ok=low <= error <= high, reason=reason)
            yield row | {"precision": precision}
    set_tf32("float32", place.device)


def layout(place: Place) -> Iterator[Row]:
    """See that channels stay last from layer to layer and in gradients, and what that is worth."""
    net, batch = (SMALL_RESNET, 32) if place.quick else (RESNET, 512)
    run = Run(net.config(batch, 2, 1), frozenset(), net.data().to(place.device), place.device)
    kept: list[bool] = []

    def look(_: nn.Module, __: tuple[torch.Tensor], output: torch.Tensor) -> None:
        kept.append(output.is_contiguous(memory_format=LAYOUT))

    hooks = [
        each.register_forward_hook(look) for each in run.network.modules() if isinstance(each, nn.Conv2d)
    ]
    run.steps_until(batch, batch, 1.0)
    for hook in hooks:
        hook.remove()
    kept += [
        p.grad is not None and p.grad.is_contiguous(memory_format=LAYOUT)
        for p in run.parameters
        if p.dim() == 4
    ]
    yield net.columns | checked(
        "channels last",
        "share",
        sum(kept) / len(kept),
        ok=all(kept),
        reason="of outputs and gradients of convolutions whose channels lie last",
    )
    yield skipped("channels first", "adasearch trains in channels last alone", "not offered")
    kinds: Sequence[Precision] = ("float32", "tf32", "bfloat16") if place.cuda else ("float32",)
    for precision in kinds:
        set_tf32(precision, place.device)
        works = {
            name: partial(_steps, *_plain(net, batch, memory, place), precision, 1 if place.quick else 8)
            for name, memory in (("first", torch.contiguous_format), ("last", LAYOUT))
        }
        found = interleaved(works, 2 if place.quick else 6, place.clock)
        row = measured("channels last over first", "ratio", *per(found["last"], found["first"]))
        yield row | net.columns | {"batch_size": batch, "precision": precision}
    set_tf32("float32", place.device)


def _plain(
    net: Net, batch: int, memory: torch.memory_format, place: Place
) -> tuple[nn.Module, torch.optim.Optimizer, torch.Tensor]:
    from adasearch.networks.registry import build_model

    torch.manual_seed(0)
    network = build_model(net.architecture, net.scale, classes=10, image_size=net.size)
    network = network.to(place.device, memory_format=memory)  # type: ignore[call-overload]
    images = torch.randn(batch, 3, net.size, net.size).to(place.device, memory_format=memory)
    return network, torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, fused=True), images


def _steps(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    precision: Precision,
    steps: int,
) -> None:
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    for _ in range(steps):
        optimizer.zero_grad()
        with autocast(precision, images.device):
            loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()


def clocks(place: Place) -> Iterator[Row]:
    """See that what intervals count agrees with a clock that waits for the device."""
    watch = Stopwatch(place.device)
    side, times = (256, 20) if place.quick else (4096, 200)
    matrix = torch.randn(side, side, device=place.device)

    def queue() -> None:
        with watch.section("products"):
            for _ in range(times):
                matrix @ matrix

    queue()
    watch.read()
    counted, walls = [], []
    for _ in range(7):
        walls.append(place.seconds(queue))
        counted.append(watch.read()["products"])
    yield _agreement("queued products", counted, walls, 0.02)
    net, batch, steps = (SMALL_RESNET, 32, 8) if place.quick else (RESNET, 256, 48)
    columns = {**net.columns, "batch_size": batch, "steps": steps}
    for scheduler, what in ((NOTHING, "intervals"), (ALL, "intervals that measure")):
        records = train(net.config(batch, steps, 8), scheduler, only(batch), net.data(), device=place.device)
        yield from attempted(what, _intervals(what, records, place), columns)


def _intervals(what: str, records: Iterator[IntervalRecord], place: Place) -> Iterator[Row]:
    counted, walls, shares = [], [], []
    next(records)  # the run is made before it
    start = place.clock()
    for record in records:
        now = place.clock()
        walls.append(now - start)
        start = now
        counted.append(record.train_seconds + record.eval_seconds + record.compile_seconds)
        shares.append(record.measure_seconds / record.train_seconds)
    yield _agreement(what, counted, walls, 0.05)
    ok = all(0 <= each < 1 for each in shares)
    reason = "measuring, of the interval's seconds: below 1"
    yield checked(what, "share", statistics.median(shares), ok=ok, reason=reason)


def _agreement(what: str, counted: Sequence[float], walls: Sequence[float], apart: float) -> Row:
    ratio = per(counted, walls)
    ok = abs(ratio.median - 1) <= apart
    reason = f"seconds counted over those of a synchronised clock, within {apart:.0%} of 1"
    return checked(what, "ratio", ratio.median, ok=ok, reason=reason) | {"low": ratio.low, "high": ratio.high}
