"""The checks of a GPU, in their small form on a CPU, and the processes that they run in."""

import importlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from adasearch.commands import compare, import_profiles, predict
from adasearch.data.spec import DataSpec
from adasearch.profiles.clock import judged, remodelled
from adasearch.profiles.profile import here, setting_differences
from adasearch.profiles.profile_store import ProfileStore
from adasearch.store import Store
from adasearch.studies.request import Request
from adasearch.studies.resolve import resolve
from adasearch.tasks.registry import load_data
from tests.profile_rows import stability_of

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SECTIONS = ("precision", "clocks", "memory", "profiles", "overhead", "training")  # compiling takes a minute
Rows = list[dict[str, Any]]


def gpu_check(out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--out", str(out), *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=out.parent)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Return what the small form printed, and where its rows are."""
    out = tmp_path_factory.mktemp("gpu") / "gpu.parquet"
    return gpu_check(out, "--quick", *(f"--section={name}" for name in SECTIONS)), out


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what imports a benchmark's module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def imported(name: str) -> ModuleType:
        return importlib.import_module(name)

    return imported


def test_small_form_has_rows_of_every_section_and_a_reason_for_what_it_skips(
    ran: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, out = ran
    rows: Rows = pq.read_table(out).to_pylist()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["section"] for row in rows] == sorted([row["section"] for row in rows], key=SECTIONS.index)
    assert {row["section"] for row in rows} == set(SECTIONS)
    for row in rows:
        assert (row["status"] == "ok") == (row["value"] is not None), row
        assert row["status"] == "ok" or row["reason"], row
        assert row["low"] is None or row["low"] <= row["value"] <= row["high"], row
    figures = {(row["section"], row["figure"]) for row in rows if row["status"] == "ok"}
    assert figures >= {
        ("precision", "step_seconds"),
        ("precision", "measure_seconds"),
        ("clocks", "ratio"),
        ("profiles", "step_seconds"),
        ("overhead", "ratio"),
        ("training", "test_error"),
    }
    trained = [row["precision"] for row in rows if row["what"] == "training"]
    assert trained == ["float32", "bfloat16", "float16"]
    if not torch.cuda.is_available():
        assert {row["status"] for row in rows if row["section"] == "memory"} == {"skipped"}
    lines = done.stdout.splitlines()
    assert sum(
        f" {row['section']}: {row['what']}" in line for row, line in zip(rows, lines, strict=False)
    ) == len(rows)


def test_columns_are_those_that_the_docstring_tells(
    ran: tuple[subprocess.CompletedProcess[str], Path], module: Any
) -> None:
    told = set(re.findall(r"``(\w+)``", module("gpu").__doc__.partition("Rows, printed")[2]))
    packages = {"adasearch", "python", "torch", "torchvision", "git_commit"}
    assert told | packages == set(pq.read_schema(ran[1]).names) | {"value"}


def test_profile_that_is_kept_judges_a_stored_search(
    ran: tuple[subprocess.CompletedProcess[str], Path], small_results: Path, tmp_path: Path
) -> None:
    results = str(shutil.copytree(small_results, tmp_path / "results"))
    assert import_profiles(results, str(ran[1].with_name("gpu_profile.parquet"))) == 1
    (profile,) = ProfileStore(results).speed()
    assert [point.batch_size for point in profile.points] == [16, 64]
    store = Store(results)
    studies = judged(store, store.studies(), clock=None, device_profile=profile.profile)
    for study in studies:
        found = remodelled(store, study, store.trials(study.study))
        assert all(trial.modelled_seconds for trial in found)
    assert "resnet18" in compare(store, device_profile=profile.profile)
    ProfileStore(results).write(stability_of(studies[0]))
    assert "resnet18" in predict(store)


@pytest.mark.parametrize(
    ("request_", "spec"),
    [
        (
            Request(architectures=("resnet50",), scale="full", dataset="digits", image_size=32),
            DataSpec(source="digits", image_size=32),
        ),
        (
            Request(
                architectures=("gpt",),
                scale="full",
                dataset="python_source",
                sequence_length=128,
                precision="bfloat16",
            ),
            DataSpec(source="python_source", sequence_length=128),
        ),
    ],
    ids=["images", "language"],
)
def test_setting_of_a_profile_is_that_of_a_search_of_the_same_network(
    request_: Request, spec: DataSpec, module: Any, tmp_path: Path
) -> None:
    (study,) = resolve(request_, lambda name: None, lambda text: None)
    places = module("gpu_place")
    place = places.Place(device=torch.device("cpu"), quick=False, ends=0.0, folder=tmp_path)
    net = places.Net(architecture=study.record.architecture, scale="full", size=32)
    setting = module("gpu_speed").setting_of(net, spec, load_data(spec), place, study.record.precision)
    assert setting_differences(setting, here(study.record, torch.get_num_threads())) == []
    assert (setting.dataset, setting.sequence_length) == (study.record.dataset, study.record.sequence_length)


def test_section_that_dies_or_hangs_is_told_and_the_next_one_runs(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = module("sections")
    monkeypatch.setattr(sections, "GRACE", 0.5)
    rows = tmp_path / "rows.jsonl"
    script = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from sections import append
rows = Path(sys.argv[2])
for name in sys.argv[3:]:
    append(rows, {"begins": name, "ends": time.monotonic() + 0.5})
    if name == "hangs":
        time.sleep(60)
    if name == "dies":
        os._exit(7)
    append(rows, {"section": name, "what": name, "status": "ok"})
    append(rows, {"over": name})
    if name == "breaks":
        sys.exit(3)
"""

    def command(names: Sequence[str]) -> Sequence[str]:
        return [sys.executable, "-c", script, str(BENCHMARKS), str(rows), *names]

    names = ["first", "dies", "hangs", "breaks", "last"]
    sections.supervise(names, command, rows, time.monotonic() + 60)
    found = {
        row["section"]: (row["status"], row.get("reason")) for row in sections.lines(rows) if "what" in row
    }
    assert found == {
        "first": ("ok", None),
        "dies": ("failed", "its process ended with status 7"),
        "hangs": ("failed", "it took too long"),
        "breaks": ("ok", None),
        "last": ("ok", None),
    }


def test_section_without_time_is_skipped(module: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    sections = module("sections")
    sections.supervise(["late"], lambda names: [sys.executable, "-c", ""], rows, time.monotonic() + 1)
    assert [(row["section"], row["status"]) for row in sections.lines(rows)] == [("late", "skipped")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_long_form_without_a_gpu_says_so_and_fails(tmp_path: Path) -> None:
    done = gpu_check(tmp_path / "gpu.parquet", "--section", "clocks")
    assert done.returncode == 1
    assert (
        "skipped  clocks: clocks, there is no GPU here; --quick takes a small form on the CPU" in done.stdout
    )
