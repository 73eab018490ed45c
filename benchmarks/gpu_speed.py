"""What a GPU takes: adasearch's overhead, the profiles of step times, and a training to its end.

Sections of ``gpu.py``: each takes a place and yields rows.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Literal, cast

import torch

from adasearch.data.spec import DataSpec
from adasearch.data.splits import Dataset
from adasearch.environment import device_name, driver_version, versions
from adasearch.errors import one_line
from adasearch.profiles.profile import Setting, SpeedPoint, SpeedProfile, default_name
from adasearch.profiles.profile_store import ProfileStore
from adasearch.records import IntervalRecord, Limits, Precision
from adasearch.runs.speed import measure_point
from adasearch.schedulers import SCHEDULERS, BatchSizeScheduler
from adasearch.schedulers.adabatch import AdaBatch
from adasearch.schedulers.deba import Deba
from adasearch.tasks.base import Data
from adasearch.tasks.registry import load_data
from adasearch.training.config import Hyperparameters
from adasearch.training.loop import train
from common import Row, interleaved, per, spread
from gpu_place import GPT, RESNET, SMALL_GPT, SMALL_RESNET, Net, Place, attempted, checked, measured, skipped
from measured_course import Course, Point

__all__ = ["overhead", "profiles", "training"]

ARMS: dict[str, BatchSizeScheduler] = {
    "nothing": SCHEDULERS["constant"](),
    "deba": Deba(),
    "noise scale": SCHEDULERS["noise_scale"](),
}
STEPS = (32, 16, 8)  # of an interval, the most that time allows
MAX_ROUNDS = 12
SIX = ("resnet18", "resnet50", "densenet121", "efficientnet_b0", "mobilenet_v3_small", "vit_b_16")
"""The networks of DEBA (``search_spaces/experiments/deba_cifar.yaml``)."""

SIZES = (16, 128, 512, 2048, 32, 64, 256, 1024)
"""Batch sizes of a profile: first those that make a curve, then those between."""

CIFAR10: dict[str, Any] = {"dataset": "parquet:cifar10", "fingerprint": "e3c374702cfcb285"}
"""CIFAR-10 as the Hub's Parquet files have it (``notebooks/data``), whose profiles are written, too: a step
takes as long for other images in memory of as many pixels and classes."""

CIFAR_PIXELS = 32
MOST_LOGITS = 2**31 - 1  # of a pass; more are numbered by 64 bits, which not every kernel does
STEPS_OF_A_POINT = 90  # that a size takes at least where a step is long, measuring included
POINT_SECONDS = 1.0  # of a size's plain steps at most


def overhead(place: Place) -> Iterator[Row]:
    """Time DEBA's signals and the noise scale against a plain loop, whole intervals in turn."""
    points: list[tuple[Net, Point]] = []
    for net, precision in _networks(place):
        optimizer: Literal["sgd", "adamw"] = "sgd" if net.vocabulary is None else "adamw"
        for batch in (8,) if place.quick else (32, 128, 512, 2048):
            point = Point(net.architecture, net.scale, batch, STEPS[0], MAX_ROUNDS, net.size)
            most = None if net.vocabulary is None else max(4, MOST_LOGITS // (net.size * net.vocabulary))
            points.append((net, replace(point, precision=precision, optimizer=optimizer, device_batch=most)))
    for done, (net, point) in enumerate(points):
        columns = {**net.columns, "batch_size": point.batch_size, "precision": point.precision}
        rows = _overhead_of(net, point, place, place.left() / (len(points) - done))
        yield from attempted("overhead", rows, columns)
        place.free()


def _networks(place: Place) -> Sequence[tuple[Net, Precision]]:
    if place.quick:
        return [(SMALL_RESNET, "float32"), (SMALL_GPT, "float32")]
    mobile = Net(architecture="mobilenet_v3_small", scale="full", size=32)
    return [(RESNET, "tf32"), (mobile, "tf32"), (GPT, "bfloat16")]


def _overhead_of(net: Net, point: Point, place: Place, share: float) -> Iterator[Row]:
    """Yield rows of a point, within so many seconds."""
    if share <= 0:
        yield skipped("overhead", "no time is left")
        return
    course = Course(replace(point, steps=2), time.perf_counter, data=net.data(), device=place.device)
    warm = course.arm("nothing", ARMS["nothing"])
    warm()  # finds how large passes may be
    warm()  # lets cuDNN try its kernels
    step = place.seconds(warm) / 2
    share -= 6 * step
    round_seconds = step * (1 + len(ARMS))
    steps = next((steps for steps in STEPS if 3 * steps * round_seconds <= share), None)
    if place.quick:
        steps = STEPS[-1]
    if steps is None:
        yield skipped("overhead", f"a step takes {step:.2f} s, and the share of this size is {share:.0f} s")
        return
    rounds = 2 if place.quick else min(MAX_ROUNDS, int(share / (steps * round_seconds)) - 1)
    course.point = replace(point, steps=steps, rounds=rounds)
    works: dict[str, Callable[[], object]] = {"plain": course.plain}
    works |= {name: course.arm(name, scheduler) for name, scheduler in ARMS.items()}
    found = interleaved(works, rounds, place.clock)
    shared: Row = {"steps": steps, "rounds": rounds}
    plain = spread([seconds / steps for seconds in found["plain"]])
    yield measured("plain loop", "step_seconds", *plain) | shared
    for name in ARMS:
        yield measured(f"{name} over plain", "ratio", *per(found[name], found["plain"])) | shared
        own = spread([1 + each.share() for each in course.costs[name][1:]])
        yield measured(f"{name}, of the interval's own clock", "ratio", *own) | shared
    yield measured(
        "examples of a pass", "device_batch", min(course.run.passes.device_batch, point.batch_size)
    )


def profiles(place: Place) -> Iterator[Row]:
    """Time each network at batch 16 to 2,048 as ``adasearch profile`` does; keep a file that it imports."""
    file = place.folder / "gpu_profile.parquet"
    store = ProfileStore(str(place.folder / "profiled"))
    nets = list(_profiled(place))
    for done, (net, spec, precision) in enumerate(nets):
        ends = time.monotonic() + place.left() / (len(nets) - done)
        rows = _profile(net, spec, precision, place, ends, store)
        yield from attempted("profile", rows, {**net.columns, "precision": precision})
        if store.speed():
            store.export(str(file), None)
        place.free()
    if taken := store.speed():
        count = ProfileStore(str(place.folder / "taken_in")).take_in(str(file))
        reason = f"profiles taken in again, called {taken[0].profile}"
        yield checked("profile file", "profiles", count, ok=count == len(taken), reason=reason)


def _profile(
    net: Net, spec: DataSpec, precision: Precision, place: Place, ends: float, store: ProfileStore
) -> Iterator[Row]:
    """Yield a network's times, and keep its profile."""
    data = load_data(spec)
    setting = setting_of(net, spec, data, place, precision)
    points: list[SpeedPoint] = []
    for item in _points(net, data.to(place.device), precision, place, ends):
        if isinstance(item, SpeedPoint):
            points.append(item)
            for row in _rows_of(item):
                yield row | {"batch_size": item.batch_size}
        else:
            yield item
    if points:
        profile = SpeedProfile(
            profile=default_name(setting),
            setting=setting,
            points=tuple(sorted(points, key=lambda point: point.batch_size)),
            created_at=datetime.now(timezone.utc),
        )
        store.write(profile)
        if spec.image_size == CIFAR_PIXELS:
            store.write(replace(profile, setting=replace(setting, **CIFAR10)))
        yield measured("saturated at", "batch_size", profile.saturation_batch_size)


def _rows_of(point: SpeedPoint) -> Iterator[Row]:
    seconds = (point.step_seconds, point.step_seconds_low, point.step_seconds_high)
    yield measured("step", "step_seconds", *seconds) | {"rounds": point.repeats}
    for name, value in point.measure_seconds.items():
        yield measured(f"measuring {name}", "measure_seconds", value)
    yield measured("examples of a pass", "device_batch", min(point.device_batch, point.batch_size))
    if point.peak_memory_bytes is not None:
        yield measured("peak memory", "bytes", point.peak_memory_bytes)


def _profiled(place: Place) -> Iterator[tuple[Net, DataSpec, Precision]]:
    if place.quick:
        yield SMALL_RESNET, DataSpec(source="digits"), "float32"
        return
    for architecture in SIX:
        net = Net(architecture=architecture, scale="full", size=32)
        yield net, DataSpec(source="digits", image_size=32), place.precision
    net = Net(architecture="gpt", scale="full", size=128)
    yield net, DataSpec(source="python_source", sequence_length=128), "bfloat16"


def setting_of(net: Net, spec: DataSpec, data: Data, place: Place, precision: Precision) -> Setting:
    """Return what a study of these data on this device must be like, as ``profiles.here`` has it."""
    kind, size = place.device.type, spec.image_size or spec.sequence_length
    return Setting(
        architecture=net.architecture,
        scale=net.scale,
        dataset=spec.source if size is None else f"{spec.source}@{size}",
        fingerprint=data.fingerprint,
        precision=precision,
        compile=False,
        per_example=False,
        workers=1,
        threads=torch.get_num_threads(),
        device=kind,
        device_name=device_name(kind),
        driver=driver_version(kind),
        versions=versions(),
        sequence_length=spec.sequence_length,
    )


def _points(
    net: Net, data: Data, precision: Precision, place: Place, ends: float
) -> Iterator[SpeedPoint | Row]:
    """Yield the sizes' times, or why there is none."""
    config = net.config(16, 1, 1, precision=precision)
    if net.vocabulary is not None or data.task == "language":
        config = replace(config, hyperparameters=replace(config.hyperparameters, optimizer="adamw"))
    beside, longest = (
        0.0,
        (1, 0.0),
    )  # seconds beside the steps; the largest size so far and its step's seconds
    for size in (16, 64) if place.quick else SIZES:
        step = longest[1] * max(1.0, size / longest[0])
        need = beside + STEPS_OF_A_POINT * step
        if time.monotonic() + need > ends and beside:
            yield skipped(
                "step", f"it would take {need:.0f} s of {max(0.0, ends - time.monotonic()):.0f}"
            ) | {"batch_size": size}
            continue
        start = time.monotonic()
        try:
            point = measure_point(
                config, size, data, place.device.type, most_seconds=0.1 if place.quick else POINT_SECONDS
            )
        except torch.OutOfMemoryError as error:
            yield skipped("step", one_line(error)) | {"batch_size": size}
            continue
        beside = max(1.0, time.monotonic() - start - STEPS_OF_A_POINT * point.step_seconds)
        if size > longest[0]:
            longest = (size, point.step_seconds)
        yield point
        place.free()


def training(place: Place) -> Iterator[Row]:
    """Train ResNet-18 on scikit-learn's handwritten digits: time and error of four schedules, one seed."""
    net = SMALL_RESNET if place.quick else RESNET
    spec = DataSpec(source="digits", image_size=net.size, subset=160 if place.quick else None)
    data = cast("Dataset", load_data(spec, include_test=True))
    examples, epochs = len(data.train), 1 if place.quick else 40
    small, large = (16, 64) if place.quick else (128, 512)
    constant = SCHEDULERS["constant"]
    deba = Deba(
        window=8, cooldown=2, stability_threshold=0.2
    )  # for short runs, as the space deba_short has it
    schedules: dict[str, tuple[int, BatchSizeScheduler]] = {
        "deba": (small, deba),
        "adabatch": (small, AdaBatch(period=epochs / 5)),
        f"constant {small}": (small, constant()),
        f"constant {large}": (large, constant()),
    }
    longest = 0.0
    for name, (batch, scheduler) in schedules.items():
        columns = {**net.columns, "batch_size": batch}
        if place.left() < longest:
            yield skipped(name, f"{place.left():.0f} s are left, and one took {longest:.0f}") | columns
            continue
        start = time.monotonic()
        hyper = Hyperparameters(batch_size=batch, lr=0.05, lr_schedule="constant")
        config = net.config(
            batch,
            1,
            1,
            hyperparameters=hyper,
            test=True,
            budget=epochs * examples,
            interval=examples // 2,
            evaluate_every=epochs * examples,
        )
        records = train(config, scheduler, Limits(smallest=16, largest=large), data, device=place.device)
        yield from attempted(name, _ended(name, records, place), columns)
        longest = max(longest, time.monotonic() - start)
        place.free()


def _ended(name: str, records: Iterator[IntervalRecord], place: Place) -> Iterator[Row]:
    """Yield what a training came to, unless its time ended before it did."""
    seconds = 0.0
    for record in records:
        seconds += record.train_seconds
        if record.test_error is not None:
            break
        if place.left() < 0:
            yield skipped(name, f"the time ended after {record.signals.epoch:.1f} epochs")
            return
    assert record.val_error is not None
    assert record.test_error is not None
    yield measured(name, "train_seconds", seconds)
    yield measured(name, "val_error", record.val_error)
    yield measured(name, "test_error", record.test_error)
    yield measured(name, "last_batch_size", record.signals.batch_size)
