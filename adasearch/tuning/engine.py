"""Runs a search: one Tuner.fit() over all its studies."""

import os
import signal
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from ray import tune

from adasearch.io.filesystem import below, remove_folder
from adasearch.store.store import Store
from adasearch.tuning.cluster import capacity_now
from adasearch.tuning.place import Place
from adasearch.tuning.ray_patches import killed_is_dead
from adasearch.tuning.resources import WorkerGroupSettings
from adasearch.tuning.search_state import SearchListener, SearchState
from adasearch.tuning.session import signals_kept
from adasearch.tuning.trial_source import TrialSource
from adasearch.tuning.tune_adapters import ParetoHalving, StudySearcher
from adasearch.tuning.worker_group import SlotTrainable

__all__ = ["run_trials"]

# A driver costs next to nothing, and a claim on CPUs here would starve the workers, whose placement group is
# Ray Train's own. Every cluster's head has this resource.
DRIVER_RESOURCES = {"node:__internal_head__": 0.001}


def run_trials(
    studies: Sequence[TrialSource],
    store: Store,
    settings: WorkerGroupSettings,
    *,
    slots: int,
    listener: SearchListener,
) -> bool:
    """Run all outstanding trials, ``slots`` at a time; Ray must be connected.

    Returns False if the search was interrupted: its running trials then stay in the store as "running", for
    the next search to run again.

    Raises:
        AdasearchError: the store cannot be written.
    """
    outstanding = sum(study.left for study in studies)
    if outstanding == 0:
        return True
    storage = below(settings.storage, uuid.uuid4().hex[:12])
    if "://" not in storage:
        os.makedirs(storage, exist_ok=True)
    place = Place(store, storage, nodes=lambda: len(capacity_now().nodes))
    state = SearchState(studies, store, listener, place)
    slot = tune.with_parameters(SlotTrainable, settings=replace(settings, storage=storage))
    tuner = tune.Tuner(
        tune.with_resources(slot, DRIVER_RESOURCES),
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(state),
            scheduler=ParetoHalving(state),
            num_samples=outstanding,
            max_concurrent_trials=slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=storage,
            verbose=0,
            progress_reporter=tune.CLIReporter(),  # that of notebooks clears what we said, even at verbose=0
            stop=_WhenOver(state),
            failure_config=tune.FailureConfig(max_failures=settings.attempts - 1),  # of a slot's own process
        ),
    )
    with _signals(state), killed_is_dead():
        tuner.fit()
    remove_folder(storage)
    state.check_whole()
    state.remove_checkpoints()
    return not state.interrupted


class _WhenOver(tune.Stopper):
    """Ends the whole search once the state says so; no single trial."""

    def __init__(self, state: SearchState) -> None:
        self._state = state

    def __call__(self, trial_id: str, result: object) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._state.over


@contextmanager
def _signals(state: SearchState) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the search in good order; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if state.interrupted:
            os._exit(130)  # what is finished is on disk
        state.interrupted = True

    with signals_kept(signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # the last is Tune's
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt)
        yield
