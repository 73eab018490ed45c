"""Worker gangs: one Ray Train run per slot, kept alive and fed trial after trial.

A fresh ``TorchTrainer.fit()`` costs tens of seconds of process starts and imports; a gang pays them once.
Tune sees an ordinary class Trainable and never kills a running trainer: stopping is cooperative.
"""

import threading
import uuid
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

import ray
from ray import tune

from adasearch.environment import device_name
from adasearch.errors import StoreError
from adasearch.records import IntervalRecord
from adasearch.tuning.mailbox import Mailbox, Message
from adasearch.tuning.messages import Delivery, Outcome, TrialTask
from adasearch.tuning.resources import GangSettings
from adasearch.tuning.stop_signal import Halt

__all__ = ["GangTrainable"]

_T = TypeVar("_T")

HEARTBEAT_SECONDS = 1.0  # a step returns after so long even without news, so that Tune can stop the search
IDLE_SECONDS = 2.0  # workers ask for a task so often; the other ranks wait in a collective meanwhile
GROUP_TIMEOUT_SECONDS = 60
FRESH_SECONDS = 600  # for former workers to finish their interval and free what the next ones need
STARTS = 2  # tries to bring up a gang for one trial
WORKER_RESTARTS = 8  # in a gang's life; attempts are counted per trial by the mailbox


