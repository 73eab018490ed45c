"""A search whose folder is renamed, removed or made anew, or whose Ray loses its files, at random moments.

``ADASEARCH_VANISHED`` is how often each happens (once by default; about a minute each), the seed that of
``ADASEARCH_FAULTS_SEED``. ``pytest -m soak -s tests/test_vanished.py`` prints the table.
"""

import os
import random
import shutil
import time
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest

from tests.commands.test_search import adasearch, all_trials, run
from tests.invariants import check

pytestmark = [pytest.mark.ray, pytest.mark.soak]

TIMES = int(os.environ.get("ADASEARCH_VANISHED", "1"))
SEED = int(os.environ.get("ADASEARCH_FAULTS_SEED", "7"))
COMMAND = (
    "search --architecture mobilenet_v3_small --scheduler deba --set scheduler/window=3 --dataset digits "
    "--subset 150 --epochs 4 --interval 0.25 --checkpoint-every 1 --slots 2"
)
NOTICE_SECONDS = 30


def rename_results(folder: Path) -> None:
    (folder / "results").rename(folder / "moved")


def remove_ray_files(folder: Path) -> None:
    """Remove what Ray Train and Tune keep, but not the sockets of Ray itself."""
    (storage,) = [each for each in (folder / "tmp").glob("adasearch-*") if not (each / "r").exists()]
    shutil.rmtree(storage)


def delete_lock(folder: Path) -> None:
    for lock in folder.glob("results/*/.lock"):
        lock.unlink()


def end_ray_server(folder: Path) -> None:
    _end(folder, "gcs_server")


def end_raylet(folder: Path) -> None:
    _end(folder, "raylet")


def _end(folder: Path, name: str) -> None:
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == name and any(
            str(folder / "tmp") in word for word in process.info["cmdline"]
        ):
            process.kill()


FAULTS = {
    "results folder renamed": (rename_results, "removed or renamed"),
    "Ray's files removed": (remove_ray_files, "Ray's own files are gone"),
    "locks deleted": (delete_lock, "removed or renamed"),
    "Ray's server killed": (end_ray_server, "gcs_server"),
    "raylet killed": (end_raylet, "raylet"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", range(TIMES))
def test_search_ends_with_one_line_and_goes_on_with_nothing_lost_doubled_or_burned(
    fault: str, number: int, tmp_path: Path
) -> None:
    inject, message = FAULTS[fault]
    folder = Path(mkdtemp(prefix="v-", dir="/tmp"))
    (folder / "tmp").mkdir()
    results = folder / "results"
    wait = random.Random(f"{SEED}{fault}{number}").uniform(0, 6)
    process = adasearch(*COMMAND.split(), "--trials", "500", cwd=folder, env={"TMPDIR": str(folder / "tmp")})
    try:
        while not any(trial.status == "complete" for trial in all_trials(results)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        time.sleep(wait)
        inject(folder)
        began = time.monotonic()
        out, err = process.communicate(timeout=120)
        seconds = time.monotonic() - began
    finally:
        process.kill()
        process.communicate()
    print(f"{fault}: {seconds:.0f} s, exit {process.returncode}, {err.strip()[:150]}")  # noqa: T201
    assert process.returncode == 1, (out, err)
    assert len(err.strip().splitlines()) == 1, err
    assert message in err
    assert "To go on: adasearch search" in err
    assert seconds < NOTICE_SECONDS
    if (folder / "moved").exists():
        assert not results.exists(), "it was made anew"
        (folder / "moved").rename(results)
    before = check(results)
    trials = all_trials(results)
    assert not [trial.error for trial in trials if trial.status == "failed"]
    assert 0 < sum(trial.status == "running" for trial in trials) <= 2
    assert list((folder / "tmp").glob("adasearch-*")) == []
    done = run(*COMMAND.split(), "--trials", str(max(4, len(trials))), cwd=folder)
    assert done.code == 0, done.err
    check(results, before)
    assert {trial.status for trial in all_trials(results)} <= {"complete", "pruned"}
    shutil.rmtree(folder)
