"""A search from Python that is cut short leaves the session in which it ran as it was.

One that ends well is in ``tests/api/test_running.py``.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ray

SEARCH = """
import faulthandler, json, logging, os, signal, sys, warnings
import optuna
from rich.console import Console
from adasearch.commands import Runtime, search
from adasearch.errors import AdasearchError
from adasearch.studies.request import Request

LOGGERS = ("ray", "ray.tune", "ray.train", "optuna")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def session():
    ours = ("RAY_", "TUNE_", "GLOO_", "PYTHON")
    return {
        "environment": {name: value for name, value in os.environ.items() if name.startswith(ours)},
        "filters": [str(each) for each in warnings.filters if "optuna" in str(each[2])],
        "verbosity": optuna.logging.get_verbosity(),
        "levels": {name: logging.getLogger(name).level for name in LOGGERS},
        "streams": [id(sys.stdout), id(sys.stderr)],
        "signals": [str(signal.getsignal(number)) for number in SIGNALS],
        "faulthandler": faulthandler.is_enabled(),
        "folder": [os.getcwd(), *sys.path],
    }


class Stopped(Console):
    def print(self, *objects, **options):
        super().print(*objects, **options)
        if END and "training" in objects:
            raise END


def one(study):
    request = Request(
        architectures=("mobilenet_v3_small",),
        schedulers=("constant",),
        subset=100,
        epochs=1,
        largest=48,
        study=study,
    )
    search(request, Runtime(trials=1, slots=1), results="results", console=Stopped(file=sys.stderr))


import ray, ray.tune  # so that what importing them changes for good is there before

END = None
said = {"before": session()}
for END in (ValueError("no"), KeyboardInterrupt()):
    try:
        one("cut")
    except BaseException as error:  # Tune wraps what an exception is
        assert type(END).__name__ in str(error) or error is END
        said[f"after {type(END).__name__}"] = session()
END = None
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
said["connected"] = session()
try:
    one("refused")
except AdasearchError as error:
    said["refused"] = session()
    said["why"] = str(error)
said["still connected"] = ray.is_initialized() and ray.get(ray.put(7)) == 7
json.dump(said, sys.stdout)
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SEARCH],
        cwd=tmp_path_factory.mktemp("session"),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("when", ["after ValueError", "after KeyboardInterrupt"])
def test_session_is_as_it_was(said: dict[str, Any], when: str) -> None:
    assert said[when] == said["before"]


def test_session_that_is_connected_to_ray_is_refused_and_stays_connected(said: dict[str, Any]) -> None:
    assert "this process is connected to Ray already" in said["why"]
    assert said["refused"] == said["connected"]
    assert said["still connected"] is True


PLANTED = ("torch", "pandas", "yaml", "random", "pickle")


def test_no_process_of_a_search_imports_what_lies_in_the_current_folder_but_what_is_named(
    tmp_path: Path,
) -> None:
    marker = tmp_path / "imported"
    for name in PLANTED:
        text = f"open({str(marker)!r}, 'a').write(__name__)\nraise ImportError('planted')\n"
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "my_sizes.py").write_text("WIDTH = 8\n")
    (tmp_path / "my_nets.py").write_text(
        "from torch import nn\n"
        "def make_net(classes, image_size):\n"
        "    from my_sizes import WIDTH\n"
        "    return nn.Sequential(\n"
        "        nn.Conv2d(3, WIDTH, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, classes)\n"
        "    )\n"
    )
    flags = "--subset 100 --epochs 1 --largest 48 --trials 1 --slots 1 --no-baseline --scheduler constant"
    done = subprocess.run(
        [sys.executable, "-m", "adasearch", "search", "--architecture", "my_nets:make_net", *flags.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not marker.exists(), f"{marker.read_text()}\n{done.stderr}"
    assert done.returncode == 0, done.stderr
    assert "[1/1] my_nets-make_net-constant-digits-search-0 complete" in done.stdout
