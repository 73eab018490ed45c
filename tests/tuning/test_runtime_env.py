"""What travels to the workers of a cluster, and what does not."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import adasearch
from adasearch.errors import InputError
from adasearch.studies.wanted import import_paths
from adasearch.tuning.ray_patches import JOB_CONFIG
from adasearch.tuning.runtime_env import runtime_env
from adasearch.user_code import load_own
from tests.rows import STUDY


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder as users have them, on the path; what is imported from it is forgotten again."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in (".git/config", ".venv/lib/big.py", "results/x/trials/x.parquet", "data/cat.png", "other.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "my_net.py").write_text("import my_parts.heads\ndef make(): pass\n")
    package = tmp_path / "my_parts"
    for name in ("__init__.py", "heads.py", "later.py", "classes.json", "weights.pt", ".hidden/x.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def sent(own: list[str]) -> dict[str, set[str]]:
    """Return the files of each module that travels, by its name."""
    with runtime_env(own) as env:
        places = [Path(place) for place in env["py_modules"]]
        return {
            place.name: {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}
            for place in places
        }


def test_adasearch_travels_alone_where_nothing_is_the_users_own() -> None:
    (files,) = sent([]).values()
    package = Path(adasearch.__path__[0])
    assert {"cli/main.py", "tuning/worker_group.py", "schedulers/deba.py"} <= files
    assert files >= {str(file.relative_to(package)) for file in package.rglob("*.py")}
    assert not [file for file in files if "__pycache__" in file]


def test_users_module_travels_with_what_it_imports_and_nothing_else(users: Path) -> None:
    files = sent(["my_net:make"])
    assert set(files) == {"adasearch", "my_net.py", "my_parts"}
    assert files["my_parts"] == {"__init__.py", "heads.py", "later.py", "classes.json"}


def test_installed_module_does_not_travel() -> None:
    load_own("function", "yaml:safe_load")
    load_own("function", "math:gcd")
    assert set(sent(["yaml:safe_load", "math:gcd"])) == {"adasearch"}


def test_code_that_is_too_large_is_refused_by_name(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (users / "my_parts" / "table.json").write_bytes(bytes(21 * 1024**2))
    load_own("network", "my_net:make")
    with pytest.raises(InputError, match=r"at most 20 MiB but is 2\d MiB, 21 MiB of it my_parts"):
        sent(["my_net:make"])


def test_submitted_job_keeps_the_modules_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(JOB_CONFIG, json.dumps({"runtime_env": {"py_modules": ["gcs://x.zip"]}}))
    with runtime_env([]) as env:
        assert env == {}
    monkeypatch.setenv(JOB_CONFIG, json.dumps({"runtime_env": {"working_dir": "gcs://x.zip"}}))
    assert set(sent([])) == {"adasearch"}


def test_nothing_is_left_of_what_was_laid_out() -> None:
    with runtime_env([]) as env:
        (place,) = env["py_modules"]
    assert not Path(place).parent.exists()


def test_study_names_its_own_modules() -> None:
    assert import_paths(STUDY) == []
    own = replace(
        STUDY, architecture="nets:make", scheduler="rules:Mine", dataset="my_data:load@64", image_size=64
    )
    assert import_paths(own) == ["nets:make", "rules:Mine", "my_data:load"]
    for data in ("folder:/images", "text:/books", "tokens:/data/*.bin", "parquet:/data/a.parquet"):
        assert import_paths(replace(STUDY, dataset=data)) == []
