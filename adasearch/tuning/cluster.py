"""Ray, started quietly on this machine or joined at an address, and what it can hold."""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adasearch.errors import AdasearchError, InputError

__all__ = ["Capacity", "connect", "slots_for"]

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output engine prints a banner even at verbose=0
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the engine's own handler ends a search
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's snapshot is never restored
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
LOOPBACK = {
    # "0": Ray's address is 127.0.0.1, where it listens then; whatever its name says, on every system.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
}
"""What keeps the embedded Ray and its workers to this machine; Ray reads the first when it is imported."""

REACH_SECONDS = 10
OBJECT_STORE_BYTES = 200 * 1024**2  # Ray's default, 30 % of the memory, is hardly used


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """CPUs and GPUs of each node of the cluster."""

    nodes: tuple[tuple[float, float], ...]

    @property
    def cpus(self) -> float:
        """CPUs of the whole cluster."""
        return sum(cpus for cpus, _ in self.nodes)

    @property
    def gpus(self) -> float:
        """GPUs of the whole cluster."""
        return sum(gpus for _, gpus in self.nodes)


def _pinned_cpus() -> int | None:
    """Return the CPUs that this process is pinned to; None leaves it to Ray, which knows of containers."""
    pinned = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return pinned if pinned is not None and pinned < (os.cpu_count() or 1) else None


def _check_reachable(address: str) -> None:
    """Try a plain connection first: Ray itself waits for minutes where nothing listens."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise AdasearchError(f"cannot join Ray at {address}: {error.strerror or error}") from error


@contextlib.contextmanager
def connect(address: str | None) -> Iterator[Capacity]:
    """Start an embedded Ray, or join the cluster at ``address``; leave it at the end.

    The embedded one listens on loopback alone, if nothing imported ray before. An ambient RAY_ADDRESS is not
    followed: without ``address`` the embedded Ray is used.

    Raises:
        AdasearchError: the cluster cannot be reached.
    """
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"  # the gangs rest on it
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address and "RAY_AUTH_MODE" not in os.environ and (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_MODE"] = "token"
    if address:
        _check_reachable(address)
    own = [] if address else [name for name in LOOPBACK if name not in os.environ]
    os.environ.update({name: LOOPBACK[name] for name in own})
    try:
        with _joined(address) as capacity:
            yield capacity
    finally:  # a cluster that this process starts or joins next has another address
        for name in own:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _joined(address: str | None) -> Iterator[Capacity]:
    import ray

    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        else:
            ray.init(
                address="local",
                num_cpus=_pinned_cpus(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=OBJECT_STORE_BYTES,
            )
    except ValueError as error:
        raise InputError(f"--address {address!r}: {' '.join(str(error).split())}") from error
    except (ConnectionError, RuntimeError) as error:
        raise AdasearchError(
            f"cannot join Ray at {address or 'this machine'}: {' '.join(str(error).split())}; RAY_AUTH_MODE "
            "and the token (RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH) must be those of the cluster"
        ) from error
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        yield Capacity(nodes=tuple((node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes))
    finally:
        ray.shutdown()


def slots_for(
    capacity: Capacity, *, workers: int, cpus_per_worker: int, gpus_per_worker: float, wanted: int | None
) -> int:
    """Return how many trials may run at a time.

    Raises:
        InputError: not even one trial fits, or fewer than ``wanted``.

    >>> slots_for(Capacity(nodes=((8, 0),)), workers=2, cpus_per_worker=1, gpus_per_worker=0, wanted=None)
    4
    """
    if gpus_per_worker > 1 and gpus_per_worker != int(gpus_per_worker):
        raise InputError(f"--gpus-per-worker may be a fraction only up to 1 but got {gpus_per_worker:g}")
    places = 0  # for workers; one worker cannot spread over two nodes
    for cpus, gpus in capacity.nodes:
        here = int(cpus // cpus_per_worker)
        places += min(here, int(gpus / gpus_per_worker + 1e-9)) if gpus_per_worker else here
    fits = places // workers
    need = f"{workers} worker(s) with {cpus_per_worker} CPU(s) and {gpus_per_worker:g} GPU(s) each"
    there = f"the cluster has {capacity.cpus:g} CPU(s) and {capacity.gpus:g} GPU(s)"
    if len(capacity.nodes) > 1:
        there += f" on {len(capacity.nodes)} nodes"
    if fits < 1:
        raise InputError(f"a trial needs --workers {need}, but {there}")
    if wanted is not None and wanted > fits:
        raise InputError(f"--slots {wanted} trials of {need} do not fit: {there}, room for {fits}")
    return fits if wanted is None else wanted
