"""Two processes of a framework, and the plain loop that theirs must agree with."""

import os
import runpy
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController, Limits

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
EPOCHS = 6
SIZES = [32, 32, 64, 64, 128, 128]
OPTIONS: dict[str, Any] = {"batch_size": 32, "limits": Limits(smallest=32, largest=256)}


class Course(NamedTuple):
    """What a run of the digits' network came to."""

    sizes: list[int]
    losses: list[float]
    weights: list[Tensor]

    def check(self, other: "Course", *, rel: float = 1e-4) -> None:
        """Check that another run is the same but for rounding."""
        assert self.sizes == other.sizes
        assert self.losses == pytest.approx(other.losses, rel=rel)
        for mine, theirs in zip(self.weights, other.weights, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


def digits() -> TensorDataset:
    images, labels = load_digits(return_X_y=True)
    return TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def course(controller: BatchSizeController, model: nn.Module) -> Course:
    """Return what a run came to."""
    rows = controller.history
    weights = [p.detach().clone() for p in model.parameters()]
    return Course([row.batch_size for row in rows], [row.train_loss for row in rows], weights)


def plain(epochs: int = EPOCHS) -> Course:
    """Train in one process, without a framework."""
    model, data = network(), digits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    controller = BatchSizeController(model, optimizer, data, "adabatch", {"period": 2}, **OPTIONS)
    loader = DataLoader(data, batch_sampler=controller.sampler)
    while controller.epoch < epochs:
        for inputs, labels in controller.batches(loader):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
    return course(controller, model)


def example(name: str) -> dict[str, Any]:
    """Return what an example of the documentation defines."""
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def together(work: Callable[..., Any], *arguments: Any, folder: Path) -> list[Any]:
    """Run a function in two processes, as ``torchrun`` starts them; return what each returned."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(_one, args=(port, work, arguments, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def _one(rank: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...], folder: str) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    torch.set_num_threads(1)
    torch.save(work(*arguments), Path(folder, f"{rank}.pt"))
    if dist.is_initialized():
        dist.barrier()  # no process leaves while another is still in a collective
        dist.destroy_process_group()
