"""A compiled network: no size of a pass is compiled in the time that counts as training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from adasearch.data.splits import Dataset
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import Limits
from adasearch.signal_sets import NOISE
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from adasearch.training.stopwatch import Stopwatch
from tests.training.test_loop import Recipe

sizes: list[tuple[str, int]] = []
section = ""


class Noting(nn.Module):
    """Notes the size of each pass in training, and the time that it counts as."""

    def __init__(self, classes: int, image_size: int) -> None:
        super().__init__()
        self.last = nn.Linear(3 * image_size**2, classes)

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            sizes.append((section, len(images)))
        output: Tensor = self.last(images.flatten(1))
        return output


@pytest.mark.parametrize("needs", [frozenset(), NOISE], ids=["plain", "halves"])
def test_every_size_is_made_once_before_training_takes_it(
    digits: Dataset, needs: frozenset[str], monkeypatch: pytest.MonkeyPatch, cache_dir: Path
) -> None:
    """Smaller passes than those before, odd ones and those of halves, too."""

    @contextmanager
    def noted(clock: Stopwatch, name: str) -> Iterator[None]:
        global section
        former, section = section, name
        yield
        section = former

    sizes.clear()
    monkeypatch.setattr(Stopwatch, "section", noted)
    monkeypatch.setattr(Stopwatch, "read", lambda clock: {"train": 1.0, "resize": 0.0, "halves": 0.0})
    monkeypatch.setattr(torch, "compile", lambda network: network)
    monkeypatch.setitem(ARCHITECTURES, "noting", {"nano": Noting})
    config = TrainConfig(
        architecture="noting",
        scale="nano",
        seed=0,
        hyperparameters=Hyperparameters(batch_size=64, lr=0.01),
        budget=700,
        interval=128,
        evaluate_every=700,
        device_batch=48,
        compile=True,
    )
    moves = Recipe(moves=((1, 40, 1.0), (2, 65, 1.0), (3, 33, 1.0)), needs=needs)
    list(train(config, moves, Limits(smallest=8, largest=128), digits))
    in_training = {size for name, size in sizes if name != "compile"}
    assert in_training >= {32, 33, 40}
    seen: set[int] = set()
    for name, size in sizes:
        assert name == "compile" or size in seen, f"{size} is new in {name}"
        assert name != "compile" or size not in seen, f"{size} is made twice"
        seen.add(size)
