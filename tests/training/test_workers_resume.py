"""Two processes that are cut and go on, as two or as one; passes that do not fit on one of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn

from adasearch.data.splits import Dataset
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import IntervalRecord, Limits
from adasearch.schedulers.deba import Deba
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train

WORLD = 2
CUT = 3
LIMITS = Limits(smallest=8, largest=64)
GROWING = Deba(confidence_threshold=100, stability_threshold=100, window=3, cooldown=1, growth=1.4)
VIT = TrainConfig(
    architecture="vit_b_16",
    scale="nano",
    seed=1,
    hyperparameters=Hyperparameters(batch_size=21, lr=0.02),
    budget=500,
    interval=70,
    evaluate_every=100,
)
RUNS = {
    "neither mixes nor draws": VIT,
    "batch norm": replace(VIT, architecture="resnet18"),
    "dropout": replace(VIT, architecture="dropout"),
}


class FitsOnFirst(nn.Module):
    """A network that runs out of memory beyond 8 examples, but not on the first worker."""

    def __init__(self, classes: int, image_size: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Linear(3 * image_size**2, classes)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.norm(images)
        if self.training and len(images) > 8 and dist.is_initialized() and dist.get_rank() == 1:
            raise torch.OutOfMemoryError("the second worker has less memory")
        output: Tensor = self.last(hidden.flatten(1))
        return output


def with_dropout(classes: int, image_size: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3 * image_size**2, 16), nn.Dropout(0.5), nn.Linear(16, classes)
    )


def add_architectures() -> None:
    ARCHITECTURES["dropout"] = {"nano": with_dropout}
    ARCHITECTURES["fits on first"] = {"nano": FitsOnFirst}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a worker saw: uncut runs, resumed ones, and one whose passes had to shrink."""

    uncut: dict[str, list[IntervalRecord]]
    resumed: dict[str, list[IntervalRecord]]
    shrunk: list[IntervalRecord]
    told: list[IntervalRecord]


def run(config: TrainConfig, data: Dataset, checkpoints: Checkpoints | None = None) -> list[IntervalRecord]:
    return list(train(config, GROWING, LIMITS, data, checkpoints=checkpoints))


def worker(rank: int, folder: str, data: Dataset) -> None:
    """Take part in every run, and save what this worker saw."""
    torch.set_num_threads(1)
    add_architectures()
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=WORLD,
        timeout=timedelta(seconds=60),
    )
    uncut, resumed = {}, {}
    for name, config in RUNS.items():
        place = f"{folder}/{name}"
        uncut[name] = run(config, data)
        list(islice(train(config, GROWING, LIMITS, data, checkpoints=Checkpoints(place, every=1)), CUT))
        dist.barrier()  # the file that rank 0 wrote is there
        torch.manual_seed(1000 + rank)
        resumed[name] = run(config, data, Checkpoints(place, every=0, stored=CUT))
    config = replace(VIT, architecture="fits on first", precision="bfloat16")
    told = run(replace(config, device_batch=6), data)
    seen = Seen(uncut=uncut, resumed=resumed, shrunk=run(config, data), told=told)
    torch.save(seen, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def together(digits: Dataset, folder: Path) -> list[Seen]:
    """Return what each of two workers saw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        spawn(worker, args=(str(folder), digits), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(WORLD)]


@pytest.fixture(autouse=True)
def _architectures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "dropout", {"nano": with_dropout})
        yield


def numbers(records: list[IntervalRecord]) -> list[str]:
    return [repr((record.signals, record.decision, record.val_error)) for record in records]


@pytest.mark.parametrize("name", RUNS)
def test_two_workers_go_on_as_if_they_had_not_been_cut(name: str, together: list[Seen]) -> None:
    for seen in together:
        assert seen.resumed[name][0].signals.interval == CUT
        assert numbers(seen.resumed[name]) == numbers(seen.uncut[name][CUT:])


@pytest.mark.parametrize("name", RUNS)
def test_one_worker_goes_on_where_two_were_cut(
    name: str, together: list[Seen], folder: Path, digits: Dataset
) -> None:
    rest = run(RUNS[name], digits, Checkpoints(f"{folder}/{name}", every=0, stored=CUT))
    expected = together[0].uncut[name][CUT:]
    assert [r.signals.examples_seen for r in rest] == [r.signals.examples_seen for r in expected]
    if name == "neither mixes nor draws":  # then the number of workers changes roundings alone
        for one, two in zip(rest, expected, strict=True):
            assert one.signals.train_loss == pytest.approx(two.signals.train_loss, rel=1e-4)
            assert one.decision.batch_size == two.decision.batch_size


def test_all_workers_make_passes_that_fit_on_the_one_with_least_memory(together: list[Seen]) -> None:
    """11 examples each at first: they do not fit on the second worker, so both make two passes of 6 and 5."""
    for seen in together:
        assert seen.shrunk[0].passes == 2
        assert seen.shrunk[0].device_batch == 6
        assert [record.out_of_memory for record in seen.shrunk] == [1] + [0] * (len(seen.shrunk) - 1)


def test_trying_a_size_leaves_no_trace_in_the_run(together: list[Seen]) -> None:
    for seen in together:
        assert numbers(seen.shrunk) == numbers(seen.told)
