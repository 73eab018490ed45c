"""What Tune makes of an actor that Ray's memory monitor killed; ``tests/test_loss.py`` has some killed."""

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import OutOfMemoryError, RayActorError

from adasearch.tuning.ray_patches import killed_is_dead


class Manager(RayActorManager):  # type: ignore[misc]
    """Ray's own, without a cluster to clear up."""

    def __init__(self) -> None:
        self._failed_actor_ids: set[int] = set()

    def _cleanup_actor(self, tracked_actor: TrackedActor) -> None:
        pass


def test_actor_that_was_killed_for_memory_counts_as_dead() -> None:
    heard: list[Exception] = []
    actor = TrackedActor(7, on_error=lambda actor, error: heard.append(error))
    task, error = TrackedActorTask(actor), OutOfMemoryError("the node\nruns low")
    with killed_is_dead():
        Manager()._actor_task_failed(task, error)
    (found,) = heard
    assert isinstance(found, RayActorError)
    assert "the node runs low" in str(found)
    with pytest.raises(RuntimeError, match="unexpected"):  # else Ray knows better by now, and ours can go
        Manager()._actor_task_failed(task, error)
