"""The wheel holds the package, its types and the search spaces, and works from another directory."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "results", "build", "dist", "*.egg-info", "data")
    shutil.copytree(ROOT, source, symlinks=True, ignore=ignored)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("adasearch-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_wheel_holds_search_spaces_templates_and_types(unpacked: Path) -> None:
    shipped = {path.relative_to(ROOT / "search_spaces") for path in (ROOT / "search_spaces").rglob("*.yaml")}
    held = unpacked / "adasearch" / "search_spaces"
    assert {path.relative_to(held) for path in held.rglob("*.yaml")} == shipped
    assert (unpacked / "adasearch" / "py.typed").exists()
    here, there = (root / "adasearch" / "report" / "templates" for root in (ROOT, unpacked))
    assert {path.name for path in there.iterdir()} == {path.name for path in here.iterdir()} != set()
    assert not (unpacked / "tests").exists()


def test_wheel_finds_its_spaces_from_another_directory(unpacked: Path, tmp_path: Path) -> None:
    code = (
        "import adasearch; print(adasearch.__file__)\n"
        "from adasearch.cli.main import main; main(['list', 'spaces'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(unpacked) in done.stdout
    assert "deba_short" in done.stdout
