"""A search that loses nodes, workers, memory and drivers at random moments, and goes on each time.

A driver is also lost while it starts, before anything trains. ``ADASEARCH_FAULTS`` is how many faults are
injected in all (24 by default, up to a minute each), ``ADASEARCH_FAULTS_SEED`` the seed of their order and
moments. ``pytest -m soak -s tests/test_loss.py`` prints the table.
"""

import os
import random
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.commands.test_search import adasearch, all_trials, run
from tests.invariants import Ended, check
from tests.memory_faults import fill_memory, kernel_may_kill, kill_by_kernel, monitor_env
from tests.nodes import Nodes, named, nodes

pytestmark = [pytest.mark.ray, pytest.mark.soak]

FAULTS = int(os.environ.get("ADASEARCH_FAULTS", "24"))
SEED = int(os.environ.get("ADASEARCH_FAULTS_SEED", "7"))
COMMAND = (
    "search --architecture mobilenet_v3_small --scheduler deba --set scheduler/window=3 --dataset digits"
)
COMMAND += " --subset 150 --epochs 8 --interval 0.25 --checkpoint-every 1 --attempts 4"
KERNEL = "worker killed by the kernel for memory"
RECOVERY_SECONDS = 240
GONE_SECONDS = 60
LATE = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")


@dataclass
class Outcome:
    fault: str
    recovery_seconds: float


@dataclass
class Scene:
    """A search under attack: on this machine alone, or on a cluster of nodes."""

    folder: Path
    words: list[str]
    env: dict[str, str]
    nodes: Nodes | None = None
    process: "subprocess.Popen[str] | None" = None
    ended: Ended | None = None
    began: float = 0.0
    leaving: list[tuple[str, float, list[psutil.Process]]] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(self) -> None:
        self.began = time.time()
        words = [*COMMAND.split(), "--trials", "5000", *self.words]
        self.process = adasearch(*words, cwd=self.folder, env=self.env)

    def children(self) -> list[psutil.Process]:
        """Every process of the search but its driver."""
        assert self.process is not None
        try:
            own = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            own = []
        names = ("Trainable", "Mailbox", "RayTrainWorker")
        return own + (
            [] if self.nodes is None else [each for name in names for each in self.nodes.workers(name)]
        )

    def actors(self, name: str) -> list[psutil.Process]:
        return named(name, self.children())

    def workers(self) -> set[int]:
        """Return the processes that train now."""
        return {each.pid for each in self.actors("RayTrainWorker")}

    def newest(self) -> float:
        """When intervals were last stored."""
        return max((file.stat().st_mtime for file in self.results.glob("*/intervals/*.parquet")), default=0.0)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        assert self.process is not None
        end = time.time() + RECOVERY_SECONDS
        while not condition():
            if self.process.poll() is not None or time.time() > end:
                left = [" ".join(each.cmdline())[:60] for each in self.children() if each.is_running()]
                self.process.kill()
                pytest.fail(
                    f"{what}: waited in vain ({self.process.returncode}): {self.process.communicate()} {left}"
                )
            time.sleep(0.1)

    def check(self) -> None:
        self.ended = check(self.results, self.ended) if self.results.exists() else None


def kill_worker(scene: Scene, random: random.Random) -> None:
    random.choice(scene.actors("RayTrainWorker")).kill()


def kill_trial(scene: Scene, random: random.Random) -> None:
    random.choice(scene.actors("Trainable")).kill()


def kill_node(scene: Scene, random: random.Random) -> None:
    assert scene.nodes is not None
    scene.nodes.kill(random.choice(scene.nodes.busy()))
    scene.nodes.add()


def end_for_memory(scene: Scene, random: random.Random) -> None:
    end = time.time() + 60
    while time.time() < end:
        workers = scene.actors("RayTrainWorker")
        if workers and kill_by_kernel(random.choice(workers)):
            return
        time.sleep(0.5)
    pytest.fail("the kernel killed no worker")


def run_short_of_memory(scene: Scene, random: random.Random) -> None:
    """Ray's own monitor chooses whom it kills: a worker or, as that is all its own, a trial's actor."""
    there = {each.pid for name in ("Trainable", "RayTrainWorker") for each in scene.actors(name)}
    fill_memory(until=lambda: not all(map(psutil.pid_exists, there)))


def send(*signals: int) -> Callable[[Scene, random.Random], None]:
    def inject(scene: Scene, random: random.Random) -> None:
        assert scene.process is not None
        for count, number in enumerate(signals):
            if count:
                time.sleep(random.uniform(0.05, 1.5))
            if number == signal.SIGINT and scene.process.poll() is None:
                os.killpg(scene.process.pid, number)  # what Ctrl-C does: the whole process group gets it
            else:
                scene.process.send_signal(number)

    return inject


LIVING: dict[str, Callable[[Scene, random.Random], None]] = {
    "worker killed by -9": kill_worker,
    "trial's actor killed by -9": kill_trial,
    "raylet killed by -9": kill_node,
    KERNEL: end_for_memory,
    "killed by Ray for memory": run_short_of_memory,
}
"""Faults that the same command outlives."""

DRIVER = {
    "driver killed by -9": send(signal.SIGKILL),
    "SIGTERM": send(signal.SIGTERM),
    "Ctrl-C": send(signal.SIGINT),
    "Ctrl-C twice": send(signal.SIGINT, signal.SIGINT),
}
"""Faults after which the same command is given again."""

COLD = [f"{fault}, in its start" for fault in DRIVER]
START_SECONDS = 25  # about what a search takes until it trains
WORKERS = ["worker killed by -9", "trial's actor killed by -9"]


