"""Images per second of the data path: adasearch's batches against torchvision's transforms and a loader.

Both pad by 4, crop, flip and normalise, and give shuffled batches of floats. A whole epoch of training
mobilenet_v3_small (nano) comes last: adasearch's own steps, in its layout and with its optimiser, against the
usual loop fed by torchvision, and to tell data and layout from the rest the usual loop fed by adasearch,
whose batches have their channels last, to which convolutions keep. torchvision's loaders keep their worker
processes from epoch to epoch, and their start is not counted.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from adasearch.data.batches import Batches
from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.data.splits import Dataset, Split
from adasearch.io.tables import Column, number, times
from adasearch.networks.registry import build_model
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.run import Run
from common import Row, interleaved, keep, parser_of, per, random_images, spread

NETWORK = "mobilenet_v3_small"
BATCH = 128
LR, MOMENTUM = 1e-3, 0.9
WORKERS = (0, 2)


class InMemory(TorchDataset[Any]):
    """Images in memory, given out as torchvision's CIFAR10 does."""

    def __init__(self, split: Split, transform: Callable[[Image.Image], Tensor]) -> None:
        self.transform = transform
        self.data: np.ndarray = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.targets: list[int] = split.labels.tolist()

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.data[index])
        return self.transform(image), self.targets[index]

    def __len__(self) -> int:
        return len(self.data)


def data_of(arguments: argparse.Namespace) -> tuple[str, Dataset]:
    """Return the images that were asked for, and what they are."""
    subset = 5000 if arguments.quick else 40_000
    if arguments.data is None:
        return "random 32x32", random_images(subset).to(torch.device("cpu"))
    data = load_dataset(DataSpec(source=f"parquet:{arguments.data}", subset=subset))
    return f"parquet, {data.image_size}x{data.image_size}", data.to(torch.device("cpu"))


def torchvision_loader(data: Dataset, workers: int) -> "DataLoader[tuple[Tensor, Tensor]]":
    """Return the usual loader of a CIFAR training script."""
    assert isinstance(data.train, Split), "the images fit in memory"
    augmentation = data.augmentation
    transform = transforms.Compose(
        [
            transforms.RandomCrop(data.image_size, padding=augmentation.padding),
            *([transforms.RandomHorizontalFlip()] if augmentation.flip else []),
            transforms.ToTensor(),
            transforms.Normalize(data.mean.tolist(), data.std.tolist()),
        ]
    )
    return DataLoader(
        InMemory(data.train, transform),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


class Ours:
    """Epochs of adasearch's batches, one after the other."""

    def __init__(self, data: Dataset) -> None:
        self._batches = Batches(data, seed=0)
        self._steps = len(data.train) // BATCH
        self._step = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self._steps):
            yield from self._batches.chunks(self._step * BATCH, self._step, BATCH, 1, range(1))
            self._step += 1


def own_epochs(data: Dataset) -> Callable[[], object]:
    """Return what trains for another epoch as a trial does, measuring nothing."""
    hyperparameters = Hyperparameters(batch_size=BATCH, lr=LR, momentum=MOMENTUM)
    config = TrainConfig(
        architecture=NETWORK,
        scale="nano",
        seed=0,
        hyperparameters=hyperparameters,
        budget=10**12,
        interval=len(data.train),
        evaluate_every=10**12,
    )
    run = Run(config, frozenset(), data, torch.device("cpu"))
    examples = len(data.train) // BATCH * BATCH
    return lambda: run.steps_until(run.examples_seen + examples, BATCH, 1.0)


def usual_epochs(data: Dataset, batches: Iterable[tuple[Tensor, Tensor]]) -> Callable[[], object]:
    """Return what trains for another epoch as a script without adasearch does."""
    network = build_model(NETWORK, "nano", classes=data.classes, image_size=data.image_size)
    optimizer = torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM)
    return partial(train, network, optimizer, batches)


def read(batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Take the batches of an epoch and do nothing with them."""
    for _ in batches:
        pass


def train(
    network: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterable[tuple[Tensor, Tensor]]
) -> None:
    """Train for an epoch."""
    for images, labels in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()


COLUMNS = (
    Column("case", "case"),
    Column("images", "images"),
    Column("feed", "fed by"),
    Column("images_per_second", "images/s", number),
    Column("ratio", "adasearch is", times),
    Column("ratio_low", "low", times),
    Column("ratio_high", "high", times),
)


def main() -> None:
    """Measure and print."""
    parser = parser_of(__doc__, "data_path")
    parser.add_argument("--data", metavar="FOLDER", help="CIFAR-10 as Parquet; without it, random images")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    what, data = data_of(arguments)
    feeds: dict[str, Iterable[tuple[Tensor, Tensor]]] = {"adasearch": Ours(data)}
    feeds |= {
        f"torchvision, {workers} worker processes": torchvision_loader(data, workers) for workers in WORKERS
    }
    examples = len(data.train) // BATCH * BATCH
    rows: list[Row] = []
    usual = {name: usual_epochs(data, feed) for name, feed in feeds.items()}
    works: dict[str, dict[str, Callable[[], object]]] = {
        "data path": {name: partial(read, feed) for name, feed in feeds.items()},
        "training epoch": {
            "adasearch": own_epochs(data),
            "adasearch, usual loop": usual.pop("adasearch"),
            **usual,
        },
    }
    for case, each in works.items():
        found = interleaved(each, (2 if case == "data path" else 1) if arguments.quick else 6)
        rows += [
            {
                "case": case,
                "images": what,
                "examples": examples,
                "batch_size": BATCH,
                "feed": name,
                "images_per_second": examples / spread(seconds).median,
                **spread(seconds).columns("seconds"),
                **per(seconds, found["adasearch"]).columns("ratio"),
            }
            for name, seconds in found.items()
        ]
    keep(rows, COLUMNS, arguments.out)


if __name__ == "__main__":
    main()
