"""A run to a file and back: ``<results>/<study>/checkpoints/<trial>/<intervals>.pt``.

A checkpoint after k intervals counts only where the k intervals are stored, too: whoever resumes says how
many are (``Checkpoints.stored``), takes the newest checkpoint that is not ahead of them, and goes on from
there. So no order of writing, and no crash between two writes, can lose or double an interval.
"""

import io
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import distributed as dist

from adasearch.callbacks import Say, say_nothing
from adasearch.errors import InputError, StoreError
from adasearch.io.filesystem import is_local, listed, locate, read_whole, write_whole
from adasearch.io.seal import opened, sealed
from adasearch.records import Decision, Signals
from adasearch.training.buffers import mean_state
from adasearch.training.history import history_of
from adasearch.training.randomness import check_random, random_state, restore_random, seed_random
from adasearch.training.run import Run
from adasearch.training.same_run import difference, text_of

__all__ = ["Checkpoints", "RunState", "gathered"]

VERSION = 2
SAVE_SECONDS = 30.0  # between two checkpoints where no number of intervals is given: what a crash may cost
KEPT = 2  # the newest may be ahead of the stored intervals


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What a run knows at the end of an interval beside its network: all that decisions rest on."""

    history: tuple[Signals, ...]
    decision: Decision
    evaluated: int


class Placed(Protocol):
    """Something that trains on a device, as one of so many processes."""

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        ...

    @property
    def world(self) -> int:
        """How many processes there are."""
        ...


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: path or URI; every node's workers must reach it.
        every: intervals between two checkpoints; None for one every 30 seconds, 0 for none.
        stored: how many intervals of the run are stored; a checkpoint that is ahead of them is not loaded.
        say: is told which checkpoint is passed over, and why.
    """

    def __init__(
        self,
        folder: str,
        *,
        every: int | None = None,
        stored: int = 0,
        say: Say = say_nothing,
    ) -> None:
        self._files, self._root = locate(folder)
        self._every = every
        self._stored = stored
        self._say = say
        self._last = time.monotonic()

    def due(self, intervals: int, run: Placed) -> bool:
        """Tell whether a checkpoint is due after so many intervals; every worker is told the same."""
        if self._every is not None:
            return self._every > 0 and intervals % self._every == 0
        due = torch.tensor(float(time.monotonic() - self._last >= SAVE_SECONDS), device=run.device)
        if run.world > 1:
            dist.broadcast(due, src=0)
        return bool(due)

    def save(self, run: Run, progress: RunState, identity: Sequence[object]) -> None:
        """Write the run's state and remove older ones; every worker takes part, rank 0 writes.

        ``identity`` is what the run was told; it is kept as text.

        Raises:
            StoreError: the folder cannot be written.
        """
        state = {
            "progress": asdict(progress),
            "device_batch": run.passes.device_batch,
            "step": run.step,
            "updates": run.updates,
            "examples_seen": run.examples_seen,
            "network": run.network.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "scaler": {} if run.scaler is None else run.scaler.state_dict(),
            "workers": gathered(_own_state(run)),
        }
        if run.rank == 0:
            self.write(len(progress.history), state, identity)

    def write(self, intervals: int, state: Mapping[str, Any], identity: Sequence[object]) -> None:
        """Write a state after so many intervals, and remove older ones; for one of several workers to do.

        Raises:
            StoreError: the folder cannot be written.
        """
        data = io.BytesIO()
        torch.save({"identity": [VERSION, *map(text_of, identity)], **state}, data)
        self._check_place()
        write_whole(self._files, f"{self._root}/{intervals:08d}.pt", memoryview(sealed(data.getbuffer())))
        self._remove_others(intervals)
        self._last = time.monotonic()

    def _check_place(self) -> None:
        """Check that the study's folder is there; one that was removed or renamed is not made anew.

        Raises:
            StoreError: it is not.
        """
        study = os.path.dirname(os.path.dirname(self._root))
        if is_local(self._files) and not os.path.isdir(study):
            raise StoreError(f"cannot write a checkpoint: {study} is not there")

    def load(self, run: Run, identity: Sequence[object]) -> RunState | None:
        """Take ``run`` to the newest checkpoint that counts; None, and the run as it was, without any."""
        state = self.newest(identity)
        return None if state is None else _restored(run, state)

    def newest(self, identity: Sequence[object]) -> dict[str, Any] | None:
        """Return the state of the newest checkpoint that counts; None if there is none.

        A checkpoint that cannot be read, or is of another run or format, is passed over, and that is said.
        """
        found = [path for path in self._paths() if _intervals(path) <= self._stored]
        for path in reversed(found):
            state = self._read(path)
            why = _why_not(state, identity)
            if why is None:
                return state
            self._say(f"checkpoint {path.rpartition('/')[2]} is passed over: {why}")
        return None

    def branch(self, intervals: int, folder: str, decision: Decision) -> bool:
        """Let another trial go on from this one's state after so many intervals, with another decision.

        ``folder`` is of its checkpoints; it must be told what this one is. Returns False where there is no
        such state.

        Raises:
            StoreError: the folder cannot be written.
        """
        found = (self._read(path) for path in self._paths() if _intervals(path) == intervals)
        state = next(found, {})
        identity = state.pop("identity", None)
        if identity is None:
            return False
        told = asdict(decision)
        if "controller" in state:  # of a training function: what was drawn ahead had the former size
            sampler = {**state["controller"]["sampler"], "batch_size": decision.batch_size, "drawn": []}
            state["controller"] |= {"decision": told, "sampler": sampler}
        else:
            state["progress"]["decision"] = told
        Checkpoints(folder).write(intervals, state, identity[1:])
        return True

    def _remove_others(self, intervals: int) -> None:
        """Remove what is older than the newest two, and what a former attempt wrote ahead of them."""
        paths = self._paths()
        behind = [path for path in paths if _intervals(path) <= intervals]
        for path in paths:
            if path not in behind[-KEPT:]:
                with suppress(OSError):
                    self._files.delete_file(path)

    def _paths(self) -> list[str]:
        """Return the checkpoints in order of intervals."""
        found = listed(self._files, self._root)
        return [item.path for item in found if re.fullmatch(r"\d+\.pt", item.base_name)]

    def _read(self, path: str) -> dict[str, Any]:
        """Return a checkpoint's state; nothing if it is damaged or something else."""
        try:
            whole = opened(read_whole(self._files, path).to_pybytes())
            state = torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)
        except (StoreError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - whatever a truncated or foreign file makes of torch's reader
            return {}
        return state if isinstance(state, dict) else {}


def _why_not(state: Mapping[str, Any], identity: Sequence[object]) -> str | None:
    """Return why a checkpoint is not of the run that was told ``identity``; None if it is."""
    told = state.get("identity")
    if not isinstance(told, list) or len(told) != 1 + len(identity):
        return "it cannot be read"
    if told[0] != VERSION:
        return f"it has format {told[0]}, and this adasearch reads {VERSION}"
    try:
        for worker in state["workers"]:
            if "shared" in worker:
                check_random(worker["shared"])
    except (InputError, LookupError, TypeError):
        return "it cannot be read"
    found = (difference(str(then), now) for then, now in zip(told[1:], identity, strict=True))
    return next((f"it is of another run: {each}" for each in found if each is not None), None)


def _intervals(path: str) -> int:
    return int(path.rpartition("/")[2].removesuffix(".pt"))


def _own_state(run: Run) -> dict[str, Any]:
    """Return what differs between workers: BatchNorm's statistics and random numbers to come."""
    device_rng = torch.cuda.get_rng_state(run.device) if run.device.type == "cuda" else None
    return {
        "buffers": run.buffers.state(),
        "rng": torch.get_rng_state(),
        "device_rng": device_rng,
        "shared": random_state([]),  # of NumPy and Python, too; version 0.2.0 has none
    }


def gathered(own: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every process's own state, in the order of their ranks."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [own]
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, own)
    return every


def _restored(run: Run, state: dict[str, Any]) -> RunState:
    run.network.load_state_dict(state["network"])
    run.optimizer.load_state_dict(state["optimizer"])
    if run.scaler is not None:
        run.scaler.load_state_dict(state["scaler"])
    run.step, run.examples_seen = state["step"], state["examples_seen"]
    run.updates = state.get("updates", run.step)  # version 0.2.0 counted those that were skipped as made
    run.passes.device_batch = min(run.passes.device_batch, state["device_batch"])
    workers = state["workers"]
    if len(workers) == run.world:
        own = workers[run.rank]
        run.buffers.load(own["buffers"])
        if "shared" in own:
            restore_random(own["shared"])
        torch.set_rng_state(own["rng"])
        if own["device_rng"] is not None and run.device.type == "cuda":
            torch.cuda.set_rng_state(own["device_rng"], run.device)
    else:  # other workers than before: the mean statistics, and dropout drawn anew
        run.buffers.load(mean_state([each["buffers"] for each in workers]))
        seed_random(run.config.seed + run.rank + run.step)
    progress = state["progress"]
    return RunState(
        history=tuple(history_of(progress["history"])),
        decision=Decision(**progress["decision"]),
        evaluated=progress["evaluated"],
    )
