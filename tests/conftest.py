"""What every test shares: one thread, a cache of its own, and a small data set."""

import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import torch
from hypothesis import configuration, settings
from torch import Tensor
from xdist.scheduler import LoadGroupScheduling

from adasearch.data.load import load_dataset
from adasearch.data.spec import DataSpec
from adasearch.data.splits import Dataset, ExampleSplit
from tests.small_study import write_small_study

RAY = "ray"
"""The mark of tests on Ray, and the group that they make."""

# Hypothesis keeps notes even without a database, from collection on: before any fixture runs.
HYPOTHESIS_HOME = TemporaryDirectory(prefix="hypothesis-")
configuration.set_hypothesis_home_dir(HYPOTHESIS_HOME.name)
settings.register_profile("adasearch", database=None, deadline=None, derandomize=True, max_examples=40)
settings.load_profile("adasearch")


class ByFileOrRay(LoadGroupScheduling):  # type: ignore[misc]
    """A file's tests in one process, which share its fixtures; all on Ray in one, which has one Ray."""

    # xdist has no public way to say this: where it renames the method, each test goes for itself.
    def _split_scope(self, nodeid: str) -> str:
        return RAY if nodeid.endswith(f"@{RAY}") else nodeid.split("::", 1)[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group the tests on Ray, before xdist reads the groups in its processes."""
    for item in items:
        if getattr(config.option, "loadgroup", False) and item.get_closest_marker(RAY):
            item.add_marker(pytest.mark.xdist_group(RAY))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFileOrRay | None:
    """Keep files together under --dist loadgroup."""
    return ByFileOrRay(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seed what a test or its first fixture draws: PyTorch starts each process with another seed."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _outside_stays_untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Send caches to a temporary folder, and leave the other cores to whoever else uses them."""
    torch.set_num_threads(1)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a script's background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OMP_NUM_THREADS", "1")  # of the processes that tests start, whose sums are to be equal
        yield


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give one test an empty cache of its own and return its folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """160 training and 40 validation examples of real handwritten digits, 16×16 pixels."""
    return load_dataset(DataSpec(source="digits", subset=160))


@pytest.fixture(scope="session")
def small_results(tmp_path_factory: pytest.TempPathFactory, _outside_stays_untouched: None) -> Path:
    """Return the results of a small search of one network; tests that write into them copy them first."""
    results = tmp_path_factory.mktemp("small") / "results"
    write_small_study(results, ["resnet18"])
    return results


def images_of(split: ExampleSplit) -> Tensor:
    """Return all images of a split as one uint8 tensor (examples, 3, height, width)."""
    return torch.cat([images for images, _ in split.pieces(100)])


class HandClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    """Let the stopwatch read a clock that stands still until the test moves it."""
    hand = HandClock()
    monkeypatch.setattr("adasearch.training.stopwatch.time", SimpleNamespace(perf_counter=hand))
    return hand
