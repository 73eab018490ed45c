"""Commands in an empty folder, without Ray."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.cli.shell import Engine, Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COLUMNS", "500")

    def no_ray(address: str | None, **options: object) -> None:
        pytest.fail("this would start Ray")

    monkeypatch.setattr("adasearch.tuning.cluster.connect", no_ray)
    return Shell(tmp_path, capsys)


@pytest.fixture
def engine(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr("adasearch.tuning.cluster.connect", engine.connect)
    monkeypatch.setattr("adasearch.tuning.probe.check_cluster", lambda storage, **options: None)
    module = ModuleType("adasearch.tuning.engine")
    module.__dict__["run_trials"] = engine.run_trials
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return engine
