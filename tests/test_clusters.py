"""Searches on a Ray cluster of several nodes that asks for a token, started as a user would start it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from adasearch.store import Store
from tests.commands.test_search import TINY, adasearch, all_trials, finished, run, wait_for
from tests.invariants import check
from tests.nodes import RAY, Nodes, nodes, wait_until_listening

pytestmark = pytest.mark.ray

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "5f" * 32}
TELLS = """\
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import adasearch
import own_helper
from adasearch.records import Decision, Limits, Signals
from adasearch.schedulers.base import LR_SCHEDULES, hold


@dataclass(frozen=True)
class Tells:
    pause: float = 0.0

    needs: ClassVar[frozenset[str]] = frozenset()
    lr_schedules: ClassVar[frozenset[str]] = LR_SCHEDULES

    def decide(self, history: Sequence[Signals], limits: Limits) -> Decision:
        import ray

        time.sleep(self.pause)
        told = {
            "node": ray.util.get_node_ip_address(),
            "files": [adasearch.__file__, __file__, own_helper.__file__],
        }
        return hold(history[-1], json.dumps(told))


@dataclass(frozen=True)
class TellsSlowly(Tells):
    pause: float = 0.3
"""  # a user's scheduler that tells where it runs and where its code was read; with a module beside it
SEARCH = ["search", "--architecture", "mobilenet_v3_small", *TINY]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A head without CPUs and one node of one CPU."""
    with nodes(tmp_path_factory.mktemp("nodes"), 1, env=TOKEN) as started:
        yield started


def users_folder(folder: Path) -> Path:
    """Return a folder with modules of a user's own."""
    folder.mkdir(exist_ok=True)
    (folder / "own_places.py").write_text(TELLS)
    (folder / "own_helper.py").write_text("")
    return folder


@dataclass(frozen=True)
class Told:
    """What the scheduler told of each interval."""

    node: str
    files: list[str]


def told(results: Path) -> dict[str, list[Told]]:
    """Return what each trial's intervals tell, without the last, which decides nothing."""
    store = Store(str(results))
    intervals = {
        name: each for study in store.studies() for name, each in store.intervals(study.study).items()
    }
    return {
        name: [Told(**json.loads(record.decision.reason)) for record in records[:-1]]
        for name, records in intervals.items()
    }


# --- a search that begins before its nodes are there ------------------------------------------------


@dataclass(frozen=True)
class Joined:
    folder: Path
    code: int | None
    out: list[str]
    err: str