class GangTrainable(tune.Trainable):
    """A slot of the search. Config is ``{"task": TrialTask}``, a result ``{"delivery", "done", "slot"}``.

    ``slot`` is what the search needs to clear up if this process dies, once for each group of workers.
    """

    def setup(self, config: dict[str, Any], settings: GangSettings) -> None:
        """Start the mailbox and the gang, and submit the first task."""
        self._settings = settings
        self._open()
        self._begin(config)

    def _open(self) -> None:
        """Make a mailbox on this node, so that losing another node cannot take it along."""
        here = ray.get_runtime_context().get_node_id()
        affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
        self._mailbox = (
            ray.remote(Mailbox)
            .options(num_cpus=0, scheduling_strategy=affinity)
            .remote(self._settings.attempts)
        )
        self._gang: _Gang | None = None
        self._known: object = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go on with another trial; the workers leave the former one by themselves."""
        if self._settings.isolation == "fresh":
            self.cleanup(FRESH_SECONDS)
            self._open()
        self._begin(new_config)
        return True  # False would lose the trial: Tune tells neither the searcher nor a callback

    def _begin(self, config: dict[str, Any]) -> None:
        ray.get(self._mailbox.submit.remote(config["task"]))
        self._starts = 0
        self._ensure_gang()

    def _ensure_gang(self) -> None:
        if self._gang is None or not self._gang.alive():
            self._starts += 1
            self._gang = _Gang(self._settings, self._mailbox)

    def step(self) -> dict[str, Any]:
        """Return the records that came in, or none after a second of silence."""
        delivery: Delivery = ray.get(self._mailbox.take.remote(HEARTBEAT_SECONDS))
        if delivery.outcome is None and self._gang is not None and not self._gang.alive():
            delivery = self._revive(self._gang.error, delivery)
        return {
            "delivery": delivery,
            "done": delivery.outcome is not None,
            "slot": self._slot(delivery.group),
        }

    def _slot(self, group: Any) -> tuple[Any, Any] | None:
        """Return this actor and its workers' placement group, where the search does not know them yet."""
        if group is None or group == self._known:
            return None
        self._known = group
        return ray.get_runtime_context().current_actor, group

    def _revive(self, error: str | None, delivery: Delivery) -> Delivery:
        """Start another gang for the present task, unless it had its attempts or no gang comes up."""
        made = ray.get(self._mailbox.attempts_made.remote())
        if made < self._settings.attempts and self._starts < STARTS:
            self._ensure_gang()
            return delivery
        what = "its workers could not be started" if made == 0 else f"its workers died in {made} attempts"
        return Delivery(
            records=delivery.records,
            outcome=Outcome(status="failed", error=f"{what}: {error or 'no reason given'}"),
            group=delivery.group,
        )

    def cleanup(self, wait_seconds: float = 8) -> None:
        """Let the workers return; at the end Tune kills this actor after 10 s, so do not wait longer then."""
        ray.get(self._mailbox.close.remote())
        if self._gang is not None:
            self._gang.join(wait_seconds)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: the store is the truth."""


class _Gang:
    """One Ray Train run in a thread of the trial's actor."""

    def __init__(self, settings: GangSettings, mailbox: Any) -> None:
        self.error: str | None = None
        self._thread = threading.Thread(target=self._fit, args=(settings, mailbox), daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _fit(self, settings: GangSettings, mailbox: Any) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig

        from adasearch.tuning.process_group import ProcessGroupConfig
        from adasearch.tuning.ray_patches import DataParallelTrainer

        gpu = settings.gpus_per_worker > 0
        resources: dict[str, float] = {"CPU": settings.cpus_per_worker}
        if gpu:
            resources["GPU"] = settings.gpus_per_worker
        try:
            # TorchTrainer is this with Ray's own way to make a process group.
            DataParallelTrainer(
                gang_loop,
                train_loop_config={"mailbox": mailbox, "threads": settings.cpus_per_worker},
                backend_config=ProcessGroupConfig("nccl" if gpu else "gloo", GROUP_TIMEOUT_SECONDS),
                scaling_config=ScalingConfig(
                    num_workers=settings.workers, use_gpu=gpu, resources_per_worker=resources
                ),
                run_config=RunConfig(
                    name=f"gang-{uuid.uuid4().hex[:12]}",
                    storage_path=settings.storage,
                    failure_config=FailureConfig(max_failures=WORKER_RESTARTS, controller_failure_limit=2),
                ),
            ).fit()
        except Exception as error:  # whatever ends the run, the trial must hear of it
            self.error = " ".join(str(error).split())[:500]


def gang_loop(config: dict[str, Any]) -> None:
    """Train task after task; runs on every Ray Train worker of a gang."""
    import torch
    from ray.train import get_context
    from ray.train.torch import get_device

    torch.set_num_threads(config["threads"])
    mailbox = config["mailbox"]
    lead = get_context().get_world_rank() == 0
    device = get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if lead:
        ray.get(mailbox.join.remote(ray.util.get_current_placement_group(), device_name(device.type)))
    while True:
        message: Message = _from_lead(
            ray.get(mailbox.next_task.remote(IDLE_SECONDS)) if lead else None, device
        )
        if message[0] == "close":
            return
        if message[0] == "run":
            outcome = _run(message[1], message[2], mailbox, device, lead)
            if lead and outcome is not None:
                ray.get(mailbox.end.remote(message[1], outcome))


def _run(sequence: int, task: TrialTask, mailbox: Any, device: Any, lead: bool) -> Outcome | None:
    """Train one task; return its outcome, or None if it was stopped."""
    import torch
    from ray.train import get_context

    from adasearch.schedulers.registry import make_scheduler
    from adasearch.training.checkpoint import Checkpoints
    from adasearch.training.loop import DivergedError, train
    from adasearch.training.memory import PeakMemory, default_limit
    from adasearch.training.passes import PassTooLarge
    from adasearch.training.run import Halted

    if device.type == "cuda":
        torch.cuda.empty_cache()  # what the trial before left
    memory = PeakMemory(device)
    config = task.config
    if config.memory_limit is None:
        config = replace(config, memory_limit=default_limit(torch.get_num_threads()))
    try:
        checkpoints = Checkpoints(task.checkpoints, every=task.checkpoint_every, stored=task.stored)
        scheduler = make_scheduler(task.scheduler, task.scheduler_fields)
        data = _dataset(task.data, device, task.config.test)
        halted = Halt(
            (lambda: bool(ray.get(mailbox.over.remote(sequence, IDLE_SECONDS)))) if lead else None,
            lambda wish: _from_lead(wish, device),
            alone=get_context().get_world_size() == 1,
        )
        for record in train(
            config, scheduler, task.limits, data, device=device, checkpoints=checkpoints, halted=halted
        ):
            if not _from_lead(_put(mailbox, sequence, record) if lead else None, device):
                return None
    except Halted:
        return None
    except DivergedError as error:  # on all ranks alike: the loss was reduced before
        return Outcome(status="failed", error=str(error))
    except StoreError as error:  # on rank 0, which writes the checkpoints, or on all that read them
        ray.get(mailbox.end.remote(sequence, Outcome(status="failed", unwritten=str(error))))
        if get_context().get_world_size() == 1:
            return None
        raise  # the other ranks wait in a collective
    except PassTooLarge as error:
        ray.get(mailbox.shrink.remote(sequence, error.device_batch))
        raise  # Ray Train restarts the gang, which goes on from the last checkpoint
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        if get_context().get_world_size() == 1 and device.type == "cpu":
            return Outcome(status="failed", error=reason)  # another process would fail in the same way
        ray.get(mailbox.note_error.remote(sequence, reason))
        raise  # other ranks may wait in a collective, or the device be unusable: Ray Train restarts the gang
    return Outcome(status="complete", peak_memory_bytes=memory.read_largest())


def _put(mailbox: Any, sequence: int, record: IntervalRecord) -> bool:
    return bool(ray.get(mailbox.put.remote(sequence, record)))


def _from_lead(value: _T | None, device: Any) -> _T:
    """Return rank 0's value on every rank."""
    from torch import distributed as dist

    box = [value]
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.broadcast_object_list(box, src=0, device=device)
    return box[0]  # type: ignore[return-value]


@lru_cache(maxsize=1)
def _dataset(spec: Any, device: Any, include_test: bool) -> Any:
    """Return a data set on the device; the trials of a gang share it."""
    from adasearch.data.load import load_dataset

    return load_dataset(spec, include_test=include_test).to(device)
