"""Ray, started quietly on this machine or joined at an address."""

import contextlib
import io
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO, cast

from adasearch.errors import AdasearchError, InputError, one_line
from adasearch.io.private_folder import private_folder
from adasearch.tuning.capacity import Capacity
from adasearch.tuning.runtime_env import runtime_env
from adasearch.tuning.servers import watched
from adasearch.tuning.session import (
    environment,
    faulthandler_kept,
    interrupt_deferred,
    signals_kept,
    silenced,
)

__all__ = ["auth_hint", "capacity_now", "connect"]

QUIET = {
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
    "RAY_prestart_worker_first_driver": "0",  # of processes for tasks; a search runs actors alone
    "PL_DISABLE_FORK": "1",  # as Tune sets it for each trial: Lightning must not fork
}
"""What keeps the embedded Ray to this machine and to what it needs; Ray reads the first as it is imported."""
SET_BY_RAY = ("PYTHONBREAKPOINT", "RAY_AUTH_MODE")  # when it starts

REACH_SECONDS = 10
POLL_SECONDS = 1.0
ADDRESS_SPACE_BYTES = 8 * 2**30  # a driver and a worker take 6.5 GiB of it, most of it never used
OBJECT_STORE_BYTES = 200 * 1024**2  # Ray's default, 30 % of the memory, is hardly used


OWN_TOKEN = secrets.token_hex(32)
"""What keeps others of this machine from an embedded Ray where there is no token yet (Ray asks for one since
2.59, and would write one to the user's home); one of a process, as Ray reads it once."""


def _pinned_cpus() -> int | None:
    """Return the CPUs that this process is pinned to; None leaves it to Ray, which knows of containers."""
    pinned = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return pinned if pinned is not None and pinned < (os.cpu_count() or 1) else None


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what Ray's own code, below Python, says of a cluster that refuses it or is lost; we tell it."""
    own, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)
        os.close(nowhere)


class _WithoutRaylets:
    """Standard output without what Ray prints of its own accord; that a worker died is told by us."""

    def __init__(self, out: TextIO, listener: str) -> None:
        self._out = out
        self._listener = listener  # the name of the thread in which Ray prints

    def write(self, text: str) -> int:
        listens = threading.current_thread().name == self._listener
        return len(text) if listens else self._out.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._out, name)


def _check_address_space() -> None:
    """Refuse what ``ulimit -v`` may leave: Ray's own code aborts then, wherever it happens to be.

    Raises:
        AdasearchError: it is less than a worker takes.
    """
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE_BYTES:
        raise AdasearchError(
            f"Ray needs {ADDRESS_SPACE_BYTES >> 30} GiB of address space in each process, but 'ulimit -v' "
            f"leaves {limit / 2**30:.1f}; nothing of it has to be memory, so give 'ulimit -v unlimited'"
        )


def _check_reachable(address: str, wait_seconds: float) -> None:
    """Try a plain connection first: Ray itself waits for minutes where nothing listens."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        return
    end = time.monotonic() + wait_seconds
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
            return
        except OSError as error:
            if time.monotonic() >= end:
                raise AdasearchError(f"cannot join Ray at {address}: {error.strerror or error}") from error
        time.sleep(POLL_SECONDS)


def _token() -> str | None:
    """Return where Ray finds this process's token, in Ray's own order; None if there is none."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if os.environ.get(name):
            return name
    return "~/.ray/auth_token" if (Path.home() / ".ray" / "auth_token").exists() else None


def auth_hint() -> str:
    """Return what this process shows to a cluster that asks for a token, and what it should."""
    mode = os.environ.get("RAY_AUTH_MODE", "unset")
    shown = f"RAY_AUTH_MODE is {mode} here"
    if mode == "token":
        shown += f", the token is that of {_token()}" if _token() else " and there is no token"
    return f"{shown}; mode and token (RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH) must be those of the cluster"


@contextlib.contextmanager
def connect(address: str | None, *, own: Iterable[str] = (), wait_seconds: float = 0) -> Iterator[Capacity]:
    """Start an embedded Ray, or join the cluster at ``address``; leave it at the end.

    A cluster's workers get this adasearch and the modules of ``own``, names as ``module:attribute``. A
    cluster where nothing listens yet is waited for so long. The embedded Ray listens on loopback alone, if
    nothing imported ray before. An ambient RAY_ADDRESS is not followed: without ``address`` the embedded Ray
    is used. The session is as it was in the end: environment, loggers, signal handlers, standard output.

    Raises:
        InputError: the address is none, or the modules are too large to send.
        AdasearchError: the cluster cannot be reached, or this process is connected to a Ray already.
    """
    given = {name: value for name, value in QUIET.items() if name not in os.environ}
    given["RAY_TRAIN_V2_ENABLED"] = "1"  # the worker groups rest on it
    if address and "RAY_AUTH_MODE" not in os.environ and _token():
        given["RAY_AUTH_MODE"] = "token"
    if address:
        _check_reachable(address, wait_seconds)
    else:
        _check_address_space()
        given |= {name: value for name, value in LOOPBACK.items() if name not in os.environ}
        if _token() is None:
            given["RAY_AUTH_TOKEN"] = OWN_TOKEN
    with environment(given, kept=SET_BY_RAY), faulthandler_kept(), _joined(address, own) as capacity:
        yield capacity


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Set back what SIGTERM did before; Ray's own handlers exit with 15, or print a stack and abort."""
    try:
        with signals_kept(signal.SIGTERM):
            yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop


@contextlib.contextmanager
def _joined(address: str | None, own: Iterable[str]) -> Iterator[Capacity]:
    with silenced(("ray.widgets",)):  # which asks a notebook for ipywidgets
        import ray

        from adasearch.tuning.ray_patches import LISTENER, check_ray, environment_inherited

        if ray.is_initialized():
            raise AdasearchError(
                "this process is connected to Ray already, and a search leaves the Ray of another alone; "
                "call ray.shutdown() before it"
            )
        check_ray()
    quiet = ("ray", "ray.tune", "ray.train", "ray.widgets")
    with silenced(quiet), nullcontext("") if address else private_folder() as here:
        try:
            _init(address, own, here)
            own_out = contextlib.redirect_stdout(cast(TextIO, _WithoutRaylets(sys.stdout, LISTENER)))
            inherited = nullcontext() if address else environment_inherited()
            with own_out, watched(), inherited:
                yield capacity_now()
        finally:
            # Ray repeats at last what it has printed.
            with _silent_stderr(), contextlib.redirect_stdout(io.StringIO()):
                ray.shutdown()


def _init(address: str | None, own: Iterable[str], folder: str) -> None:
    import ray

    from adasearch.tuning.ray_patches import job_config

    try:
        with _own_sigterm():
            if address:
                with runtime_env(own) as env, _silent_stderr():
                    ray.init(
                        address=address, runtime_env=env, log_to_driver=False, logging_level=logging.CRITICAL
                    )
                return
            with interrupt_deferred():
                ray.init(
                    address="local",
                    job_config=job_config(),
                    num_cpus=_pinned_cpus(),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    object_store_memory=OBJECT_STORE_BYTES,
                    # Not /tmp/ray, where all can read for good; Ray opens to all what it is given itself.
                    _temp_dir=f"{folder}/r",
                )
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"--address {address!r}: {' '.join(str(error).split())}") from error
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        where = f"at {address}" if address else "on this machine"
        raise AdasearchError(f"cannot join Ray {where}: {one_line(error)}; {auth_hint()}") from error


def capacity_now() -> Capacity:
    """Return what the nodes that have joined so far offer; Ray must be connected."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return Capacity(nodes=tuple((node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes))
