"""Commands run in this process, and what stands in for Ray."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adasearch.cli.main import cli, main
from adasearch.store import Store
from adasearch.tuning.capacity import Capacity
from adasearch.tuning.trial_source import TrialPlan, TrialSource

COMMANDS = sorted(cli.commands)
SEARCH = ["search", "--architecture", "resnet18"]
TINY = ["--dataset", "digits", "--subset", "100", "--largest", "48", "--epochs", "1", "--interval", "0.5"]


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


class Shell:
    """Runs commands in an empty folder, in this process."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def __call__(self, *arguments: str) -> Finished:
        self._capture.readouterr()
        code: object = 0
        try:
            main(list(arguments))
        except SystemExit as stop:
            code = stop.code
        assert isinstance(code, int)
        out, err = self._capture.readouterr()
        return Finished(code, out, err)

    @property
    def store(self) -> Store:
        return Store("results")

    def refuses(self, *arguments: str, says: str) -> None:
        """Check exit 2, one line on stderr that says so, and that nothing was written."""
        before = sorted(self.folder.rglob("*"))
        finished = self(*arguments)
        assert says in finished.err
        assert finished.code == 2
        assert finished.err.startswith("adasearch: ")
        assert len(finished.err.splitlines()) == 1
        assert sorted(self.folder.rglob("*")) == before


@dataclass
class Engine:
    """Stands in for Ray: a cluster of two CPUs, and a search that ends at once."""

    whole: bool = True
    gpus: float = 0.0
    asked: list[list[TrialPlan]] = field(default_factory=list)

    @contextmanager
    def connect(self, address: str | None, **options: object) -> Iterator[Capacity]:
        yield Capacity(nodes=((2.0, self.gpus),))

    def run_trials(self, sources: list[TrialSource], *arguments: object, **options: object) -> bool:
        self.asked.append([source.plan for source in sources])
        return self.whole