@pytest.fixture(scope="module")
def joined(cluster: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Joined:
    """Two workers a trial, fresh ones for each of two trials, for which a node is lacking at first.

    The user's modules are deleted before any worker can have read them here.
    """
    folder = users_folder(tmp_path_factory.mktemp("joined"))
    words = "--scheduler own_places:Tells --no-baseline --trials 2 --workers 2 --slots 1 --isolation fresh"
    words += f" --wait-for-nodes 120 --address {cluster.address}"
    process = adasearch(*SEARCH, *words.split(), cwd=folder, env=cluster.env)
    assert process.stdout is not None
    assert process.stderr is not None
    out = []
    with process:
        for line in process.stdout:
            out.append(line)
            if "waiting up to" in line:
                cluster.add()
            if "workers are starting" in line:
                (folder / "own_places.py").unlink()
                (folder / "own_helper.py").unlink()
        return Joined(folder, process.wait(60), out, process.stderr.read())


def test_search_waits_for_nodes_and_says_so(joined: Joined) -> None:
    assert joined.code == 0, joined.err
    text = "".join(joined.out)
    # The first node may be there already, or not yet.
    assert re.search(r"but the cluster has [01] CPU\(s\) and 0 GPU\(s\).*; waiting up to 120 s", text)
    assert "3 nodes are there, 1 trials run at a time" in text
    assert [trial.status for trial in finished(joined.folder / "results")] == ["complete", "complete"]


def test_code_reaches_the_workers_and_is_not_read_where_the_search_was_started(joined: Joined) -> None:
    for lines in told(joined.folder / "results").values():
        for line in lines:
            assert len(line.files) == 3
            for file in line.files:
                assert "runtime_resources/py_modules_files" in file
                assert Path(joined.folder) not in Path(file).parents


LOOP = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import own_helper

DATA = TensorDataset(torch.randn(64, 4), torch.arange(64) % 2)


def train(trial):
    model = trial.prepare(nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=trial.lr)
    sent = all("runtime_resources/py_modules_files" in file for file in (__file__, own_helper.__file__))
    controller = trial.controller(model, optimizer, DATA, evaluate=lambda: {"loss": 1.0, "sent": float(sent)})
    for inputs, labels in trial.batches(DataLoader(DATA, batch_sampler=controller.sampler)):
        controller.step(nn.functional.cross_entropy(model(inputs), labels))
"""  # which tells whether its code was sent


def test_training_function_travels_with_what_lies_beside_it(cluster: Nodes, tmp_path: Path) -> None:
    (tmp_path / "own_loop.py").write_text(LOOP)
    (tmp_path / "own_helper.py").write_text("")
    words = (
        "search --train own_loop:train --scheduler constant --trials 1 --epochs 2 --smallest 8 --largest 8"
    )
    words += f" --slots 1 --wait-for-nodes 60 --results results --address {cluster.address}"
    process = adasearch(*words.split(), cwd=tmp_path, env=cluster.env)
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        for line in process.stdout:
            if "workers are starting" in line:
                (tmp_path / "own_loop.py").unlink()
                (tmp_path / "own_helper.py").unlink()
        code, err = process.wait(60), process.stderr.read()
    assert code == 0, err
    store = Store(str(tmp_path / "results"))
    (study,) = store.studies()
    (trial,) = store.trials(study.study)
    assert trial.status == "complete", trial
    rows = store.intervals(study.study, [trial.trial_id])[trial.trial_id]
    assert {row.metrics["sent"] for row in rows} == {1.0}


# --- a node that is lost ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Lost:
    results: Path
    code: int
    out: str
    err: str
    node: str
    seconds: float


@pytest.fixture(scope="module")
def lost(cluster: Nodes, joined: Joined, tmp_path_factory: pytest.TempPathFactory) -> Lost:
    """Two trials at a time on nodes of one CPU; one node is killed in mid-trial, another one is to spare."""
    cluster.add()
    folder = users_folder(tmp_path_factory.mktemp("lost"))
    results = folder / "results"
    words = "--scheduler own_places:TellsSlowly --no-baseline --trials 2 --slots 2 --checkpoint-every 1"
    words += f" --wait-for-nodes 60 --address {cluster.address}"
    process = adasearch(*SEARCH, *words.split(), cwd=folder, env=cluster.env)

    def under_way() -> bool:
        lengths = [len(lines) for lines in told(results).values()] if results.exists() else []
        return len(lengths) == 2 and min(lengths) >= 2

    wait_for(under_way, process)
    node = next(iter(told(results).values()))[-1].node
    began = time.monotonic()
    cluster.kill(node)
    out, err = process.communicate(timeout=180)
    return Lost(results, process.returncode, out, err, node, time.monotonic() - began)


def test_trials_spread_over_nodes(lost: Lost) -> None:
    assert len({lines[0].node for lines in told(lost.results).values()}) == 2


def test_trial_of_a_lost_node_goes_on_elsewhere_from_its_checkpoint(lost: Lost) -> None:
    assert lost.code == 0, lost.err
    assert lost.err == ""
    (hit,) = [lines for lines in told(lost.results).values() if lines[0].node == lost.node]
    moved = [line.node for line in hit]
    assert moved == sorted(moved, key=moved.index)  # once, and not back
    assert len(set(moved)) == 2
    assert {trial.status for trial in finished(lost.results)} == {"complete"}
    check(lost.results)


# --- refusals ---------------------------------------------------------------------------------------


def test_what_never_fits_is_refused_after_the_wait(cluster: Nodes, tmp_path: Path) -> None:
    words = f"--scheduler constant --slots 9 --wait-for-nodes 2 --address {cluster.address}"
    refused = run(*SEARCH, *words.split(), cwd=tmp_path, env=cluster.env)
    assert refused.code == 2
    assert "--slots 9 trials" in refused.err
    assert "; waited 2 s for nodes" in refused.err
    assert refused.err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_missing_token_is_explained_in_one_line(cluster: Nodes, tmp_path: Path) -> None:
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "", "RAY_AUTH_TOKEN_PATH": "", "HOME": str(tmp_path)}
    _assert_token_explained(cluster, tmp_path, env, "RAY_AUTH_MODE is token here and there is no token")


@pytest.mark.soak
@pytest.mark.parametrize(
    ("env", "says"),
    [
        (
            {**TOKEN, "RAY_AUTH_TOKEN": "00" * 32},
            "RAY_AUTH_MODE is token here, the token is that of RAY_AUTH_TOKEN",
        ),
        ({"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE is disabled here"),
    ],
)
def test_wrong_token_is_explained_in_one_line(
    cluster: Nodes, tmp_path: Path, env: dict[str, str], says: str
) -> None:
    """Ray itself takes 20 seconds to give up."""
    _assert_token_explained(cluster, tmp_path, env, says)


def _assert_token_explained(cluster: Nodes, folder: Path, env: dict[str, str], says: str) -> None:
    refused = run(*SEARCH, "--address", cluster.address, cwd=folder, env=env, timeout=120)
    assert refused.code == 1, refused.err
    assert refused.err.startswith(f"adasearch: cannot join Ray at {cluster.address}: ")
    assert says in refused.err
    assert refused.err.count("\n") == 1
    assert not (folder / "results").exists()


def test_cluster_of_another_token_mode_is_refused_before_a_trial_is_written(tmp_path: Path) -> None:
    """Ray lets the driver join, runs its tasks, and lets every actor die."""
    with nodes(tmp_path, 1) as open_to_all:
        words = ["--address", open_to_all.address, "--wait-for-nodes", "60"]
        refused = run(*SEARCH, *words, cwd=tmp_path, env=TOKEN, timeout=120)
    assert refused.code == 1, refused.err
    assert "of the cluster runs nothing of this search" in refused.err
    assert "RAY_AUTH_MODE is token here, the token is that of RAY_AUTH_TOKEN" in refused.err
    assert refused.err.count("\n") == 1
    assert list((tmp_path / "results").rglob("*.parquet")) == []


def test_cluster_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    nowhere = run(*SEARCH, "--address", "127.0.0.1:1", cwd=tmp_path, timeout=120)
    assert nowhere.code == 1
    assert nowhere.err.startswith("adasearch: cannot join Ray at 127.0.0.1:1")
    assert nowhere.err.count("\n") == 1
    assert not (tmp_path / "results").exists()


# --- Ctrl-C within a long interval ------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_leaves_a_shared_cluster_clean_although_intervals_are_long(
    cluster: Nodes, tmp_path: Path, workers: int
) -> None:
    """One interval of some 40 minutes; the workers hear of the end within it, and Ray's actors go, too."""
    while len(cluster.worker_nodes) < workers:
        cluster.add()
    words = f"--scheduler constant --trials 1 --epochs 20000 --interval 20000 --workers {workers} --slots 1"
    words += f" --wait-for-nodes 60 --address {cluster.address}"
    search = ["search", "--architecture", "mobilenet_v3_small", "--dataset", "digits", "--subset", "150"]
    process = adasearch(*search, *words.split(), cwd=tmp_path, env=cluster.env)
    wait_for(lambda: bool(all_trials(tmp_path / "results")) and len(cluster.workers()) == workers, process)
    time.sleep(15)  # the network is built, and steps are being made
    actors = [*cluster.workers("ray::Ray"), *cluster.workers("Trainable")]
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert time.monotonic() - began < 30
    _, alive = psutil.wait_procs(actors, timeout=30)
    assert not alive


# --- the search itself as a job of the cluster ------------------------------------------------------


@pytest.mark.soak
def test_search_runs_as_a_submitted_job(tmp_path: Path) -> None:
    """The job brings the user's modules in its working folder; the search sends them on, with itself."""
    pytest.importorskip("opencensus", reason="jobs need the dashboard: pip install 'ray[default]'")
    folder = users_folder(tmp_path / "user")
    results = tmp_path / "results"
    package = str(Path(__file__).parent.parent)  # the head has adasearch installed
    with nodes(tmp_path, 1, 1, dashboard=True, env={**TOKEN, "PYTHONPATH": package}) as cluster:
        wait_until_listening(cluster.dashboard.removeprefix("http://"))
        words = "--scheduler own_places:Tells --no-baseline --trials 1 --workers 2 --wait-for-nodes 60"
        search = [sys.executable, "-m", "adasearch", *SEARCH, *words.split(), "--address", "auto"]
        submit = [RAY, "job", "submit", "--address", cluster.dashboard, "--working-dir", str(folder), "--"]
        done = subprocess.run(
            [*submit, *search, "--results", str(results)],
            env=os.environ | cluster.env,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[1/1] " in done.stdout
    assert [trial.status for trial in finished(results)] == ["complete"]
    (lines,) = told(results).values()
    assert all("runtime_resources/py_modules_files" in file for file in lines[0].files)
