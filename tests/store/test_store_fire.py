"""Writers killed while they write, readers beside them, disks that are full or read-only."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from adasearch.cli.main import main
from adasearch.doctor.examine import examine
from adasearch.errors import StoreError
from adasearch.io.filesystem import DRAFT
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.store import Store
from tests.rows import STUDY, interval_at, trial_of

# Writes trial after trial as a search does, and says of each when it is stored. Forked for each turn from a
# process that has imported everything: a process of its own, without the seconds of a start.
WRITER = """
import os, signal, sys
from dataclasses import replace
from adasearch.store.locks import StudyLocked
from adasearch.store import Store
from tests.rows import STUDY
from tests.store.test_store_fire import course, ended
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    results, name = line.split()
    if pid := os.fork():
        os.write(1, f"{pid}\\n".encode())  # in one piece, beside what the writers say
        continue
    store = Store(results)
    try:
        with store.locks.hold(name):
            for number in range(len(store.trials(name)), 10**6):
                trial = ended(name, number)
                store.write_trial(replace(trial, status="running"))
                for length in (1, len(course(number))):
                    store.write_intervals(trial, course(number)[:length])
                store.write_trial(trial)
                os.write(1, f"{name} {number}\\n".encode())
    except StudyLocked as error:
        os.write(1, f"{name} {error}\\n".encode())
    os._exit(0)
"""
TRAIN = (
    "train --architecture mobilenet_v3_small --dataset digits --subset 150 --epochs 2 --interval 0.5".split()
)


def ended(name: str, number: int) -> TrialRecord:
    """A trial that ends with its own course, every number of it other than its neighbours'."""
    trial = trial_of(replace(STUDY, study=name), number, val_error=number / 10**6, seconds=1.0)
    last = course(number)[-1].signals
    return replace(trial, examples_seen=last.examples_seen, steps=last.step)


def course(number: int) -> list[IntervalRecord]:
    return [interval_at(interval) for interval in range(2 + number % 5)]


