"""The embedded Ray is its user's alone, and leaves nothing behind."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.ray

SCRIPT = """
import json, os, subprocess, sys
from pathlib import Path
from adasearch.tuning.cluster import connect

with connect(None):
    import ray
    session = Path(ray._private.worker._global_node.get_session_dir_path())
    private = session.parents[1]
    address = ray.get_runtime_context().gcs_address
    code = f"import ray; ray.init(address={address!r}, logging_level='CRITICAL'); print('joined')"
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    other = subprocess.run([sys.executable, "-c", code], env={**others, "HOME": sys.argv[1]},
                           capture_output=True, text=True, check=False)
    mode, joined = private.stat().st_mode & 0o777, "joined" in other.stdout
print(json.dumps({"private": str(private), "mode": mode, "joined": joined, "left": private.exists()}))
"""


def test_embedded_ray_lies_in_a_private_folder_and_refuses_who_has_no_token(tmp_path: Path) -> None:
    """With a TMPDIR that is too long for sockets, and a home that nobody can write."""
    long = tmp_path / ("x" * 60)
    long.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    env = {**os.environ, "TMPDIR": str(long), "HOME": "/proc/nobody"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(other)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["private"].startswith(str(long))
    assert found["mode"] == 0o700
    assert not found["left"]
    if tuple(map(int, version("ray").split(".")[:2])) >= (2, 59):
        assert not found["joined"]
