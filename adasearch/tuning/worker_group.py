"""Worker groups: one Ray Train run per slot, kept alive and fed trial after trial.

A fresh ``TorchTrainer.fit()`` costs tens of seconds of process starts and imports; a group pays them once.
Tune sees an ordinary class Trainable and never kills a running trainer: stopping is cooperative.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeVar

import ray
from ray import tune

from adasearch.callbacks import Say
from adasearch.environment import device_name
from adasearch.errors import StoreError, one_line
from adasearch.records import IntervalRecord
from adasearch.training.task import Outcome, TrialTask, failed
from adasearch.tuning.mailbox import Delivery, Mailbox, Message
from adasearch.tuning.post import Post
from adasearch.tuning.resources import WorkerGroupSettings
from adasearch.tuning.stop_signal import StopSignal
from adasearch.user_code import unpack

__all__ = ["SlotTrainable"]

_T = TypeVar("_T")

HEARTBEAT_SECONDS = 1.0  # a step returns after so long even without news, so that Tune can stop the search
IDLE_SECONDS = 2.0  # workers ask for a task so often; the other ranks wait in a collective meanwhile
GROUP_TIMEOUT_SECONDS = 60
FRESH_SECONDS = 600  # for former workers to finish their interval and free what the next ones need
LEAD_SECONDS = 5  # that rank 0 has to tell that a training function is stuck
STARTS = 2  # tries to bring up a worker group for one trial
WORKER_RESTARTS = 8  # in the life of a worker group; attempts are counted per trial by the mailbox


class SlotTrainable(tune.Trainable):
    """A slot of the search. Config is ``{"task": TrialTask}``, a result ``{"delivery", "done", "slot"}``.

    ``slot`` is what the search needs to clear up if this process dies, once for each group of workers.
    """

    def setup(self, config: dict[str, Any], settings: WorkerGroupSettings) -> None:
        """Start the mailbox and the workers, and submit the first task."""
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
        self._workers: _WorkerGroup | None = None
        self._known: object = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go on with another trial; the workers leave the former one by themselves."""
        if self._settings.isolation == "fresh":
            self.cleanup(FRESH_SECONDS)
            self._open()
        self._begin(new_config)
        return True  # False would lose the trial: Tune tells neither the searcher nor a callback

    def _begin(self, config: dict[str, Any]) -> None:
        submitted = self._mailbox.submit.remote(config["task"])
        self._starts = 0
        self._ensure_workers()  # which start while the mailbox does
        ray.get(submitted)

    def _ensure_workers(self) -> None:
        if self._workers is None or not self._workers.alive():
            self._starts += 1
            self._workers = _WorkerGroup(self._settings, self._mailbox)

    def step(self) -> dict[str, Any]:
        """Return the records that came in, or none after a second of silence."""
        delivery: Delivery = ray.get(self._mailbox.take.remote(HEARTBEAT_SECONDS))
        if delivery.outcome is None and self._workers is not None and not self._workers.alive():
            delivery = self._revive(self._workers.error, delivery)
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
        """Start other workers for the present task, unless it had its attempts or none come up."""
        made = ray.get(self._mailbox.attempts_made.remote())
        if made < self._settings.attempts and self._starts < STARTS:
            self._ensure_workers()
            return delivery
        what = "its workers could not be started" if made == 0 else f"its workers died in {made} attempts"
        text = f"{what}: {error or 'no reason given'}"
        outside = text if made == 0 else None  # nobody had looked at the task
        return Delivery(
            records=delivery.records,
            outcome=Outcome(status="failed", error=text, cause="lost", outside=outside),
            notes=delivery.notes,
            group=delivery.group,
        )

    def cleanup(self, wait_seconds: float = 8) -> None:
        """Let the workers return; at the end Tune kills this actor after 10 s, so do not wait longer then."""
        ray.get(self._mailbox.close.remote())
        if self._workers is not None:
            self._workers.join(wait_seconds)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Save nothing: the store is the truth."""


class _WorkerGroup:
    """One Ray Train run in a thread of the trial's actor."""

    def __init__(self, settings: WorkerGroupSettings, mailbox: Any) -> None:
        self.error: str | None = None
        self._thread = threading.Thread(target=self._fit, args=(settings, mailbox), daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _fit(self, settings: WorkerGroupSettings, mailbox: Any) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig

        from adasearch.tuning.process_group import ProcessGroupConfig
        from adasearch.tuning.trainer import SlotTrainer

        gpu = settings.gpus_per_worker > 0
        resources: dict[str, float] = {"CPU": settings.cpus_per_worker}
        if gpu:
            resources["GPU"] = settings.gpus_per_worker
        try:
            # TorchTrainer is this with Ray's own way to make a process group.
            SlotTrainer(
                worker_loop,
                train_loop_config={
                    "mailbox": mailbox,
                    "threads": settings.cpus_per_worker,
                    "given": settings.given,
                },
                backend_config=ProcessGroupConfig("nccl" if gpu else "gloo", GROUP_TIMEOUT_SECONDS),
                scaling_config=ScalingConfig(
                    num_workers=settings.workers, use_gpu=gpu, resources_per_worker=resources
                ),
                run_config=RunConfig(
                    name=f"workers-{uuid.uuid4().hex[:12]}",
                    storage_path=settings.storage,
                    failure_config=FailureConfig(max_failures=WORKER_RESTARTS, controller_failure_limit=2),
                ),
            ).fit()
        except Exception as error:  # noqa: BLE001 - whatever ends the run, the trial must hear of it
            self.error = one_line(error)[:500]


def worker_loop(config: dict[str, Any]) -> None:
    """Train task after task; runs on every Ray Train worker of a group."""
    import torch
    from ray.train import get_context
    from ray.train.torch import get_device

    torch.set_num_threads(config["threads"])
    unpack(config["given"])
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

    from adasearch.training.passes import PassTooLarge

    alone = get_context().get_world_size() == 1
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what the trial before left
    halted = StopSignal(
        (lambda: bool(ray.get(mailbox.over.remote(sequence, IDLE_SECONDS)))) if lead else None,
        lambda wish: _from_lead(wish, device),
        alone=alone,
    )

    post = Post(lambda records: bool(ray.get(mailbox.put.remote(sequence, records))))

    def on_interval(record: IntervalRecord) -> bool:
        return bool(_from_lead(post(record) if lead else None, device))

    def say(text: str) -> None:
        if lead:
            ray.get(mailbox.note.remote(sequence, text))

    try:
        try:
            stuck = partial(_leave_stuck, post, sequence, mailbox, lead)
            return _train(task, device, on_interval, halted=halted, say=say, stuck=stuck)
        finally:
            post.send()
    except StoreError as error:  # on rank 0, which writes the checkpoints, or on all that read them
        ray.get(mailbox.end.remote(sequence, Outcome(status="failed", unwritten=str(error))))
        if alone:
            return None
        raise  # the other ranks wait in a collective
    except PassTooLarge as error:
        ray.get(mailbox.shrink.remote(sequence, error.device_batch))
        raise  # Ray Train restarts the workers, which go on from the last checkpoint
    except Exception as error:
        if alone and device.type == "cpu":
            return failed(error)  # another process would fail in the same way
        ray.get(mailbox.note_failure.remote(sequence, failed(error)))
        raise  # other ranks may wait in a collective, or the device be unusable: Ray Train restarts them


def _leave_stuck(post: Post, sequence: int, mailbox: Any, lead: bool, outcome: Outcome) -> None:
    """Tell how a trial ends whose function is stuck, and end this process: no thread of it can be ended."""
    if lead:
        post.send()
        ray.get(mailbox.end.remote(sequence, outcome))
    else:
        time.sleep(LEAD_SECONDS)
    os._exit(1)  # Ray Train starts another


def _train(
    task: TrialTask,
    device: Any,
    on_interval: Callable[[IntervalRecord], bool],
    *,
    halted: Callable[[], bool],
    say: Say,
    stuck: Callable[[Outcome], None],
) -> Outcome | None:
    """Train a task in the built-in loop, or let the user's training function do it."""
    import torch

    from adasearch.functions.train_function import train_function
    from adasearch.training.loop import train_trial

    if task.function is not None:
        return train_function(task, device, on_interval, halted=halted, say=say, stuck=stuck)
    data = _dataset(task.data, device, task.config.test)
    return train_trial(
        task, data, device, on_interval, threads=torch.get_num_threads(), halted=halted, say=say
    )


def _from_lead(value: _T | None, device: Any) -> _T:
    """Return rank 0's value on every rank."""
    from torch import distributed as dist

    box = [value]
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.broadcast_object_list(box, src=0, device=device)
    return box[0]  # type: ignore[return-value]


@lru_cache(maxsize=1)
def _dataset(spec: Any, device: Any, include_test: bool) -> Any:
    """Return a data set on the device; the trials of a worker group share it."""
    from adasearch.tasks.registry import load_data

    return load_data(spec, include_test=include_test).to(device)
