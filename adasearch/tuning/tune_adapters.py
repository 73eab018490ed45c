"""What Tune calls, a searcher and a trial scheduler, both thin: the state of the search decides."""

from typing import Any

import ray
from ray.exceptions import OutOfMemoryError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from adasearch.errors import text_of
from adasearch.tuning.ray_patches import DEAD
from adasearch.tuning.search_state import SearchState

__all__ = ["ParetoHalving", "StudySearcher"]

PING_SECONDS = 5.0  # a living slot answers between two steps, of a second each


class StudySearcher(Searcher):
    """A Tune searcher over several studies: the study that is furthest behind proposes next."""

    def __init__(self, state: SearchState) -> None:
        super().__init__()
        self._state = state

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the config of the next trial; None where one can begin later alone."""
        if self._state.begin(trial_id) is None:
            return None if self._state.left else str(Searcher.FINISHED)
        return {"task": self._state.task(trial_id)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Close the trial; Tune brings the last delivery here alone."""
        if result and "delivery" in result:
            self._state.on_delivery(trial_id, result["delivery"])
        self._state.close(trial_id, lost="the trial's process failed" if error else None)

    def set_search_properties(self, metric: object, mode: object, config: object, **spec: object) -> bool:
        """Accept that Tune knows no metric, mode or space: they belong to the studies."""
        return True

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the store is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing: a search resumes from the store."""


class ParetoHalving(FIFOScheduler):
    """A Tune trial scheduler that stops a trial when the search's state says so."""

    def __init__(self, state: SearchState) -> None:
        super().__init__()
        self._state = state
        self._slots: dict[Any, Any] = {}  # actors, and the newest placement group of their workers

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand on a delivery; stop the trial if it falls behind at a rung."""
        if result["slot"] is not None:
            actor, group = result["slot"]
            self._slots[actor] = group
        goes_on = self._state.on_delivery(trial.trial_id, result["delivery"])
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def on_trial_error(self, controller: Any, trial: Any) -> None:
        """Close a trial whose own process died or raised; called before the searcher hears of it.

        If it is to be tried again, it goes on from its last checkpoint in another process.
        """
        self._free_dead_slots()
        if trial.should_recover() and (task := self._state.task(trial.trial_id)) is not None:
            trial.set_config({"task": task})
            return
        reason = trial.get_pickled_error() or trial.get_error() or "it died"
        text = text_of(reason)
        self._state.close(
            trial.trial_id,
            lost=f"the trial's process failed: {text[-300:]}",
            for_memory=OutOfMemoryError.__name__ in text,
        )

    def _free_dead_slots(self) -> None:
        """Give back what workers of dead actors held; Ray Train does so only where there is a dashboard."""
        for actor, group in list(self._slots.items()):
            try:
                ray.get(actor.__ray_ready__.remote(), timeout=PING_SECONDS)
            except DEAD:
                ray.util.remove_placement_group(group)
                del self._slots[actor]
            except ray.exceptions.GetTimeoutError:  # it is busy
                pass

    @property
    def supports_buffered_results(self) -> bool:
        """Results come one by one, or rungs would be entered late."""
        return False

    def set_search_properties(self, metric: object, mode: object, **spec: object) -> bool:
        """Accept that Tune knows neither metric nor mode: the studies have two objectives."""
        return True
