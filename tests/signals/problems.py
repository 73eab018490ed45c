"""Small networks and batches, the signals of their gradients by definition, and workers that are threads."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from adasearch.signals.flat_gradient import FUSE_BELOW
from adasearch.signals.noise import NoiseMeter
from adasearch.signals.preconditioner import Preconditioner


def expected_signals(groups: Sequence[np.ndarray], sizes: Sequence[int], half: int) -> dict[str, float]:
    """Return the signals of a step from its groups' mean gradients, by their definitions.

    ``half`` says how many of the groups make up the first half.
    """
    n, size, count = np.array(sizes), sum(sizes), len(sizes)
    g = np.average(groups, axis=0, weights=n)
    noise = sum(k * np.sum((group - g) ** 2) for k, group in zip(n, groups, strict=True)) / (count - 1)
    products = np.array([group @ g for group in groups])
    one, other = (
        np.average(groups[part], axis=0, weights=n[part]) for part in (slice(half), slice(half, None))
    )
    return {
        "grad_noise": noise,
        "grad_sq_norm": g @ g - noise / size,
        "noise_count": 1,
        "batch_grad_sq_norm": g @ g,
        "half_cosine": one @ other / np.linalg.norm(one) / np.linalg.norm(other),
        "inner_product_variance": n @ (products - np.average(products, weights=n)) ** 2 / (count - 1),
    }


def mean_of(signals: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the means over steps, and their number."""
    return {name: float(np.mean([step[name] for step in signals])) for name in signals[0]} | {
        "noise_count": len(signals)
    }


def cut(size: int, parts: int) -> list[int]:
    """Return the sizes of so many parts of a batch, which differ by at most one."""
    return [size // parts + (part < size % parts) for part in range(parts)]


def by_groups(examples: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Return the groups' mean gradients from the examples' gradients, one a row."""
    return [group.mean(axis=0) for group in np.split(examples, np.cumsum(sizes)[:-1])]


def small_network() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.LayerNorm(7), nn.Linear(7, 3))


def mixed_network() -> nn.Module:
    """Small tensors and one that stays alone."""
    network = nn.Sequential(nn.Linear(5, 260), nn.Tanh(), nn.Linear(260, 260), nn.Linear(260, 3))
    assert any(parameter.numel() >= FUSE_BELOW for parameter in network.parameters())
    return network


class PartlyIdle(nn.Module):
    """A network with a layer that the loss does not reach: its gradient counts as zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.used = small_network()
        self.idle = nn.Linear(4, 4)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.used(inputs)
        return output


def batch(size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(size, 5, generator=random), torch.randint(3, (size,), generator=random)


def gradient_of(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Return the gradient of the mean loss as one vector."""
    loss = nn.functional.cross_entropy(network(inputs), labels)
    parameters = list(network.parameters())
    parts = torch.autograd.grad(loss, parameters, allow_unused=True)
    flat = [torch.zeros_like(p) if g is None else g for g, p in zip(parts, parameters, strict=True)]
    return np.asarray(torch.cat([g.flatten() for g in flat]).numpy())


def examples_of(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Return each example's gradient as a row, one backward pass each."""
    return np.stack([gradient_of(network, inputs[i : i + 1], labels[i : i + 1]) for i in range(len(labels))])


def show(meter: NoiseMeter, network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> int:
    """Take one step as the training loop does, without the update; return how many passes it took."""
    size, passes = len(labels), meter.passes
    network.zero_grad()
    for some, their in zip(inputs.split(cut(size, passes)), labels.split(cut(size, passes)), strict=True):
        (nn.functional.cross_entropy(network(some), their, reduction="sum") / size).backward()
        if meter.sampling and meter.form in ("passes", "halves"):
            meter.take(len(their))
    if meter.sampling and meter.form == "per_example":
        for some, their in zip(inputs.split(cut(size, passes)), labels.split(cut(size, passes)), strict=True):
            meter.take_examples(some, their)
    meter.observe()
    return passes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """What DDP shows to a communication hook: a worker's gradients of some parameters."""

    of: list[nn.Parameter]
    values: list[torch.Tensor]

    def buffer(self) -> torch.Tensor:
        return torch.cat([value.flatten() for value in self.values])

    def parameters(self) -> list[nn.Parameter]:
        return self.of

    def gradients(self) -> list[torch.Tensor]:
        return self.values


def rows_of(size: int) -> torch.Tensor:
    """Return made-up gradients of so many examples, of six numbers each."""
    return torch.randn(size, 6, generator=torch.Generator().manual_seed(0)) + 0.5


def of_workers(
    rows: torch.Tensor,
    world: int,
    passes: int,
    needs: frozenset[str],
    monkeypatch: pytest.MonkeyPatch,
    preconditioner: Callable[[list[nn.Parameter]], Preconditioner | None] = lambda weights: None,
) -> tuple[dict[str, float], list[int]]:
    """Return the signals that every worker has of a step with these gradients, and each one's examples.

    Threads stand for workers, and two buckets hold the parameters in reverse, as DDP's do.
    """
    size = len(rows)
    each = cut(size, world * passes)
    sizes = [sum(each[rank * passes : (rank + 1) * passes]) for rank in range(world)]
    here, together = threading.local(), threading.Barrier(world, timeout=20)
    parts: list[torch.Tensor] = [torch.empty(0)] * world

    def all_reduce(tensor: torch.Tensor) -> None:
        parts[here.rank] = tensor.clone()
        together.wait()
        tensor.copy_(torch.stack(parts).sum(dim=0))
        together.wait()

    monkeypatch.setattr("adasearch.signals.noise.dist.all_reduce", all_reduce)

    def worker(rank: int) -> dict[str, float]:
        torch.set_default_dtype(torch.float64)
        here.rank = rank
        weights = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))]
        meter = NoiseMeter(weights, needs, world=world, rank=rank, preconditioner=preconditioner(weights))
        assert meter.hooked
        meter.begin(1, size, passes)
        own = rows[sum(sizes[:rank]) : sum(sizes[: rank + 1])].sum(dim=0) * (world / size)
        meter.take_bucket(Bucket(of=weights[1:], values=[own[4:]]))  # type: ignore[arg-type]
        meter.take_bucket(Bucket(of=weights[:1], values=[own[:4].view(2, 2)]))  # type: ignore[arg-type]
        whole = rows.mean(dim=0)
        weights[0].grad, weights[1].grad = whole[:4].view(2, 2), whole[4:]
        meter.observe()
        return meter.finish()

    with ThreadPoolExecutor(world) as pool:
        found = list(pool.map(worker, range(world)))
    assert all(signals == found[0] for signals in found)
    return found[0], sizes
