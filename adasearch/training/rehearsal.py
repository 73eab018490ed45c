"""The first steps of a trial on made-up data, before any trial: what fails here would fail in all of them.

They go through all that a run goes through: forward and backward passes in the precision asked for, the
scheduler's signals and its decision, the optimiser, evaluation, a checkpoint and back, and for several
workers DDP, between as many processes of this machine. What tells nothing of the trials, which may have other
machines, is passed over: too little memory here, or too little time.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed as dist

from adasearch.errors import InputError, one_line, place_in_user_code
from adasearch.networks.language import LANGUAGE
from adasearch.networks.registry import ARCHITECTURES
from adasearch.records import Limits, Value
from adasearch.schedulers.registry import make_scheduler
from adasearch.tasks.base import Task
from adasearch.training.checkpoint import Checkpoints
from adasearch.training.config import TrainConfig
from adasearch.training.loop import train
from adasearch.training.memory import is_out_of_memory
from adasearch.training.randomness import random_state, restore_random
from adasearch.training.task import MAX_ERROR, DivergedError
from adasearch.user_code import packed, unpack

__all__ = ["OURS", "Rehearsal", "rehearse"]

OURS = frozenset({*ARCHITECTURES, *LANGUAGE})
"""Networks that are tested in all that a search may ask of them."""

SHARE = 4  # examples of a worker: enough for two halves that BatchNorm can take
STEPS = 3  # two of one interval, whose second shows what DDP missed in the first, and one after a decision
SECONDS = 300  # for processes that wait for each other
CODE = """
import json, sys
sys.path[:] = json.loads(sys.argv[4])  # this process's: Python's own begins with the current folder
from adasearch.training.rehearsal import _process
_process()
"""
PROCESSES = max(2, os.cpu_count() or 1)  # at most; what fails among many workers fails among two

HINTS = {
    "Expected to have finished reduction": "with several workers the loss must reach every trained parameter "
    "in every step: take the others out of the network, or set their requires_grad to False",
    "sparse": "build the embedding with sparse=False",
    "vmap": "leave --per-example out, or take out of the network what cannot be mapped over examples",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What is tried: a run's configuration, of which spans and batch size are set here, and what it needs."""

    config: TrainConfig
    scheduler: str
    fields: Mapping[str, Value]
    task: Task[Any]
    workers: int


def rehearse(rehearsal: Rehearsal) -> None:
    """Take the first steps.

    Raises:
        InputError: they fail; in one line with the place in the user's own code, and what to change where
            that is known.
    """
    together = rehearsal.workers > 1
    error = _together(rehearsal) if together else _error_of(rehearsal)
    if error is not None:
        hint = next((f"; {hint}" for text, hint in HINTS.items() if text in error), "")
        among = f" among {rehearsal.workers} workers" if together else ""
        what = f"architecture {rehearsal.config.architecture!r} with scheduler {rehearsal.scheduler!r}"
        shown = error if len(error) <= MAX_ERROR else f"{error[:MAX_ERROR]}..."
        raise InputError(f"{what} fails in the first steps of every trial{among}: {shown}{hint}")


def _error_of(rehearsal: Rehearsal) -> str | None:
    """Return what went wrong in this process, in one line."""
    before = random_state([])
    try:
        _train(rehearsal)
    except DivergedError:  # on examples that show nothing
        return None
    except Exception as error:  # noqa: BLE001 - whatever a network or a scheduler makes of it
        if is_out_of_memory(error):
            return None
        place = place_in_user_code(error)
        return one_line(error) if place is None else f"{one_line(error)} ({place})"
    finally:
        restore_random(before)
    return None


def _train(rehearsal: Rehearsal) -> None:
    world = dist.get_world_size() if dist.is_initialized() else 1
    size = SHARE * world
    config = replace(
        rehearsal.config,
        hyperparameters=replace(rehearsal.config.hyperparameters, batch_size=size),
        budget=STEPS * size,
        interval=2 * size,
        evaluate_every=STEPS * size,
        precision="float32" if rehearsal.config.precision == "tf32" else rehearsal.config.precision,
    )
    scheduler = make_scheduler(rehearsal.scheduler, rehearsal.fields)
    limits = Limits(smallest=size, largest=2 * size)
    data = rehearsal.task.made_up(2 * STEPS * size, SHARE)
    said: list[str] = []
    with TemporaryDirectory() as own:
        folder = [own]
        if world > 1:
            dist.broadcast_object_list(folder)
        for stored in (0, 1):  # from the start, and from the checkpoint
            checkpoints = Checkpoints(folder[0], every=1, stored=stored, say=said.append)
            for _ in train(config, scheduler, limits, data, checkpoints=checkpoints):
                pass
        if world > 1:
            dist.barrier()
    if said:
        raise TypeError(
            f"{said[0]}: what the network keeps in its state must be tensors, numbers, texts, and lists and "
            "dictionaries of them"
        )


def _together(rehearsal: Rehearsal) -> str | None:
    """Return what went wrong first in one of as many processes as there are workers."""
    world = min(rehearsal.workers, PROCESSES)
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
                    process.stdin.write(pickle.dumps((packed(), rehearsal)))
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                told = sorted(Path(folder).glob("*.error"), key=lambda path: path.stat().st_mtime_ns)
                codes = [process.poll() for process in running]
                if told and (text := told[0].read_text()):
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


def _process() -> None:
    """Be one of the processes: told what to do on standard input, and where to meet by the arguments."""
    folder, rank, world = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    given, rehearsal = pickle.loads(sys.stdin.buffer.read())
    unpack(given)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=SECONDS),
    )
    error = _error_of(rehearsal)
    if error is not None:
        draft = Path(folder, f"{rank}.draft")
        draft.write_text(error)
        draft.rename(Path(folder, f"{rank}.error"))
        os._exit(0)  # a group of which others wait cannot be left in good order
    dist.destroy_process_group()
