"""The cluster files, as far as they can be tried without Kubernetes and SLURM."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from adasearch.cli.main import cli
from adasearch.tuning.capacity import Capacity, slots_for

DEPLOY = Path(__file__).parent.parent / "docs" / "deploy"
SLURM = DEPLOY / "slurm.sh"
BIN = Path(sys.executable).parent


def parsed(words: list[str]) -> dict[str, Any]:
    """What ``adasearch search ...`` would be told; fails for a flag that does not exist."""
    assert words[:2] == ["adasearch", "search"]
    command = cli.commands["search"]
    with click.Context(command) as context:
        command.parse_args(context, words[2:])
        return context.params


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text()))
    assert all(document["apiVersion"] == "ray.io/v1" for document in documents)
    return {document["kind"]: document for document in documents}


def test_job_finds_its_cluster_and_a_trial_fits_on_it(resources: dict[str, Any]) -> None:
    cluster, job = resources["RayCluster"], resources["RayJob"]
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    told = parsed(shlex.split(job["spec"]["entrypoint"]))
    assert told["address"] == "auto"
    assert "://" in told["results"]
    (group,) = cluster["spec"]["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    limits = worker["resources"]["limits"]
    head = (float(cluster["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"]), 0.0)
    nodes = (head, *[(float(limits["cpu"]), float(limits["nvidia.com/gpu"]))] * group["replicas"])
    slots = slots_for(
        Capacity(nodes=nodes),
        workers=told["workers"] or 1,
        cpus_per_worker=told["cpus_per_worker"],
        gpus_per_worker=told["gpus_per_worker"],
        wanted=told["slots"],
    )
    assert slots == group["replicas"]


def test_every_pod_has_the_images_and_the_credentials(resources: dict[str, Any]) -> None:
    spec = resources["RayCluster"]["spec"]
    folder = Path(shlex.split(resources["RayJob"]["spec"]["entrypoint"])[7].partition(":")[2])
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        (mount,) = container["volumeMounts"]
        assert folder.is_relative_to(mount["mountPath"])
        assert mount["name"] in [volume["name"] for volume in pod["volumes"]]
        assert container["envFrom"]


def test_slurm_script_is_sound_shell() -> None:
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    shellcheck = shutil.which("shellcheck", path=f"{BIN}:{os.environ['PATH']}")
    assert shellcheck is not None
    done = subprocess.run([shellcheck, str(SLURM)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def stand_in(folder: Path, name: str, code: str) -> None:
    """Put a command in a folder that notes how it was called."""
    file = folder / name
    file.write_text(f'#!/bin/bash\nprintf "%s\\n" "$(basename "$0") ${{*//$\'\\n\'/ }}" >>"$CALLS"\n{code}\n')
    file.chmod(0o755)


def start_on(nodes: int, folder: Path) -> tuple[int, list[str]]:
    """Run the script with stand-ins for SLURM's commands, Ray and adasearch; return what was called."""
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("")
    commands = folder / "commands"
    commands.mkdir()
    stand_in(commands, "scontrol", "printf 'node%s\\n' $(seq 4)")
    stand_in(commands, "hostname", "echo 127.0.0.1 fe80::1")
    # Steps in the background are noted first; the head never listens, as if it took long.
    noted = '(( $(grep -c ^srun "$CALLS") >= {} ))'
    stand_in(commands, "sleep", f"until {noted.format(1)}; do command -p sleep 0.05; done")
    stand_in(commands, "adasearch", f"until {noted.format(min(nodes, 2))}; do command -p sleep 0.05; done")
    stand_in(commands, "srun", "true")
    environment = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "CALLS": str(folder / "calls"),
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_JOB_ID": "4711",
        "SLURM_JOB_NODELIST": "node[1-4]",
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_CPUS_PER_TASK": "8",
    }
    done = subprocess.run(["bash", str(SLURM)], env=environment, capture_output=True, text=True)
    return done.returncode, (folder / "calls").read_text().splitlines()


def test_slurm_script_starts_head_then_workers_then_the_search(tmp_path: Path) -> None:
    code, calls = start_on(4, tmp_path)
    assert code == 0
    head, workers = [call.split() for call in calls if call.startswith("srun ")]
    assert {"--nodes=1", "--nodelist=node1", "--head", "--node-ip-address=127.0.0.1", "--port=24711"} <= set(
        head
    )
    assert {"--nodes=3", "--exclude=node1", "--address=127.0.0.1:24711"} <= set(workers)
    assert calls.index(" ".join(head)) < calls.index(" ".join(workers))
    (search,) = [call for call in calls if call.startswith("adasearch ")]
    told = parsed(shlex.split(search))
    assert (told["address"], told["cpus_per_worker"]) == ("127.0.0.1:24711", 8)
    assert (told["slots"], told["wait_for_nodes"]) == (4, 300)
    assert told["results"] == str(tmp_path / "results")


def test_slurm_script_on_one_node_has_no_workers(tmp_path: Path) -> None:
    code, calls = start_on(1, tmp_path)
    assert code == 0
    assert sum(call.startswith("srun ") for call in calls) == 1
    assert [call for call in calls if call.startswith("adasearch search ")]


def test_flags_of_ray_exist() -> None:
    known = subprocess.run(
        [BIN / "ray", "start", "--help"], capture_output=True, text=True, check=True
    ).stdout
    lines = [line for line in SLURM.read_text().replace("\\\n", " ").splitlines() if "ray start" in line]
    assert len(lines) == 2
    for line in lines:
        for word in line.partition("ray start")[2].split():
            if word.startswith("--"):
                assert word.partition("=")[0] in known