def attack(scene: Scene, fault: str, random: random.Random) -> Outcome:
    """Inject a fault at a random moment and check what is stored; return how long until work went on."""
    if scene.process is None:
        scene.start()
    began = scene.began
    scene.wait_for(lambda: scene.newest() > began, f"start before {fault}")
    time.sleep(random.uniform(0, 6))
    if fault in COLD:
        end_driver(scene, "driver killed by -9", random)
        scene.start()
        time.sleep(random.uniform(0.5, START_SECONDS))
    if fault in LIVING:
        scene.wait_for(lambda: bool(scene.actors("RayTrainWorker")), fault)
        former = scene.workers()
        at = time.time()
        LIVING[fault](scene, random)
        scene.wait_for(lambda: bool(now := scene.workers()) and not former & now, f"workers after {fault}")
        there = time.time()
        scene.wait_for(lambda: scene.newest() > there, f"intervals after {fault}")
    else:
        end_driver(scene, fault.removesuffix(", in its start"), random, starting=fault in COLD)
        scene.start()
        at = scene.began
        scene.wait_for(lambda: scene.newest() > at, f"resume after {fault}")
    scene.began = time.time()
    scene.check()
    return Outcome(fault, time.time() - at)


def end_driver(scene: Scene, fault: str, random: random.Random, *, starting: bool = False) -> None:
    """End the driver and check its words, its exit code and what is stored."""
    children = scene.children()
    assert scene.process is not None
    DRIVER[fault](scene, random)
    sent = time.time()
    out, err = scene.process.communicate(timeout=60)
    print(f"    exit {scene.process.returncode} after {time.time() - sent:.1f} s: {err.strip()[:100]}")
    code = scene.process.returncode
    # For a moment of Ray's start SIGTERM is its own affair.
    aborted = starting and fault == "SIGTERM" and code == -signal.SIGABRT
    assert code == (-9 if "-9" in fault else 130) or aborted, (out, err)
    assert "Traceback" not in err, err
    scene.leaving.append((fault, time.time() + GONE_SECONDS, children))
    scene.check()


def assert_gone(scene: Scene, *, wait: bool = False) -> None:
    """Check that nothing is left of drivers that ended a minute ago."""
    for fault, deadline, processes in list(scene.leaving):
        if wait:
            psutil.wait_procs(processes, timeout=max(0.0, deadline - time.time()))
        if time.time() < deadline:
            continue
        scene.leaving.remove((fault, deadline, processes))
        left = [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        names = [each.name() for each in left]
        if names:
            print(f"    left after {fault}: {names}")
        assert not [name for name in names if name not in LATE]


@contextmanager
def alone(folder: Path) -> Iterator[Scene]:
    yield Scene(folder, ["--slots", "1"], monitor_env())


@contextmanager
def spread(folder: Path) -> Iterator[Scene]:
    """Two workers a trial on nodes of one CPU, and a node to spare."""
    with nodes(folder, 1, 1, 1) as cluster:
        words = ["--workers", "2", "--slots", "1", "--wait-for-nodes", "60", "--address", cluster.address]
        yield Scene(folder, words, cluster.env, cluster)


@pytest.mark.parametrize(
    ("where", "faults"),
    [
        (alone, [*WORKERS, "killed by Ray for memory", KERNEL, *DRIVER, *COLD]),
        (spread, [*WORKERS, "raylet killed by -9", KERNEL, *DRIVER, "raylet killed by -9"]),
    ],
    ids=["alone", "spread"],
)
def test_nothing_is_lost_or_doubled(
    where: Callable[[Path], AbstractContextManager[Scene]], faults: list[str], tmp_path: Path
) -> None:
    rng = random.Random(SEED)
    possible = [fault for fault in faults if fault != KERNEL or kernel_may_kill()]
    plan = [possible[number % len(possible)] for number in range(FAULTS // 2)]
    rng.shuffle(plan)
    outcomes: list[Outcome] = []
    with where(tmp_path) as scene:
        try:
            for number, fault in enumerate(plan):
                outcomes.append(attack(scene, fault, rng))
                print(f"{number + 1}/{len(plan)} {fault}: {outcomes[-1].recovery_seconds:.1f} s", flush=True)
                assert_gone(scene)
            scene.check()
            finish(scene)
        finally:
            if scene.process is not None and scene.process.poll() is None:
                scene.process.kill()
            print(table(outcomes))
        assert_gone(scene, wait=True)


def finish(scene: Scene) -> None:
    """End the search by Ctrl-C, and let the same command with fewer trials run to its end."""
    assert scene.process is not None
    os.killpg(scene.process.pid, signal.SIGINT)
    scene.process.communicate(timeout=60)
    trials = all_trials(scene.results)
    wanted = (
        max(sum(trial.study == study for trial in trials) for study in {trial.study for trial in trials}) + 1
    )
    done = run(*COMMAND.split(), "--trials", str(wanted), *scene.words, cwd=scene.folder, env=scene.env)
    assert done.code == 0, done.err
    scene.check()
    assert {trial.status for trial in all_trials(scene.results)} <= {"complete", "pruned", "failed"}


def table(outcomes: list[Outcome]) -> str:
    lines = ["| fault | injected | recovery, median (s) | most (s) |", "| --- | --- | --- | --- |"]
    for fault in {outcome.fault: None for outcome in outcomes}:
        seconds = [outcome.recovery_seconds for outcome in outcomes if outcome.fault == fault]
        lines.append(f"| {fault} | {len(seconds)} | {statistics.median(seconds):.0f} | {max(seconds):.0f} |")
    return "\n".join(lines)
