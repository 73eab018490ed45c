"""Ray for a search or a confirmation: started or joined, and the studies that are claimed meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from adasearch.io.progress import say
from adasearch.records import StudyRecord, TrialRecord
from adasearch.runtime import RunOptions, Runtime
from adasearch.store.store import Store
from adasearch.studies.retry import with_retried

if TYPE_CHECKING:
    from adasearch.data.spec import DataSpec
    from adasearch.tuning.capacity import Capacity
    from adasearch.tuning.resources import WorkerGroupSettings
    from adasearch.tuning.trial_source import TrialPlan

__all__ = ["Cluster", "on_ray", "options_as_before", "trial_plan"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cluster:
    """A cluster that is joined.

    Args:
        capacity: what its nodes offer.
        locks: of studies; they are given up before Ray is left.
        storage: path or URI for Ray's own files.
        results: what the user calls the folder in which they lie.
    """

    capacity: "Capacity"
    locks: ExitStack
    storage: str
    results: str
    runtime: Runtime
    console: Console

    def slots(self, study: StudyRecord) -> "tuple[WorkerGroupSettings, int]":
        """Return how the trials of a study run on its device, and how many at a time.

        Raises:
            InputError: they do not fit.
            AdasearchError: a node of a cluster that was joined cannot run them.
        """
        from adasearch.tuning.probe import check_cluster
        from adasearch.tuning.resources import worker_groups_for

        found = worker_groups_for(
            self.runtime,
            self.capacity,
            storage=self.storage,
            workers=study.workers,
            device=study.device,
            say=partial(say, self.console),
        )
        if self.runtime.address is not None:
            check_cluster(self.storage, results=self.results)
        return found


@contextmanager
def on_ray(
    runtime: Runtime, store: Store, console: Console, studies: Sequence[StudyRecord]
) -> Iterator[Cluster]:
    """Start Ray, or join a runtime's cluster, to which the code of the studies is sent; leave it at the end.

    Raises:
        InputError: the address is none, or the code is too large to send.
        AdasearchError: the cluster cannot be reached.
    """
    from adasearch.studies.wanted import import_paths
    from adasearch.tuning.cluster import connect

    say(console, f"joining Ray at {runtime.address}" if runtime.address else "starting Ray")
    own = [name for study in studies for name in import_paths(study)]
    joined = connect(runtime.address, own=own, wait_seconds=runtime.wait_for_nodes)
    # Ray's files go once Ray has ended.
    with ExitStack() as files, joined as capacity, ExitStack() as locks:
        storage = files.enter_context(store.ray_folder(shared=runtime.address is not None))
        yield Cluster(
            capacity=capacity,
            locks=locks,
            storage=storage,
            results=store.name,
            runtime=runtime,
            console=console,
        )


def trial_plan(
    study: StudyRecord,
    data: "DataSpec",
    former: Sequence[TrialRecord],
    phase: str,
    runtime: Runtime,
    store: Store,
) -> "TrialPlan":
    """Return what there is to do of a study, whose stored trials are ``former``, in a phase of it."""
    from adasearch.profiles.clock import curve_of
    from adasearch.studies.settings import rungs_of
    from adasearch.tuning.stopper import RECALLED
    from adasearch.tuning.trial_source import TrialPlan

    name, running = study.study, [trial.trial_id for trial in former if trial.status == "running"]
    return TrialPlan(
        study=study,
        data=data,
        trials=runtime.trials,
        stored=with_retried(former, phase, runtime.retry_failed),
        intervals=store.intervals(name, running),
        recall=partial(store.columns, name, RECALLED) if rungs_of(study) else dict,
        options=options_as_before(runtime.options, former, store, name),
        threads=runtime.cpus_per_worker,
        curve=curve_of(store, study),
    )


def options_as_before(
    given: RunOptions, stored: Sequence[TrialRecord], store: Store, name: str
) -> RunOptions:
    """Return how a study's trials run: in passes of the size that its ended trials had, if none was given.

    BatchNorm sees one pass at a time, and what this machine remembers of a network may have changed since.
    """
    ended = [trial.trial_id for trial in stored if trial.status in ("complete", "pruned")]
    if given.device_batch is not None or not ended:
        return given
    former = store.intervals(name, ended[-1:]).get(ended[-1], ())
    return replace(given, device_batch=former[-1].device_batch) if former else given
