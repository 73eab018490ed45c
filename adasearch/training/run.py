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

from adasearch.data.batches import Batches
from adasearch.data.splits import LAYOUT, Dataset, ExampleSplit
from adasearch.networks.registry import build_model, check_name
from adasearch.schedulers.follow import NOTHING, Followed
from adasearch.signals.interval import IntervalMeter
from adasearch.signals.per_example import mixes_examples
from adasearch.signals.preconditioner import preconditioner_of
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

EVAL_BATCH = 1024  # examples; evaluation keeps no activations, so it takes larger batches than training
EVAL_PIXELS = EVAL_BATCH * 128**2  # and of larger images fewer: one layer's output must fit into memory


class Halted(Exception):  # noqa: N818 - no error: somebody wanted it
    """A run was told to stop in the middle of an interval."""


class Run:
    """The state of a run; ``passes`` says how a batch is cut."""

    def __init__(
        self,
        config: TrainConfig,
        needs: frozenset[str],
        data: Dataset,
        device: torch.device,
        followed: Followed = NOTHING,
    ) -> None:
        self.config = config
        self.data = data
        self.device = device
        set_tf32(config.precision, device)
        self.processes = Processes(device)
        self.world, self.rank = self.processes.count, self.processes.rank
        check_name(config.architecture, config.scale)  # imports a user's module, which may draw at random
        seed_random(config.seed)
        network = build_model(
            config.architecture, config.scale, classes=data.classes, image_size=data.image_size
        )
        self.network = network.to(device).to(memory_format=LAYOUT)
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
        self.batches = Batches(data, config.seed)
        self.normalise = data.normaliser()
        self.clock = Stopwatch(device)
        self.meter = IntervalMeter(
            self.parameters,
            needs,
            world=self.world,
            rank=self.rank,
            network=self.network if config.per_example else None,
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
        self.passes = Passes(config, data.image_size, device, self.world, room)
        self.probe = PassProbe(
            self.local,
            self.passes,
            self.buffers,
            self.update,
            precision=config.precision,
            image_size=data.image_size,
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
        """Let images that lie in files be read for the steps to come, and no further."""
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
            for number, (images, labels) in enumerate(chunks(), start=1):
                last = number == passes
                with (
                    self._timed_pass(),
                    nullcontext() if last or self.parallel is None else self.parallel.no_sync(),
                ):
                    self.meter.add_loss(self._pass(images, labels, batch_size))
                self.meter.take(len(labels))
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

    def _pass(self, images: Tensor, labels: Tensor, batch_size: int) -> Tensor:
        """Add a chunk's part of a step's gradient; return its sum of losses."""
        forward = self.parallel or self.local
        loss = loss_of_pass(forward, images, labels, self.passes, self.config.precision)
        # DDP averages over workers: with this weight the average is the mean over the global batch.
        self.update.scaled(loss).backward(torch.full_like(loss, self.world / batch_size))
        return loss.detach()

    def _timed_pass(self) -> AbstractContextManager[None]:
        """Tell halved steps from whole ones, where there are both, for what the halves cost."""
        if self.meter.form != "halves":
            return nullcontext()
        return self.clock.section("halves" if self.meter.sampling else "whole")

    @torch.no_grad()
    def evaluate(self, split: ExampleSplit) -> tuple[float, float]:
        """Return mean loss and error fraction on a split, which the workers share out."""
        self.buffers.average()
        self.network.eval()
        sums = torch.zeros(2, dtype=self.meter.dtype, device=self.device)
        size = max(1, min(EVAL_BATCH, EVAL_PIXELS // self.data.image_size**2))
        for pixels, labels in split.pieces(size, self.rank, self.world):
            images = self.normalise(pixels)
            with autocast(self.config.precision, self.device):
                output = self.network(images)
            output = output.to(torch.get_default_dtype())
            sums[0] += nn.functional.cross_entropy(output, labels, reduction="sum")
            sums[1] += (output.argmax(dim=1) != labels).sum()
        if self.world > 1:
            dist.all_reduce(sums)
        loss, wrong = (sums / len(split)).tolist()
        return loss, wrong
