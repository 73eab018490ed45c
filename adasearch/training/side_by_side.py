"""Some work in several processes of this machine that form a process group, as a trial's workers do."""

import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import distributed as dist

from adasearch.user_code import packed, unpack

__all__ = ["process", "side_by_side"]

SECONDS = 300  # for processes that wait for each other
CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[4])  # this process's: Python's own begins with the current folder
from adasearch.training.side_by_side import process
process()
"""
PROCESSES = max(2, os.cpu_count() or 1)  # at most; what fails among many workers fails among two


def side_by_side(work: str, told: object, workers: int) -> str | None:
    """Return what the first process says to whom work has anything to say, in as many as there are workers.

    Args:
        work: ``module:function`` of what is told; it returns a text, or None.
        told: what travels to it, pickled.
        workers: how many processes; of many some stand for all.
    """
    world = min(workers, PROCESSES)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with TemporaryDirectory() as folder:
        running = []
        try:
            for rank in range(world):
                process = subprocess.Popen(
                    [sys.executable, "-I", "-c", CODE, folder, str(rank), str(world), json.dumps(sys.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                )
                running.append(process)
                assert process.stdin is not None
                with process.stdin:
                    process.stdin.write(pickle.dumps((packed(), work, told)))
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                said = sorted(Path(folder).glob("*.said"), key=lambda path: path.stat().st_mtime_ns)
                codes = [process.poll() for process in running]
                if said and (text := said[0].read_text()):
                    return text
                if -signal.SIGKILL in codes:  # by the kernel, for want of memory
                    return None
                if dead := [code for code in codes if code]:
                    return f"a worker process ended with code {dead[0]}"
                if all(code == 0 for code in codes):
                    return None
                time.sleep(0.05)
            return None
        finally:
            for process in running:
                process.kill()
                process.wait()


def process() -> None:
    """Be one of the processes: told what to do on standard input, and where to meet by the arguments."""
    folder, rank, world = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    given, work, told = pickle.loads(sys.stdin.buffer.read())
    unpack(given)
    module, _, name = work.partition(":")
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=SECONDS),
    )
    said = getattr(importlib.import_module(module), name)(told)
    if said is not None:
        draft = Path(folder, f"{rank}.draft")
        draft.write_text(said)
        draft.rename(Path(folder, f"{rank}.said"))
        os._exit(0)  # a group of which others wait cannot be left in good order
    dist.destroy_process_group()
