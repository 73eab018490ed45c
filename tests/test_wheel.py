"""Source archive and wheel hold the package, its types and the search spaces, and say what they are."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.metadata import Metadata

from adasearch import __version__

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and with the wheel that is built from that archive alone."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "results", "build", "dist", "*.egg-info", "data")
    shutil.copytree(ROOT, source, symlinks=True, ignore=ignored)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def unpacked(built: Path) -> Path:
    (wheel,) = built.glob("adasearch-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    return built / "site"


def test_metadata_are_valid_and_those_of_the_project(built: Path, unpacked: Path) -> None:
    (archive,) = built.glob("adasearch-*.tar.gz")
    name = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as files:
        told = files.extractfile(f"{name}/PKG-INFO")
        assert told is not None
        source = Metadata.from_email(told.read(), validate=True)  # as an index would check them
        assert {f"{name}/README.md", f"{name}/LICENSE"} <= set(files.getnames())
    wheel = Metadata.from_email((unpacked / f"{name}.dist-info" / "METADATA").read_bytes(), validate=True)
    for found in (source, wheel):
        assert (found.name, str(found.version)) == ("adasearch", __version__)
        assert found.description_content_type == "text/markdown"
        assert found.description is not None
        assert found.description.strip() == (ROOT / "README.md").read_text().strip()
        assert found.license_expression or found.license == "Apache-2.0"
        needs = {need.name for need in found.requires_dist or []}
        assert {"ray", "torch", "optuna", "pyarrow"} <= needs
        assert {"notebooks", "report", "dashboard", "s3", "lightning"} <= set(found.provides_extra or [])


def test_citation_names_the_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["version"], cited["license"]) == (__version__, "Apache-2.0")


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


def test_wheel_trains_from_another_directory(unpacked: Path, tmp_path: Path) -> None:
    words = "train --architecture resnet18 --dataset digits --subset 200 --largest 32 --epochs 2"
    done = subprocess.run(
        [sys.executable, "-m", "adasearch", *words.split()],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "resnet18-nano-constant-digits" in done.stdout
    assert list((tmp_path / "results").rglob("*.parquet"))
