"""Actors that Ray's memory monitor killed, as Tune should see them: dead.

Ray answers for such an actor with ``OutOfMemoryError``, which is no ``RayActorError``. Tune (ray 2.60) knows
no such end of a trial's actor and raises in its own loop, which ends the search.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.exceptions import OutOfMemoryError, RayActorError

from adasearch.errors import one_line

__all__ = ["DEAD", "killed_is_dead"]

DEAD = (RayActorError, OutOfMemoryError)
"""What Ray raises for an actor that is no more."""


@contextmanager
def killed_is_dead() -> Iterator[None]:
    """Let Tune's searches handle an actor that was killed for memory as one that died.

    With a Ray that keeps its actors elsewhere nothing is done.
    """
    try:
        from ray.air.execution._internal.actor_manager import RayActorManager

        former = RayActorManager._actor_task_failed
    except (ImportError, AttributeError):
        yield
        return

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, OutOfMemoryError):
            exception = RayActorError(error_msg=one_line(exception)[:500])
        former(self, tracked_actor_task, exception)

    RayActorManager._actor_task_failed = failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = former