class Writers:
    """Starts writers and collects what they said."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._started: list[int] = []
        self.stored: dict[str, list[int]] = {}
        self.refused: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, _, rest = line.strip().partition(" ")
            if not rest:
                self._started.append(int(name))
            elif rest.isdecimal():
                self.stored.setdefault(name, []).append(int(rest))
            else:
                self.refused.append(rest)

    def start(self, results: Path, name: str) -> int:
        count = len(self._started)
        assert self._process.stdin is not None
        print(results, name, file=self._process.stdin, flush=True)
        wait_for(lambda: len(self._started) > count)
        return self._started[-1]

    def close(self) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            self._listener.join()


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextmanager
def readers(results: Path, damaged: list[str]) -> Iterator[None]:
    """Read every file of every table again and again, each by its name."""
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            for path in list(results.glob("*/*/[!.]*.parquet")):
                try:
                    with path.open("rb") as file:  # given a path, pyarrow opens it twice
                        pq.read_table(file)
                except Exception as error:
                    damaged.append(f"{path}: {error}")

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kill_and_check(results: Path, kills: int, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(seed)
    store, name = Store(str(results)), STUDY.study
    store.write_study(STUDY)
    writers, damaged = Writers(), list[str]()
    with readers(results, damaged):
        for _ in range(kills):
            before = len(writers.stored.get(name, ()))
            process = writers.start(results, name)
            if chance.random() < 0.7:  # in the midst of it, else perhaps before its first write
                wait_for(lambda: len(writers.stored.get(name, ())) > before)  # noqa: B023
            time.sleep(chance.random() * 0.05)
            os.kill(process, signal.SIGKILL)
            wait_for(lambda: not Path(f"/proc/{process}").exists())  # noqa: B023
            trials = {trial.number: trial for trial in store.trials(name)}
            assert len(trials) == len(store.trials(name)), "a trial is there twice"
            courses = store.intervals(name)
            for trial in trials.values():
                if trial.status == "complete":
                    assert trial == ended(name, trial.number)
                    assert courses[trial.trial_id] == course(trial.number)
    writers.close()
    assert not writers.refused, "the lock of a writer that was killed holds"
    assert damaged == []
    kept = {trial.number for trial in store.trials(name) if trial.status == "complete"}
    assert set(writers.stored[name]) <= kept, "a trial that was stored is lost"
    assert len(writers.stored[name]) >= kills / 2
    assert examine(store).damaged == 0
    with store.locks.hold(name):
        assert not [path for path in results.rglob("*") if DRAFT.fullmatch(path.name)]
    assert examine(store).findings == []
    assert capsys.readouterr().err == ""  # no file was skipped


def test_writers_that_are_killed_lose_and_double_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kill_and_check(tmp_path / "results", 8, 0, capsys)


@pytest.mark.soak
def test_two_hundred_writers_that_are_killed_lose_and_double_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(10):  # a folder each, since all of it is read after every kill
        kill_and_check(tmp_path / str(seed), 20, seed, capsys)


def test_two_studies_of_a_folder_are_written_at_once_and_one_by_one_alone(tmp_path: Path) -> None:
    writers = Writers()
    names = ("one", "two")
    processes = [writers.start(tmp_path, name) for name in names]
    wait_for(lambda: all(len(writers.stored.get(name, ())) > 2 for name in names))
    writers.start(tmp_path, "one")
    wait_for(lambda: writers.refused)
    for process in processes:
        os.kill(process, signal.SIGKILL)
    writers.close()
    assert len(writers.refused) == 1
    assert f"process {processes[0]}" in writers.refused[0]
    store = Store(str(tmp_path))
    for name in names:
        assert set(writers.stored[name]) <= {trial.number for trial in store.trials(name)}


# --- disks ------------------------------------------------------------------------------------------------


class Disk:
    """A file system of one mebibyte."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def mount(self, *options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(("size=1m", *options)), "tmpfs", str(self.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                return

    def clear(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if sys.platform != "linux":
        pytest.skip("tmpfs is Linux's")
    path = tmp_path / "disk"
    path.mkdir()
    small = Disk(path)
    small.mount()
    yield small
    subprocess.run(["umount", str(path)], check=True)


def code_of(*arguments: str) -> object:
    try:
        main(list(arguments))
    except SystemExit as stop:
        return stop.code
    return 0


def drafts(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if DRAFT.fullmatch(path.name)]


def test_full_disk_loses_nothing_leaves_no_draft_and_is_named(
    disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    store, name = Store(str(disk.path / "results")), STUDY.study
    store.write_study(STUDY)
    for number in range(3):
        store.write_intervals(ended(name, number), course(number))
        store.write_trial(ended(name, number))
    before = store.trials(name)
    disk.fill()
    trial = ended(name, 3)
    named = r"cannot write .*-3\.parquet: No space left on device"
    with pytest.raises(StoreError, match=named):
        store.write_trial(trial)
    with pytest.raises(StoreError, match=named):
        store.write_intervals(trial, course(3))
    time.sleep(2.1)  # what is to be compacted must not be of just now
    assert code_of("compact", store.name) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot write" in line
    assert "No space left on device" in line
    assert drafts(disk.path) == []
    assert store.trials(name) == before
    disk.clear()
    store.write_intervals(trial, course(3))
    store.write_trial(trial)
    assert code_of("compact", store.name) == 0
    assert store.trials(name) == [*before, trial]
    assert examine(store).findings == []


def test_run_stops_on_a_full_disk_and_goes_on_once_there_is_room(
    disk: Disk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = Store.write_intervals

    def fills(store: Store, trial: TrialRecord, intervals: list[IntervalRecord]) -> None:
        writes(store, trial, intervals)
        if len(intervals) == 2:
            disk.fill()

    monkeypatch.setattr(Store, "write_intervals", fills)
    results = disk.path / "results"
    command = [*TRAIN, "--checkpoint-every", "2", "--results", str(results)]
    disk.mount("remount", "size=16m")  # room for checkpoints
    assert code_of(*command) == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    assert err[0].startswith("adasearch: cannot write")
    assert "No space left on device; what is finished is kept. To go on: adasearch train" in err[0]
    assert drafts(disk.path) == []
    assert [trial.status for trial in Store(str(results)).trials("train")] == ["running"]
    monkeypatch.setattr(Store, "write_intervals", writes)
    disk.clear()
    assert code_of(*command) == 0
    assert "goes on after" in capsys.readouterr().out
    (trial,) = Store(str(results)).trials("train")
    assert trial.status == "complete"
    assert len(Store(str(results)).intervals("train")[trial.trial_id]) == 4
    assert examine(Store(str(results))).findings == []


def test_read_only_disk_is_read_and_refused_in_one_line(
    disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(str(disk.path / "results"))
    store.write_study(STUDY)
    store.write_intervals(ended(STUDY.study, 0), course(0))
    store.write_trial(ended(STUDY.study, 0))
    with store.locks.hold(STUDY.study):  # leaves its file
        pass
    disk.mount("remount", "ro")
    with pytest.raises(StoreError, match=r"cannot write .*: Read-only file system"):
        store.write_trial(ended(STUDY.study, 1))
    with (
        pytest.raises(StoreError, match=r"cannot lock .*: Read-only file system"),
        store.locks.hold(STUDY.study),
    ):
        pass
    assert code_of("compare", "--results", store.name) == 0
    assert code_of("doctor", store.name) == 0
    assert capsys.readouterr().err == ""
    for command in (["compact", store.name], [*TRAIN, "--results", store.name]):
        assert code_of(*command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "must be writable" in line
