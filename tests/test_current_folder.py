"""What lies in the current folder takes no part in a command, unless a person names it."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from adasearch.cli.main import cli
from adasearch.errors import InputError
from adasearch.user_code import find_own, load_own
from tests.test_security import write_results

FORMS = {
    "script": [str(Path(sysconfig.get_path("scripts"), "adasearch"))],
    "module": [sys.executable, "-m", "adasearch"],
}
STUDY = "resnet18-nano-deba-digits"
COMMANDS = {
    "advise": "advise --architecture resnet18 --seeds 1",
    "compact": "compact .",
    "compare": "compare --results .",
    "confirm": f"confirm --results . --study {STUDY} --seeds 0",
    "dashboard": "dashboard --results . --study none",
    "doctor": "doctor .",
    "export": f"export {STUDY} --results . --output rule.yaml",
    "list": "list studies --results .",
    "predict": "predict --results .",
    "profile": "profile --architecture resnet18 --dataset digits --subset 1",
    "replay": f"replay {STUDY}-search-0 --scheduler constant --results . --plot sizes.png",
    "report": "report --results .",
    "rerun": "rerun none --results .",
    "search": "search --architecture resnet18 --set train/lr=-1",
    "train": "train --architecture resnet18 --subset 1",
    "watch": "watch . --once",
}
# Libraries, modules of Python's own, and libraries that others try to import and do without.
PLANTED = (
    "pandas",
    "rich",
    "yaml",
    "torch",
    "click",
    "random",
    "typing",
    "signal",
    "bottleneck",
    "ipywidgets",
)
MARK = "from pathlib import Path\nPath({marker!r}).open('a').write(__name__ + ' ')\n"


def plant(folder: Path, name: str, marker: Path) -> None:
    (folder / f"{name}.py").write_text(MARK.format(marker=str(marker)))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder in which somebody left modules, and what asks libraries to load one."""
    folder = tmp_path_factory.mktemp("planted") / "results"
    write_results(folder)
    marker = folder.parent / "imported"
    for name in (*PLANTED, "plugged"):
        plant(folder, name, marker)
    (folder / "matplotlibrc").write_text("backend: module://plugged\n")
    info = folder / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pydantic]\nx = plugged\n[torch.backends]\nx = plugged:load\n")
    return folder


def run(form: str, arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [*FORMS[form], *arguments.split()]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_every_command_is_tried() -> None:
    assert COMMANDS.keys() == cli.commands.keys()


# The forms differ in what Python puts on the path before the command's code begins, and in nothing after it.
@pytest.mark.parametrize(
    ("command", "form"), [*((command, "module") for command in COMMANDS), ("report", "script")]
)
def test_no_command_imports_what_lies_in_the_current_folder(command: str, form: str, planted: Path) -> None:
    marker = planted.parent / "imported"
    marker.unlink(missing_ok=True)
    done = run(form, COMMANDS[command], planted)
    assert not marker.exists(), f"{marker.read_text()}\n{done.stderr}"
    assert done.returncode in (0, 1, 2), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("form", FORMS)
def test_module_that_is_named_is_found_in_the_current_folder_with_what_it_imports(
    form: str, tmp_path: Path
) -> None:
    plant(tmp_path, "random", tmp_path / "imported")
    (tmp_path / "my_parts.py").write_text("LIMIT = 0.5\n")
    (tmp_path / "my_rules.py").write_text(
        "import random\n"
        "from adasearch.schedulers.constant import Constant\n"
        "def make():\n"
        "    from my_parts import LIMIT\n"
        "    raise ValueError(f'{LIMIT} in {random.__name__}')\n"
    )
    done = run(form, "train --architecture resnet18 --dataset my_rules:make", tmp_path)
    assert "ValueError: 0.5 in random" in done.stderr
    assert done.returncode == 2
    assert not (tmp_path / "imported").exists()


def test_current_folder_is_searched_last_and_only_for_what_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("yaml", "named_here"):
        (tmp_path / f"{name}.py").write_text("here = True\n")
    before = list(sys.path)
    with pytest.raises(InputError, match="has no attribute 'here'"):
        load_own("function", "yaml:here")
    with pytest.raises(InputError, match="No module named 'nowhere_here'"):
        load_own("function", "nowhere_here:here")
    assert sys.path == before
    assert load_own("function", "named_here:here") is True
    assert sys.path == [*before, str(tmp_path)]


def test_place_of_a_module_in_the_current_folder_is_told_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plant(tmp_path, "told_here", tmp_path / "imported")
    found = find_own("told_here.deeper")
    assert found is not None
    assert found.origin == os.path.join(os.getcwd(), "told_here.py")
    assert find_own("nowhere_here.deeper") is None
    assert not (tmp_path / "imported").exists()
