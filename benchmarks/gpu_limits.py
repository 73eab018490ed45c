"""What a GPU does at its limits: memory that runs out, and networks that are compiled for new sizes.

Sections of ``gpu.py``: each takes a place and yields rows.
"""

import math
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import nn

from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, change
from adasearch.training.loop import train
from common import Row
from gpu_place import GPT, NOTHING, RESNET, Net, Place, attempted, checked, measured, only, skipped

__all__ = ["compiled", "memory"]


@contextmanager
def own_memory_of_sizes() -> Iterator[None]:
    """Let no other run hear which passes fitted: they were made with less memory."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, XDG_CACHE_HOME=folder):
        yield


def memory(place: Place) -> Iterator[Row]:
    """Run out of memory by an allocation that is refused, and go on in smaller passes."""
    if not place.cuda:
        yield skipped(
            "out of memory", "a CPU refuses no allocation: there passes are watched, which tests show"
        )
        return
    total = torch.cuda.mem_get_info(place.device)[1]
    peaks = []
    with own_memory_of_sizes():
        for batch in (128, 512):
            torch.cuda.reset_peak_memory_stats(place.device)
            list(train(RESNET.config(batch, 2, 1), NOTHING, only(batch), RESNET.data(), device=place.device))
            peaks.append(torch.cuda.max_memory_allocated(place.device))
            place.free()
    example = (peaks[1] - peaks[0]) / 384
    yield measured("memory of an example", "bytes", example) | RESNET.columns
    limit = min(8 * 2**30, total // 4)
    batch = 2 ** math.ceil(math.log2(1.5 * limit / example))
    columns = {**RESNET.columns, "batch_size": batch}
    torch.cuda.set_per_process_memory_fraction(limit / total)
    yield from attempted("out of memory", _backed_off("a process of less", batch, place), columns)
    torch.cuda.set_per_process_memory_fraction(1.0)
    place.free()
    taken = torch.cuda.mem_get_info(place.device)[0] - limit
    ballast = torch.empty(taken, dtype=torch.uint8, device=place.device)
    yield from attempted("out of memory", _backed_off("a GPU that is full", batch, place), columns)
    del ballast


def _backed_off(where: str, batch: int, place: Place) -> Iterator[Row]:
    with own_memory_of_sizes():
        records = list(
            train(RESNET.config(batch, 1, 3), NOTHING, only(batch), RESNET.data(), device=place.device)
        )
    place.free()
    found = records[0].device_batch
    given = RESNET.config(batch, 1, 1, device_batch=found)
    (other,) = train(given, NOTHING, only(batch), RESNET.data(), device=place.device)
    apart = abs(records[0].signals.train_loss / other.signals.train_loss - 1)
    times = [record.out_of_memory for record in records]
    finite = all(math.isfinite(record.signals.train_loss) for record in records)
    yield checked(
        f"out of memory, {where}",
        "device_batch",
        found,
        ok=times[0] > 0 and found < batch and finite and apart < 1e-3,
        reason=f"memory ran out {', '.join(map(str, times))} times in {len(times)} intervals; the first loss "
        f"is {apart:.2e} from that of passes of {found}",
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """Takes sizes in their order, one an interval."""

    sizes: Sequence[int]
    needs: frozenset[str] = frozenset()
    lr_schedules: frozenset[str] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        """Take the next."""
        del limits
        return change(history[-1], self.sizes[len(history)], "the next of the list")


def graphs() -> int:
    """Return how many graphs Dynamo has made in this process."""
    from torch._dynamo.utils import counters

    return int(counters["stats"]["unique_graphs"])


class Tiny(nn.Module):
    """A network that compiles in seconds: ``gpu_limits:tiny``."""

    def __init__(self, classes: int, image_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(3 * image_size**2, 8), nn.ReLU(), nn.Linear(8, classes)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        output: torch.Tensor = self.layers(images)
        return output


def tiny(classes: int, image_size: int) -> nn.Module:
    """Return the network."""
    return Tiny(classes, image_size)


def compiled(place: Place) -> Iterator[Row]:
    """Compile networks over sizes that grow, then over smaller ones than the first, and odd ones."""
    own = Net(architecture="gpu_limits:tiny", scale="full", size=16)
    images = (16, 32, 8, 21) if place.quick else (64, 128, 256, 512, 1024, 32, 16, 100, 1000)
    tokens = (8, 16, 32, 64, 128, 4, 20)
    longest = 0.0
    for net, sizes in ((own, images),) if place.quick else ((own, images), (RESNET, images), (GPT, tokens)):
        if place.left() < longest:
            yield (
                skipped("compiled", f"{place.left():.0f} s are left, another took {longest:.0f}")
                | net.columns
            )
            continue
        start = time.monotonic()
        yield from attempted("compiled", _compiled(net, sizes, place), net.columns)
        longest = time.monotonic() - start
        place.free()


def _compiled(net: Net, sizes: Sequence[int], place: Place) -> Iterator[Row]:
    torch.compiler.reset()
    span = 2 * max(sizes)
    spans: dict[str, Any] = {
        "interval": span,
        "budget": span * len(sizes),
        "evaluate_every": span * len(sizes),
    }
    limits = Limits(smallest=min(sizes), largest=max(sizes))
    eager = train(net.config(sizes[0], 1, 1, **spans), Sizes(sizes), limits, net.data(), device=place.device)
    loss = next(eager).signals.train_loss
    eager.close()  # type: ignore[attr-defined]
    config = net.config(sizes[0], 1, 1, compile=True, **spans)
    made, former, longest = [], graphs(), 0.0
    for record in train(config, Sizes(sizes), limits, net.data(), device=place.device):
        size = record.signals.batch_size
        made.append(graphs() - former)
        former = graphs()
        seconds = record.compile_seconds
        apart = abs(record.signals.train_loss / loss - 1) if len(made) == 1 else None
        yield {"batch_size": size} | checked(
            f"compiled, size {len(made)} of {len(sizes)}",
            "compile_seconds",
            seconds,
            ok=math.isfinite(record.signals.train_loss) and (apart or 0) < 0.01,
            reason=f"{made[-1]} graphs" + ("" if apart is None else f", loss {apart:.1e} from that without"),
        )
        longest = max(longest, seconds)
        if place.left() < longest and len(made) < len(sizes):
            left = ", ".join(map(str, sizes[len(made) :]))
            yield skipped("compiled", f"{place.left():.0f} s are left, not for sizes {left}")
            break
    row = checked(
        "graphs", "graphs", sum(made), ok=sum(made) > 0, reason=f"over sizes {list(sizes[: len(made)])}"
    )
    yield row
    again = next((number for number, count in enumerate(made) if number and count), len(made))
    yield measured("sizes before the first recompile", "sizes", again)
