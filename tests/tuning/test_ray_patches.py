"""What adasearch takes from Ray beneath its public interface; ``tests/test_loss.py`` has actors killed."""

import inspect
import os
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

import pytest
from ray._private import worker
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import OutOfMemoryError, RayActorError

from adasearch.errors import AdasearchError
from adasearch.tuning import ray_patches
from adasearch.tuning.ray_patches import (
    JOB_CONFIG,
    LISTENER,
    PARTS,
    Part,
    check_ray,
    job_config,
    killed_is_dead,
    lacking,
)

# --- each part, and what is said where one is gone -------------------------------------------------------


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name.rpartition(":")[2])
def test_this_version_of_ray_has_the_part(part: Part) -> None:
    assert part.there()


def test_a_part_that_is_gone_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = (
        Part(name="ray.tune:Gone.at_all", purpose="nothing"),
        Part(name="ray.gone:x", purpose="nothing"),
        Part(name="ray.job_config:JobConfig", parameter="gone", purpose="nothing"),
    )
    monkeypatch.setattr(ray_patches, "PARTS", (*PARTS, *gone))
    assert lacking() == list(gone)


def test_ray_that_has_every_part_is_taken_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    check_ray()
    assert capsys.readouterr() == ("", "")


def test_ray_without_a_part_that_is_needed_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Part(name="ray.gone:Trainer", purpose="worker groups")
    monkeypatch.setattr(ray_patches, "PARTS", (gone,))
    monkeypatch.setattr("ray.__version__", "2.99.0")
    with pytest.raises(AdasearchError) as refused:
        check_ray()
    assert str(refused.value) == (
        "adasearch needs ray 2.51 to 2.60 for worker groups; this is ray 2.99.0, without ray.gone:Trainer"
    )


def test_ray_without_an_optional_part_is_taken_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(RayActorManager, "_actor_task_failed")
    check_ray()
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "for searches that go on after a trial's process was killed for memory; this is ray" in err
    with killed_is_dead():  # and nothing is done
        assert not hasattr(RayActorManager, "_actor_task_failed")


def test_nothing_else_in_adasearch_reaches_into_ray() -> None:
    package = Path(ray_patches.__file__).parents[1]
    reaching = [
        file.name
        for file in package.rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("from ray.", "import ray."))
        and any(word in line for word in ("_private", "_internal", ".v2", ".backend", "_raylet", "ray.air"))
    ]
    assert set(reaching) == {"ray_patches.py"}


def test_names_that_ray_uses_are_those_that_we_know() -> None:
    assert RAY_JOB_CONFIG_JSON_ENV_VAR == JOB_CONFIG
    assert f'"{LISTENER}"' in inspect.getsource(worker)


def test_every_variable_that_quietens_ray_is_one_that_ray_reads() -> None:
    from adasearch.tuning.cluster import LOOPBACK, QUIET

    home = Path(import_module("ray").__path__[0])
    names = {name for name in (*QUIET, *LOOPBACK) if name != "GLOO_SOCKET_IFNAME"}  # torch's
    raylet = next(home.rglob("raylet/raylet*")).read_bytes()
    names = {name for name in names if name.removeprefix("RAY_").encode() not in raylet}
    for file in home.rglob("*.py"):
        text = file.read_text(encoding="utf-8", errors="ignore")
        names = {name for name in names if name not in text}
    assert names <= {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"}  # which came after ray 2.55


# --- the path of workers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "spared"),
    [
        (["{bin}", "{stdlib}", "{site}"], True),
        (["{bin}", "{stdlib}", "{site}", "{here}"], True),
        (["{here}", "{stdlib}", "{site}"], False),
        (["", "{stdlib}", "{site}"], False),
    ],
    ids=["command", "command with a module of one's own", "script", "notebook"],
)
def test_workers_look_into_the_current_folder_first_only_where_this_process_does(
    path: list[str], spared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = sysconfig.get_paths()
    known = {
        "stdlib": paths["stdlib"],
        "site": paths["purelib"],
        "bin": paths["scripts"],
        "here": os.getcwd(),
    }
    monkeypatch.setattr(sys, "path", [place.format(**known) for place in path])
    assert job_config()._client_job is spared


def test_workers_look_into_the_current_folder_where_adasearch_itself_lies_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(Path(ray_patches.__file__).parents[2])
    monkeypatch.setattr(sys, "path", [sysconfig.get_path("stdlib")])
    assert job_config()._client_job is False


# --- actors that were killed for memory ------------------------------------------------------------------


class Manager(RayActorManager):  # type: ignore[misc]
    """Ray's own, without a cluster to clear up."""

    def __init__(self) -> None:
        self._failed_actor_ids: set[int] = set()

    def _cleanup_actor(self, tracked_actor: TrackedActor) -> None:
        pass


def test_actor_that_was_killed_for_memory_counts_as_dead() -> None:
    heard: list[Exception] = []
    actor = TrackedActor(7, on_error=lambda actor, error: heard.append(error))
    task, error = TrackedActorTask(actor), OutOfMemoryError("the node\nruns low")
    with killed_is_dead():
        Manager()._actor_task_failed(task, error)
    (found,) = heard
    assert isinstance(found, RayActorError)
    assert "the node runs low" in str(found)
    with pytest.raises(RuntimeError, match="unexpected"):  # else Ray knows better by now, and ours can go
        Manager()._actor_task_failed(task, error)
