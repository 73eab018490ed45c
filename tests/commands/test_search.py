"""Whole searches through the real command line, on real Ray Train workers and real images.

Each cold start of workers costs half a minute, so a few searches serve many tests.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from adasearch.environment import device_name
from adasearch.records import IntervalRecord, TrialRecord
from adasearch.store import Store
from tests import faulty
from tests.forked import run_forked

pytestmark = pytest.mark.ray

TINY = "--dataset digits --subset 150 --epochs 4 --interval 0.25".split()
SPACE = """
scheduler: deba
fields:
  stability_threshold: {float: [0.2, 1.0], default: 0.9}
  confidence_threshold: {fixed: 2.0}
  window: {int: [3, 6], default: 4}
  cooldown: {fixed: 1}
"""


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


def adasearch(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "adasearch", *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*arguments: str, cwd: Path, env: dict[str, str] | None = None, timeout: float = 300) -> Finished:
    code, out, err = run_forked(arguments, cwd, {**os.environ, **(env or {})}, timeout)
    if code is None:
        pytest.fail(f"the command did not end within {timeout} s\n{out}\n{err}")
    return Finished(code, out, err)


def all_trials(results: Path) -> list[TrialRecord]:
    store = Store(str(results))
    return [trial for study in store.studies() for trial in store.trials(study.study)]


def finished(results: Path) -> list[TrialRecord]:
    return [trial for trial in all_trials(results) if trial.status != "running"]


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            pytest.fail(f"waited in vain (exit code {process.returncode}): {process.communicate()}")
        time.sleep(0.2)


def descendants(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


def assert_gone(processes: list[psutil.Process], seconds: float = 60) -> None:
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    assert not alive, (
        f"left behind: {[' '.join(process.cmdline())[:80] for process in alive if process.is_running()]}"
    )


# --- one search, and the same command with more trials ---------------------------------------------


@dataclass(frozen=True)
class Searched:
    folder: Path
    command: list[str]
    first: Finished
    before: dict[str, bytes]
    second: Finished

    @property
    def results(self) -> Path:
        return self.folder / "results"


def rows_on_disk(results: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in results.glob("*/trials/*.parquet")}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """Deba beside the baseline: 8 trials each, then 15 more of each with the same command."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "space.yaml").write_text(SPACE)
    command = (
        "search --architecture mobilenet_v3_small --scheduler deba --space space.yaml --seed 3".split() + TINY
    )
    first = run(*command, "--trials", "8", cwd=folder)
    before = rows_on_disk(folder / "results")
    second = run(*command, "--trials", "23", cwd=folder)
    return Searched(folder, command, first, before, second)


def test_search_exits_zero_and_prints_both_tables(searched: Searched) -> None:
    assert searched.first.code == 0, searched.first.err
    for text in ("val error", "speed-up", "reference", "Settings of these trials", "count intervals"):
        assert text in searched.first.out


def test_search_shows_progress_and_no_noise_of_ray(searched: Searched) -> None:
    assert searched.first.err == ""
    assert "[1/16]" in searched.first.out
    assert "[16/16]" in searched.first.out
    assert "\ntraining\n" in searched.first.out
    assert not re.search(r"\bray\b|raylet|Traceback|WARNING|INFO", searched.first.out)


def test_every_trial_has_a_row_and_intervals(searched: Searched) -> None:
    store = Store(str(searched.results))
    for study in store.studies():
        trials = store.trials(study.study)
        intervals = store.intervals(study.study)
        assert [trial.number for trial in trials] == list(range(23))
        for trial in trials:
            assert trial.versions["hardware"] == device_name("cpu")
            records = intervals[trial.trial_id]
            assert [record.signals.interval for record in records] == list(range(len(records)))
            assert trial.examples_seen == records[-1].signals.examples_seen
            assert trial.train_seconds == pytest.approx(sum(record.train_seconds for record in records))
            if trial.status == "complete":
                assert trial.examples_seen >= study.budget
                assert trial.val_error == records[-1].val_error


def test_first_trial_is_the_documented_default(searched: Searched) -> None:
    trials = Store(str(searched.results)).trials("mobilenet_v3_small-nano-deba-digits")
    assert trials[0].params["train/lr"] == 0.1
    assert trials[0].params["scheduler/window"] == 4


