"""Ray, started quietly on this machine or joined at an address, and what it can hold."""

import contextlib
import logging
import os
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
OBJECT_STORE_BYTES = 200 * 1024**2  # Ray's default, 30 % of the memory, is hardly used


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """CPUs and GPUs of the whole cluster."""

    cpus: float
    gpus: float


@contextlib.contextmanager
def connect(address: str | None) -> Iterator[Capacity]:
    """Start an embedded Ray, or join the cluster at ``address``; leave it at the end.

    An ambient RAY_ADDRESS is not followed: without ``address`` the embedded Ray is used.

    Raises:
        AdasearchError: the cluster cannot be reached.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if address and "RAY_AUTH_MODE" not in os.environ and (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_MODE"] = "token"
    import ray

    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        else:
            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=OBJECT_STORE_BYTES,
            )
    except (ConnectionError, RuntimeError) as error:
        raise AdasearchError(
            f"cannot join Ray at {address or 'this machine'}: {' '.join(str(error).split())}; RAY_AUTH_MODE "
            "and the token (RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH) must be those of the cluster"
        ) from error
    try:
        total = ray.cluster_resources()
        yield Capacity(cpus=total.get("CPU", 0.0), gpus=total.get("GPU", 0.0))
    finally:
        ray.shutdown()


def slots_for(
    capacity: Capacity, *, workers: int, cpus_per_worker: int, gpus_per_worker: float, wanted: int | None
) -> int:
    """Return how many trials may run at a time.

    Raises:
        InputError: not even one trial fits, or fewer than ``wanted``.

    >>> slots_for(Capacity(cpus=8, gpus=0), workers=2, cpus_per_worker=1, gpus_per_worker=0, wanted=None)
    4
    """
    fits = int(capacity.cpus // (workers * cpus_per_worker))
    if gpus_per_worker:
        fits = min(fits, int(capacity.gpus / (workers * gpus_per_worker) + 1e-9))
    need = f"{workers} worker(s) with {cpus_per_worker} CPU(s) and {gpus_per_worker:g} GPU(s) each"
    there = f"the cluster has {capacity.cpus:g} CPU(s) and {capacity.gpus:g} GPU(s)"
    if fits < 1:
        raise InputError(f"a trial needs --workers {need}, but {there}")
    if wanted is not None and wanted > fits:
        raise InputError(f"--slots {wanted} trials of {need} do not fit: {there}, room for {fits}")
    return fits if wanted is None else wanted
