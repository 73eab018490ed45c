"""No command waits without end: not for a named pipe among the results, and Ctrl-C and SIGTERM end each."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adasearch.cli.main import cli
from adasearch.profiles.profile_store import ProfileStore
from adasearch.store import Store
from tests.profile_rows import speed_of

STUDY = "resnet18-nano-deba-digits"
READERS = {
    "advise": "advise --architecture resnet18 --results RESULTS --subset 120 --dataset digits",
    "compact": "compact RESULTS",
    "compare": "compare --results RESULTS",
    "confirm": f"confirm --results RESULTS --study {STUDY} --seeds 0",
    "dashboard": "dashboard --results RESULTS --study none",
    "doctor": "doctor RESULTS --repair",
    "export": f"export {STUDY} --results RESULTS --output rule.yaml",
    "list": "list studies --results RESULTS",
    "predict": "predict --results RESULTS",
    "profile": "profile --export all.parquet --results RESULTS",
    "replay": f"replay {STUDY}-search-0 --scheduler constant --results RESULTS",
    "report": "report --results RESULTS",
    "rerun": "rerun none --results RESULTS",
    "search": "search --architecture resnet18 --results RESULTS --trials 1 --subset 120",
    "train": "train --architecture resnet18 --results RESULTS --subset 120 --epochs 0.1 --dataset digits",
    "watch": "watch RESULTS --once",
}
SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM}


def start(command: str, results: Path) -> "subprocess.Popen[str]":
    words = READERS[command].replace("RESULTS", str(results)).split()
    return subprocess.Popen(
        [sys.executable, "-m", "adasearch", *words],
        cwd=results.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: "subprocess.Popen[str]", seconds: float) -> tuple[str, str]:
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"it did not end within {seconds} s: {process.communicate()}")


@pytest.fixture
def results(small_results: Path, tmp_path: Path) -> Path:
    """A results folder of one's own, with a profile."""
    results = tmp_path / "results"
    shutil.copytree(small_results, results)
    study = Store(str(results)).study(STUDY)
    assert study is not None
    ProfileStore(str(results)).write(speed_of(study))
    return results


def test_every_command_is_tried() -> None:
    assert READERS.keys() == cli.commands.keys()


@pytest.mark.parametrize("command", sorted(READERS.keys() - {"search", "train"}))
def test_named_pipe_among_the_tables_is_not_waited_for(command: str, results: Path) -> None:
    Store(str(results)).compact(STUDY)
    places = [results / "profiles"]
    for study in results.glob("resnet18*"):
        places += [study / table for table in ("trials", "intervals", "studies")]
        (study / "compacted").mkdir(exist_ok=True)
        for compacted in ("trials", "intervals"):
            (study / "compacted" / f"{compacted}.parquet").unlink(missing_ok=True)
            os.mkfifo(study / "compacted" / f"{compacted}.parquet")
    for place in places:
        os.mkfifo(place / "pipe.parquet")
    os.mkfifo(results / STUDY / ".owner")
    out, err = ended(start(command, results), 60)
    assert "Traceback" not in err
    if command in ("compare", "list", "report"):
        assert "pipe.parquet" in err or command == "list"
    if command == "doctor":
        assert f"{STUDY}/trials/pipe.parquet: unreadable" in out.replace("\n", " ")
        assert (results / ".damaged" / STUDY / "trials" / "pipe.parquet").is_fifo()


@pytest.mark.parametrize("sign", SIGNALS)
@pytest.mark.parametrize("command", ["compare", "doctor", "dashboard"])
def test_signal_ends_a_command_within_seconds(command: str, sign: str, results: Path) -> None:
    check_signal(command, sign, results, 0.1)


@pytest.mark.soak
@pytest.mark.parametrize("sign", SIGNALS)
@pytest.mark.parametrize("command", READERS)
def test_signal_at_any_moment_ends_any_command_within_seconds(command: str, sign: str, results: Path) -> None:
    rng = random.Random(f"{command}{sign}")
    for _ in range(4):
        check_signal(command, sign, results, rng.uniform(0, 3))


def wait_until_signals_are_ours(process: "subprocess.Popen[str]") -> None:
    """Wait until the command has taken SIGTERM over from Python, which takes as long as its first imports."""
    status, until = Path(f"/proc/{process.pid}/status"), time.monotonic() + 20
    if not status.parent.parent.is_dir():  # not Linux
        time.sleep(5)
        return
    while process.poll() is None and time.monotonic() < until:
        lines = status.read_text().splitlines() if status.exists() else []
        caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), 0)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)


def check_signal(command: str, sign: str, results: Path, after: float) -> None:
    """Send a signal so many seconds after a command took over; one that has ended has its own code."""
    process = start(command, results)
    wait_until_signals_are_ours(process)
    time.sleep(after)
    running = process.poll() is None
    process.send_signal(SIGNALS[sign])
    began = time.monotonic()
    _, err = ended(process, 20)
    assert time.monotonic() - began < 15
    if running:
        assert process.returncode in (130, 0, 1, 2), err
        assert "Traceback" not in err, err