def test_deba_acts_on_real_workers(searched: Searched) -> None:
    """Trials that begin at the largest size cannot grow, and the clock says which trials go to the end."""
    trials = [trial for trial in finished(searched.results) if trial.scheduler == "deba"]
    assert sum(trial.status == "complete" for trial in trials) >= 4
    assert sum(trial.adaptations > 0 for trial in trials) >= 5


def test_stored_decisions_follow_from_the_stored_signals(searched: Searched) -> None:
    from adasearch.schedulers import make_scheduler

    store = Store(str(searched.results))
    study = store.study("mobilenet_v3_small-nano-deba-digits")
    assert study is not None
    intervals = store.intervals(study.study)
    for trial in store.trials(study.study):
        scheduler = make_scheduler("deba", trial.fields_of("scheduler"))
        records = intervals[trial.trial_id]
        history = [record.signals for record in records]
        for count, record in enumerate(records[:-1], start=1):
            assert scheduler.decide(history[:count], study.limits) == record.decision


def test_constant_trials_never_change_the_batch(searched: Searched) -> None:
    for trial in finished(searched.results):
        if trial.scheduler == "constant":
            assert trial.adaptations == 0
            assert trial.final_batch_size == trial.params["train/batch_size"]


def test_poor_trials_are_stopped_early_at_a_rung(searched: Searched) -> None:
    pruned = [trial for trial in finished(searched.results) if trial.status == "pruned"]
    assert len(pruned) >= 6
    for trial in pruned:
        # Stopping takes one interval to reach the worker, so a trial is stopped at its rung or soon after.
        assert 150 <= trial.examples_seen < 600


def test_same_command_asks_for_more_after_pruned_trials(searched: Searched) -> None:
    assert searched.second.code == 0, searched.second.err
    studies = [f"mobilenet_v3_small-nano-{scheduler}-digits" for scheduler in ("constant", "deba")]
    assert Counter(t.study for t in finished(searched.results)) == dict.fromkeys(studies, 23)


def test_second_search_rewrites_no_row_of_the_first(searched: Searched) -> None:
    after = rows_on_disk(searched.results)
    assert len(searched.before) == 16
    assert {name: after[name] for name in searched.before} == searched.before


def test_second_search_does_not_repeat_the_points_of_the_first(searched: Searched) -> None:
    params = [json.dumps(dict(t.params), sort_keys=True) for t in finished(searched.results)]
    studies = [t.study for t in finished(searched.results)]
    assert len(set(zip(studies, params, strict=True))) == len(params)


def test_nothing_of_ray_lies_in_the_results(searched: Searched) -> None:
    left = [path for path in searched.results.rglob("*") if path.is_file() and path.suffix != ".parquet"]
    assert {path.name for path in left} <= {".lock", ".owner"}


def test_study_of_another_identity_is_refused(searched: Searched) -> None:
    before = rows_on_disk(searched.results)
    other = run(*searched.command, "--epochs", "5", cwd=searched.folder)
    assert other.code == 2
    assert "budget=600" in other.err
    assert "budget=750" in other.err
    assert other.err.count("\n") == 1
    assert rows_on_disk(searched.results) == before


def test_finished_search_has_nothing_to_do(searched: Searched) -> None:
    before = rows_on_disk(searched.results)
    again = run(*searched.command, "--trials", "23", cwd=searched.folder)
    assert again.code == 0
    assert rows_on_disk(searched.results) == before


def test_too_many_workers_are_refused_at_once(tmp_path: Path) -> None:
    sizes = "--workers 64 --smallest 128 --largest 128 --set train/batch_size=128".split()
    refused = run("search", "--architecture", "resnet18", *TINY, *sizes, cwd=tmp_path)
    assert refused.code == 2
    assert "64 worker(s)" in refused.err
    assert "the cluster has" in refused.err
    assert not (tmp_path / "results").exists()


