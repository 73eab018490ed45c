"""Each command is a function that Python can call, with names that are written out."""

import inspect
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from adasearch import commands
from adasearch.analysis.importance import MIN_TRIALS
from adasearch.choices import Evaluator
from adasearch.cli.main import cli
from adasearch.store import Store

COMMANDS = sorted("catalogue" if name == "list" else name for name in cli.commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_typed_function(name: str) -> None:
    function: Callable[..., object] = getattr(commands, name)
    signature = inspect.signature(function)
    assert function.__doc__
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        assert "Any" not in str(parameter.annotation)
        assert parameter.annotation is not inspect.Parameter.empty


def test_every_evaluator_of_importances_can_be_chosen() -> None:
    assert get_args(Evaluator) == tuple(MIN_TRIALS)


def test_there_are_no_others() -> None:
    beside = {"Advice", "ProfileWish", "Profiles", "Runtime", "export_profiles", "import_profiles"}
    assert set(commands.__all__) == {*COMMANDS, *beside}
    with pytest.raises(AttributeError, match="no attribute 'no_such'"):
        _ = commands.no_such


def test_commands_return_what_there_is_and_print_nothing(
    small_results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(small_results), must_exist=True)
    found = commands.doctor(store)
    assert (found.damaged, found.findings) == (0, [])
    assert "deba" in commands.compare(store)
    line = commands.report(store, str(tmp_path / "x.html"))
    assert line.startswith(f"{tmp_path}/x.html: 2 studies, 4 trials")
    assert commands.catalogue("studies", results=store.name).count("resnet18") == 2
    assert capsys.readouterr() == ("", "")


def test_compact_returns_the_rows_of_each_folder(small_results: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(small_results, results)
    for path in results.rglob("*.parquet"):  # what changed just now is left for the next time
        os.utime(path, (time.time() - 60,) * 2)
    said: list[str] = []
    rows = commands.compact(Store(str(results)), say=said.append)
    assert {name: each["trials"] for name, each in rows.items()} == {
        "resnet18-nano-constant-digits": 2,
        "resnet18-nano-deba-digits": 2,
    }
    assert said == [
        f"{name}: 2 trials and {each['intervals']} intervals compacted" for name, each in rows.items()
    ]
