"""How runs, searches and confirmations go about on a machine; none of it changes what a study is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from adasearch.choices import Isolation
from adasearch.errors import InputError

__all__ = ["TRIALS", "RunOptions", "Runtime", "record_of", "runtime_of"]

T = TypeVar("T")

TRIALS = 20  # per study

GIB = 2**30
GREATEST = 2**31  # less than which a count must be


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a trial's workers are told beside the trial.

    Args:
        device_batch: greatest number of examples per forward pass and device, at least 4; None finds it.
        memory_gib: memory that a worker on a CPU may take, in GiB; None for its share of 90 % of the
            machine's.
        checkpoint_every: intervals between two checkpoints, 0 for none; None for one every 30 seconds.
        silence_minutes: after which a training function of the user's own counts as stuck.
    """

    device_batch: int | None = None
    memory_gib: float | None = None
    checkpoint_every: int | None = None
    silence_minutes: float = 10.0

    @property
    def memory_limit(self) -> int | None:
        """``memory_gib`` in bytes."""
        return None if self.memory_gib is None else int(self.memory_gib * GIB)

    def check(self) -> None:
        """Refuse values that break a rule.

        Raises:
            InputError: the first of them.
        """
        if self.device_batch is not None and not 4 <= self.device_batch < GREATEST:
            rule = "be at least 4" if self.device_batch < 4 else "lie in 4 to 2^31 - 1"
            raise InputError(f"--device-batch must {rule} but got {self.device_batch}")
        if self.memory_gib is not None and not 0 < self.memory_gib < float("inf"):
            raise InputError(f"--memory-per-worker must be greater than 0 but got {self.memory_gib:g}")
        if self.checkpoint_every is not None and self.checkpoint_every < 0:
            raise InputError(f"--checkpoint-every must be at least 0 but got {self.checkpoint_every}")
        if not 0 < self.silence_minutes < math.inf:
            raise InputError(f"--silence must be greater than 0 but got {self.silence_minutes:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How a search runs; none of it changes what a study is.

    Args:
        trials: trials per study in all; those that are stored count.
        slots: trials at a time, None for as many as fit.
        cpus_per_worker: CPUs per worker, at least 1.
        gpus_per_worker: GPUs per worker; None takes one if the cluster has any.
        attempts: times that a trial whose worker died is tried in all.
        isolation: "pooled" or "fresh" workers.
        address: of a Ray cluster; None starts Ray on this machine.
        wait_for_nodes: seconds to wait for a cluster, and for nodes on which the trials fit.
        transfer: try first what suited other networks and data sets.
        retry_failed: try failed trials again, or not; None where all failed, or several by the same error.
        accept_changed_code: go on although the source of a training function changed.
        options: how trials run on a device, and how often they are saved.
    """

    trials: int = TRIALS
    slots: int | None = None
    cpus_per_worker: int = 1
    gpus_per_worker: float | None = None
    attempts: int = 2
    isolation: Isolation = "pooled"
    address: str | None = None
    wait_for_nodes: float = 0
    transfer: bool = False
    retry_failed: bool | None = None
    accept_changed_code: bool = False
    options: RunOptions = field(default_factory=RunOptions)

    def check(self) -> None:
        """Refuse values that break a rule."""
        for name in ("trials", "slots", "cpus_per_worker", "attempts"):
            value = getattr(self, name)
            if value is not None and not 1 <= value < GREATEST:
                rule = "be at least 1" if value < 1 else "lie in 1 to 2^31 - 1"
                raise InputError(f"--{name.replace('_', '-')} must {rule} but got {value}")
        if not 0 <= self.wait_for_nodes < math.inf:
            raise InputError(f"--wait-for-nodes must be at least 0 but got {self.wait_for_nodes:g}")
        if self.wait_for_nodes and self.address is None:
            raise InputError("--wait-for-nodes goes with --address: this machine has no other nodes")
        self.options.check()
        gpus = self.gpus_per_worker
        if gpus is not None and not 0 <= gpus < math.inf:
            raise InputError(f"--gpus-per-worker must be at least 0 but got {gpus:g}")


def record_of(kind: type[T], options: Mapping[str, Any]) -> T:
    """Return a dataclass whose fields have the values of the options of their names; others are passed over.

    >>> record_of(RunOptions, {"device_batch": 8, "seed": 1}).device_batch
    8
    """
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: options[name] for name in names if name in options})


def runtime_of(options: Mapping[str, Any]) -> Runtime:
    """Return how a search goes about, and its trials on a device, by options' names."""
    return replace(record_of(Runtime, options), options=record_of(RunOptions, options))
