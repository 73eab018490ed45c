"""Ray Train's trainer for a slot, without the processes beside the workers that a slot has no use for.

For each run Ray's own starts an actor for its controller, one that hands out shards of data sets and one that
clears up after a controller that died; once for all it starts one that asks an autoscaler for nodes, and it
waits for most of them before the workers begin. Each takes a second of a core to start. But a slot is an
actor, which can hold the controller; trials read their own data; the search clears up after slots that died
(:mod:`~adasearch.tuning.tune_adapters`); and workers that wait for room are what an autoscaler sees anyway.
"""

import asyncio
from typing import Any

from adasearch.tuning.ray_patches import (
    NAMED_FOR_WORKERS,
    DataParallelTrainer,
    FixedScalingPolicy,
    TrainController,
)

__all__ = ["SlotTrainer"]

UNUSED = frozenset({"DatasetsCallback", "PlacementGroupCleanerCallback"})


class SlotTrainer(DataParallelTrainer):
    """Trains on workers of any kind; its controller runs in the thread that calls ``fit``."""

    def _create_default_callbacks(self) -> list[Any]:
        return [each for each in super()._create_default_callbacks() if type(each).__name__ not in UNUSED]

    def _initialize_and_run_controller(self, **given: Any) -> Any:
        controller = TrainController(**given | {"scaling_policy": _AsAsked(self.scaling_config)})
        NAMED_FOR_WORKERS.clear()  # the workers inherit what this process was given
        asyncio.run(controller.run())
        return controller.get_result()


class _AsAsked(FixedScalingPolicy):
    """As many workers as were asked for, and no word to an autoscaler."""

    def after_controller_start(self, train_run_context: object) -> None:
        pass

    def _maybe_send_resource_request(self) -> None:
        pass

    def _cancel_resource_request(self) -> None:
        pass
