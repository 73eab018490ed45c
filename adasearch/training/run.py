"""A training run under way: its network, optimiser, place in the data and clocks; steps and evaluations.

Runs on one process, or on several that joined a torch.distributed group before: each then takes its part of
every global batch.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist

from adasearch.schedulers.follow import NOTHING, Followed
from adasearch.signals.interval import IntervalMeter
from adasearch.signals.per_example import mixes_examples
from adasearch.signals.preconditioner import preconditioner_of
from adasearch.tasks.base import Data, Evaluation, HeldOut
from adasearch.tasks.registry import check_name, task_of
from adasearch.training.buffers import JoinedBuffers
from adasearch.training.config import TrainConfig
from adasearch.training.ddp import in_parallel, show_gradients
from adasearch.training.memory import OutOfMemory, is_out_of_memory, room_for_passes
from adasearch.training.muon import hidden_matrices
from adasearch.training.optimizer import Update, make_optimizer
from adasearch.training.pass_probe import PassProbe
from adasearch.training.passes import Passes, PassTooLarge, loss_of_pass
from adasearch.training.precision import autocast, let_cudnn_try, loss_scaler, set_tf32
from adasearch.training.processes import Processes
from adasearch.training.randomness import seed_random
from adasearch.training.stopwatch import Stopwatch

__all__ = ["Halted", "Run"]


class Halted(Exception):  # noqa: N818 - no error: somebody wanted it
    """A run was told to stop in the middle of an interval."""


class Run:
    """The state of a run; ``passes`` says how a batch is cut."""

    def __init__(
        self,
        config: TrainConfig,
        needs: frozenset[str],
        data: Data,
        device: torch.device,
        followed: Followed = NOTHING,
    ) -> None:
        self.config = config
        self.data = data
        self.task = task_of(data)
        self.device = device
        set_tf32(config.precision, device)
        self.processes = Processes(device)
        self.world, self.rank = self.processes.count, self.processes.rank
        check_name(
            data.task, config.architecture, config.scale
        )  # imports a user's module, which may draw at random
        seed_random(config.seed)
        self.network = self.task.network(config.architecture, config.scale).to(device)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.buffers = JoinedBuffers(self.network)
        self.local = cast(nn.Module, torch.compile(self.network)) if config.compile else self.network
        self.parallel = in_parallel(self.local) if self.world > 1 else None
        seed_random(config.seed + self.rank)  # dropout differs between workers, the weights do not
        self.scaler = loss_scaler(config.precision, device)
        self.optimizer = make_optimizer(
            config.hyperparameters,
            self.parameters,
            matrices=hidden_matrices(self.network),
            scaled=self.scaler is not None,
        )
        self.update = Update(self.optimizer, self.scaler, followed)
        self.batches = self.task.stream(data, config.seed)
        self.clock = Stopwatch(device)
        self.meter = IntervalMeter(
            self.parameters,
            needs,
            world=self.world,
            rank=self.rank,
            network=self.network if config.per_example else None,
            loss=self.task.loss,
            least=2 if mixes_examples(self.network) else 1,
            droppable=self.scaler is not None,
            timed=partial(self.clock.section, "measure"),
            preconditioner=preconditioner_of(self.optimizer),
        )
        if self.parallel is not None and self.meter.hooked:
            show_gradients(self.parallel, self.meter)
        self.step = 0  # steps taken, from which augmentation is drawn
        self.updates = 0  # those of them that changed the weights
        self.examples_seen = 0
        self.lr = config.hyperparameters.lr
        self._lr_curve = config.hyperparameters.lr_curve
        room = room_for_passes(config.memory_limit, device, self.parameters)
        self.passes = Passes(config, self.task, device, self.world, room)
        self.probe = PassProbe(
            self.local,
            self.passes,
            self.buffers,
            self.update,
            task=self.task,
            precision=config.precision,
            device=device,
        )
        self._former_size: int | None = None

    def steps_until(
        self, mark: int, batch_size: int, lr_scale: float, halted: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
        """Take steps until ``mark`` examples are seen; return the interval's loss and signals by name.

        Raises:
            Halted: ``halted``, which is asked before each step and answers all workers alike, said so.
        """
        self.passes.shrunk = 0
        self.network.train()
        let_cudnn_try(self.device, same_size=batch_size == self._former_size)
        self._former_size = batch_size
        if self.world > 1 or self.config.compile:
            with self.clock.section("compile" if self.config.compile else "resize"):
                self.probe.shrink_to_fit(batch_size)
        steps = math.ceil((mark - self.examples_seen) / batch_size)
        self.meter.begin(steps, batch_size, self.passes.count(batch_size))
        if self.config.compile:
            with self.clock.section("compile"):
                self.probe.compile(batch_size, halves=self.meter.form == "halves")
        with self.clock.section("train"):
            self._read_ahead(steps, batch_size)
            while self.examples_seen < mark:
                if halted():
                    raise Halted
                self._step(batch_size, lr_scale)
            return self.meter.finish()

    def _read_ahead(self, steps: int, batch_size: int) -> None:
        """Let examples that lie in files be read for the steps to come, and no further."""
        passes = self.passes.count(batch_size)
        mine = range(self.rank * passes, (self.rank + 1) * passes)
        self.batches.prepare(self.examples_seen, batch_size, steps, self.world * passes, mine)

    def _step(self, batch_size: int, lr_scale: float) -> None:
        """Take one optimiser step on the next global batch."""
        hyper = self.config.hyperparameters
        progress = self.examples_seen / self.config.budget
        lr = hyper.lr * self._lr_curve.factor(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self._gradients(batch_size)
        self.meter.join()
        self.meter.observe(self.update.unscale())
        if hyper.max_grad_norm:
            nn.utils.clip_grad_norm_(self.parameters, hyper.max_grad_norm)
        self.update.begin(lr_scale, batch_size / hyper.batch_size)
        updated = self.update.step()
        self.lr = self.update.lr
        self.update.end()
        self.meter.end_step(batch_size, updated=updated)
        self.step += 1
        self.updates += updated
        self.examples_seen += batch_size

    def _gradients(self, batch_size: int) -> None:
        """Set the gradients of a step; one worker that runs out of memory begins again in smaller passes."""
        self.buffers.save()
        while True:
            try:
                return self._try_gradients(batch_size)
            except OutOfMemory as error:
                reason = str(error)
            # Here, where nothing holds the error any more, the tensors of the failed pass are let go.
            self.probe.undo()
            self.passes.shrink(batch_size, reason)

    def _try_gradients(self, batch_size: int) -> None:
        """Set the gradients of a step.

        Raises:
            OutOfMemory: its passes are too large.
            PassTooLarge: they are, and other workers wait in the reduction: the attempt ends, on all of them.
        """
        self.update.clear()
        self.meter.begin_step(batch_size, self.passes.count(batch_size))
        passes = self.meter.passes
        mine = range(self.rank * passes, (self.rank + 1) * passes)
        chunks = partial(
            self.batches.chunks, self.examples_seen, self.step, batch_size, self.world * passes, mine
        )
        try:
            for number, (inputs, targets) in enumerate(chunks(), start=1):
                last = number == passes
                with (
                    self._timed_pass(),
                    nullcontext() if last or self.parallel is None else self.parallel.no_sync(),
                ):
                    self.meter.add_loss(self._pass(inputs, targets, batch_size))
                self.meter.take(len(targets))
            if self.meter.sampling and self.meter.form == "per_example":
                with autocast(self.config.precision, self.device):
                    self.meter.take_examples(chunks())
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if self.world == 1:
                raise OutOfMemory(str(error)) from error
            self.passes.shrink(batch_size, str(error))
            self.passes.remember()
            raise PassTooLarge(self.passes.device_batch, str(error)) from error
        self.passes.fitted(math.ceil(batch_size / (self.world * passes)))

    def _pass(self, inputs: Tensor, targets: Tensor, batch_size: int) -> Tensor:
        """Add a chunk's part of a step's gradient; return its sum of losses."""
        forward = self.parallel or self.local
        loss = loss_of_pass(forward, inputs, targets, self.passes, self.task, self.config.precision)
        # DDP averages over workers: with this weight the average is the mean over the global batch.
        self.update.scaled(loss).backward(torch.full_like(loss, self.world / batch_size))
        return loss.detach()

    def _timed_pass(self) -> AbstractContextManager[None]:
        """Tell halved steps from whole ones, where there are both, for what the halves cost."""
        if self.meter.form != "halves":
            return nullcontext()
        return self.clock.section("halves" if self.meter.sampling else "whole")

    @torch.no_grad()
    def evaluate(self, split: HeldOut) -> Evaluation:
        """Return what the task measures on a split, which the workers share out."""
        self.buffers.average()
        self.network.eval()
        sums = torch.zeros(self.task.scored, dtype=self.meter.dtype, device=self.device)
        for inputs, targets in self.task.pieces(self.data, split, self.rank, self.world):
            with autocast(self.config.precision, self.device):
                output = self.network(inputs)
            scores = self.task.scores(output.to(torch.get_default_dtype()), targets)
            sums += torch.stack([each.to(sums.dtype) for each in scores])
        if self.world > 1:
            dist.all_reduce(sums)
        examples = len(self.data.val if split == "val" else self.data.test)
        return self.task.evaluation(self.data, split, (sums / examples).tolist())
