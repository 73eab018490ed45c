"""How a search or a confirmation runs; none of it changes what a study is."""

import math
from dataclasses import dataclass, field
from typing import Literal

from adasearch.errors import InputError
from adasearch.run_options import RunOptions

__all__ = ["Runtime"]


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
        options: how trials run on a device, and how often they are saved.
    """

    trials: int = 20
    slots: int | None = None
    cpus_per_worker: int = 1
    gpus_per_worker: float | None = None
    attempts: int = 2
    isolation: Literal["pooled", "fresh"] = "pooled"
    address: str | None = None
    wait_for_nodes: float = 0
    transfer: bool = False
    options: RunOptions = field(default_factory=RunOptions)

    def check(self) -> None:
        """Refuse values that break a rule."""
        for name in ("trials", "slots", "cpus_per_worker", "attempts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name.replace('_', '-')} must be at least 1 but got {value}")
        if not 0 <= self.wait_for_nodes < math.inf:
            raise InputError(f"--wait-for-nodes must be at least 0 but got {self.wait_for_nodes:g}")
        if self.wait_for_nodes and self.address is None:
            raise InputError("--wait-for-nodes goes with --address: this machine has no other nodes")
        self.options.check()
        gpus = self.gpus_per_worker
        if gpus is not None and not 0 <= gpus < math.inf:
            raise InputError(f"--gpus-per-worker must be at least 0 but got {gpus:g}")