# --- faults ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Faults:
    folder: Path
    out: str
    trials: dict[str, TrialRecord]

    def __getitem__(self, scheduler: str) -> TrialRecord:
        return self.trials[scheduler]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """One search over schedulers that break: each has one row, and of some studies nothing completed."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "faulty.py").write_text(Path(faulty.__file__).read_text())
    names = ["DiesOnce", "DiesAlways", "LeavesLimits", "Explodes", "Doubles"]
    schedulers = [word for name in names for word in ("--scheduler", f"faulty:{name}")]
    command = ["search", "--architecture", "resnet18", *schedulers, *TINY, "--no-baseline", "--trials", "1"]
    command += ["--largest", "64", "--set", "train/batch_size=16", "--checkpoint-every", "1"]
    # An ambient RAY_ADDRESS must not be followed: there is no Ray at this one.
    env = {faulty.MARKER: str(folder / "marker"), "RAY_ADDRESS": "127.0.0.1:1"}
    done = run(*command, cwd=folder, env=env)
    assert done.code == 1, done.err
    assert "nothing completed, 1 of 1 trials failed" in done.err
    trials = {trial.scheduler.removeprefix("faulty:"): trial for trial in finished(folder / "results")}
    return Faults(folder, done.out, trials)


def test_trial_survives_the_death_of_its_worker(faults: Faults) -> None:
    assert faults["DiesOnce"].status == "complete"
    assert faults["DiesOnce"].examples_seen >= 600


def test_death_of_a_worker_shows_no_noise_of_ray(faults: Faults) -> None:
    assert "died in each of 2 attempts" in faults.out
    assert not re.search(r"\bray\b|raylet|Traceback", faults.out.replace("starting Ray", ""))


def test_trial_goes_on_from_its_checkpoint_after_the_death_of_its_worker(faults: Faults) -> None:
    """The worker died while deciding the second interval; the next did not begin with the first."""
    assert (faults.folder / "marker").read_text() == "2 intervals"
    store = Store(str(faults.folder / "results"))
    intervals = store.intervals(faults["DiesOnce"].study)[faults["DiesOnce"].trial_id]
    assert [record.signals.interval for record in intervals] == list(range(16))


def test_checkpoints_are_removed_with_the_end_of_a_trial(faults: Faults) -> None:
    assert not list((faults.folder / "results").rglob("*.pt"))


def test_trial_whose_worker_dies_twice_is_a_row_with_its_error(faults: Faults) -> None:
    assert faults["DiesAlways"].status == "failed"
    assert "died in each of 2 attempts" in str(faults["DiesAlways"].error)


def test_trial_whose_loss_is_nan_is_a_row_with_its_error(faults: Faults) -> None:
    assert faults["Explodes"].status == "failed"
    assert "train_loss is nan" in str(faults["Explodes"].error)


def test_fault_of_a_scheduler_is_reported_as_its_own(faults: Faults) -> None:
    assert faults["LeavesLimits"].status == "failed"
    assert "scheduler LeavesLimits() chose batch_size" in str(faults["LeavesLimits"].error)


def test_users_own_scheduler_changes_the_batch(faults: Faults) -> None:
    assert faults["Doubles"].status == "complete"
    assert faults["Doubles"].adaptations == 1
    assert faults["Doubles"].final_batch_size == 32


# --- two workers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search with two workers a trial, one of its schedulers failing on the second worker only."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "faulty.py").write_text(Path(faulty.__file__).read_text())
    began = time.monotonic()
    command = "search --architecture resnet18 --scheduler deba --scheduler faulty:RaisesOnRankOne".split()
    command += "--workers 2 --trials 2 --attempts 1 --set scheduler/window=3".split()
    done = run(*command, *TINY, cwd=folder)
    assert done.code == 1, done.err
    assert "nothing completed, 2 of 2 trials failed" in done.err
    assert time.monotonic() - began < 240
    return folder / "results"


def test_two_workers_train_to_the_end(two_workers: Path) -> None:
    done = [trial for trial in finished(two_workers) if "faulty" not in trial.scheduler]
    assert {trial.status for trial in done} == {"complete"}
    assert {trial.workers for trial in done} == {2}


def test_failure_of_one_rank_is_a_failed_row_not_a_hang(two_workers: Path) -> None:
    failed = [trial for trial in finished(two_workers) if "faulty" in trial.scheduler]
    assert len(failed) == 2
    for trial in failed:
        assert trial.status == "failed"
        assert "rank one gives up" in str(trial.error)
        assert trial.ended_at is not None
        assert (trial.ended_at - trial.started_at).total_seconds() < 90


# --- interrupted and killed ------------------------------------------------------------------------


@dataclass(frozen=True)
class Interrupted:
    code: int
    message: str
    seconds: float
    after_interrupt: dict[str, bytes]
    running_after_interrupt: dict[str, list[IntervalRecord]]
    after_kill: dict[str, bytes]
    last: Finished
    results: Path


def finished_rows(results: Path) -> dict[str, bytes]:
    names = {f"{trial.trial_id}.parquet" for trial in finished(results)}
    return {name: data for name, data in rows_on_disk(results).items() if name in names}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Interrupted:
    """A search ended by Ctrl-C, gone on and killed by -9, gone on to its end."""
    folder = tmp_path_factory.mktemp("interrupted")
    results = folder / "results"
    command = (
        "search --architecture mobilenet_v3_small --scheduler deba --dataset digits --subset 400".split()
    )
    command += "--epochs 6 --interval 0.25 --trials 9 --stopper none --checkpoint-every 2".split()

    process = adasearch(*command, cwd=folder)
    wait_for(lambda: results.exists() and len(finished(results)) >= 3, process)
    children = descendants(process)
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: the whole process group gets it
    _, message = process.communicate(timeout=60)
    code, seconds = process.returncode, time.monotonic() - began
    assert_gone(children)
    after_interrupt = finished_rows(results)
    running = {
        trial.trial_id: Store(str(results)).intervals(trial.study).get(trial.trial_id, [])
        for trial in all_trials(results)
        if trial.status == "running"
    }

    process = adasearch(*command, cwd=folder)
    wait_for(lambda: len(finished(results)) >= len(after_interrupt) + 4, process)
    children = descendants(process)
    with process:
        process.kill()
    # Ray's own two agents notice a little later; they hold neither CPUs nor files.
    agents = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
    assert_gone([child for child in children if child.is_running() and child.name() not in agents])
    after_kill = finished_rows(results)

    last = run(*command, cwd=folder)
    return Interrupted(code, message, seconds, after_interrupt, running, after_kill, last, results)


def test_interrupt_ends_soon_and_says_how_to_go_on(interrupted: Interrupted) -> None:
    assert interrupted.code == 130
    assert interrupted.seconds < 20
    assert interrupted.message.startswith("adasearch: interrupted")
    assert "adasearch search --architecture mobilenet_v3_small" in interrupted.message
    assert interrupted.message.count("\n") == 1


def test_interrupted_trials_stay_as_running_rows(interrupted: Interrupted) -> None:
    assert 1 <= len(interrupted.running_after_interrupt) <= len(os.sched_getaffinity(0))


def test_interrupted_trials_go_on_from_their_checkpoints(interrupted: Interrupted) -> None:
    """What an interrupted trial did before its last checkpoint was not done again: its times are the same."""
    store = Store(str(interrupted.results))
    kept = []
    for study in store.studies():
        after = store.intervals(study.study)
        for trial_id in interrupted.running_after_interrupt.keys() & after.keys():
            before = interrupted.running_after_interrupt[trial_id]
            kept.append(len(before))
            assert after[trial_id][: len(before)] == before
            assert len(after[trial_id]) == 24
    assert max(kept) >= 2
    assert not list(interrupted.results.rglob("*.pt"))


def test_no_finished_trial_is_lost_or_changed(interrupted: Interrupted) -> None:
    rows = rows_on_disk(interrupted.results)
    assert len(interrupted.after_interrupt) >= 3
    assert len(interrupted.after_kill) >= len(interrupted.after_interrupt) + 4
    for before in (interrupted.after_interrupt, interrupted.after_kill):
        assert {name: rows[name] for name in before} == before


def test_same_command_completes_the_search_without_doubles(interrupted: Interrupted) -> None:
    assert interrupted.last.code == 0, interrupted.last.err
    store = Store(str(interrupted.results))
    for study in store.studies():
        assert [trial.number for trial in store.trials(study.study)] == list(range(9))
        assert {trial.status for trial in store.trials(study.study)} == {"complete"}


def test_each_interval_is_stored_exactly_once(interrupted: Interrupted) -> None:
    frame = Store(str(interrupted.results)).frame("intervals")
    assert not frame.duplicated(["trial_id", "interval"]).any()
    assert set(frame.groupby("trial_id")["interval"].count()) == {24}


def test_who_drives_a_search_imports_no_torch(tmp_path: Path) -> None:
    """It takes half a gigabyte, and what needs it, studies and their first steps, is done before."""
    code = (
        "import sys\nfrom adasearch.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n    print('torch' in sys.modules)"
    )
    words = [
        "search",
        "--architecture",
        "resnet20",
        "--scheduler",
        "constant",
        "--trials",
        "1",
        "--slots",
        "1",
    ]
    words += ["--subset", "128", "--epochs", "1", "--results", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert [trial.status for trial in all_trials(tmp_path)] == ["complete"]
