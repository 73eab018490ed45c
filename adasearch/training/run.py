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
from adasearch.networks.registry import build_model
from adasearch.signals.interval import IntervalMeter
from adasearch.signals.per_example import mixes_examples
from adasearch.training.buffers import JoinedBuffers
from adasearch.training.config import TrainConfig, lr_factor
from adasearch.training.ddp import in_parallel, show_gradients
from adasearch.training.memory import is_out_of_memory, room_for_passes, watched
from adasearch.training.optimizer import Update, make_optimizer
from adasearch.training.passes import Passes, PassTooLarge
from adasearch.training.precision import autocast, let_cudnn_try, loss_scaler, set_tf32
from adasearch.training.stopwatch import Stopwatch

__all__ = ["Halted", "Run"]

EVAL_BATCH = 1024  # examples; evaluation keeps no activations, so it takes larger batches than training
EVAL_PIXELS = EVAL_BATCH * 128**2  # and of larger images fewer: one layer's output must fit into memory


class Halted(Exception):  # noqa: N818 - no error: somebody wanted it
    """A run was told to stop in the middle of an interval."""


class Run:
    """The state of a run; ``passes`` says how a batch is cut."""

    def __init__(
        self, config: TrainConfig, needs: frozenset[str], data: Dataset, device: torch.device
    ) -> None:
        self.config = config
        self.data = data
        self.device = device
        set_tf32(config.precision, device)
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        torch.manual_seed(config.seed)
        network = build_model(
            config.architecture, config.scale, classes=data.classes, image_size=data.image_size
        )
        self.network = network.to(device).to(memory_format=LAYOUT)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.buffers = JoinedBuffers(self.network)
        self.local = cast(nn.Module, torch.compile(self.network)) if config.compile else self.network
        self.parallel = in_parallel(self.local) if self.world > 1 else None
        torch.manual_seed(config.seed + self.rank)  # dropout differs between workers, the weights do not
        self.scaler = loss_scaler(config.precision, device)
        self.optimizer = make_optimizer(
            config.hyperparameters, self.parameters, scaled=self.scaler is not None
        )
        self.update = Update(self.optimizer, self.scaler)
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
        )
        if self.parallel is not None and self.meter.hooked:
            show_gradients(self.parallel, self.meter)
        self.step = 0  # steps taken, from which augmentation is drawn
        self.updates = 0  # those of them that changed the weights
        self.examples_seen = 0
        self.lr = config.hyperparameters.lr
        self.room = room_for_passes(config.memory_limit, device, self.parameters)
        self.passes = Passes(config, data.image_size, device, self.world)
        self._former_size: int | None = None
        self._compiled: set[int] = set()  # sizes of passes

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
            self._try_size(batch_size)
        steps = math.ceil((mark - self.examples_seen) / batch_size)
        self.meter.begin(steps, batch_size, self.passes.count(batch_size))
        if self.config.compile:
            self._compile_passes(batch_size)
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
        """Take one optimiser step on the next global batch.

        One worker that runs out of memory does the step again in smaller passes.
        """
        hyper = self.config.hyperparameters
        progress = self.examples_seen / self.config.budget
        self.lr = hyper.lr * lr_factor(hyper, progress) * lr_scale
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        self.buffers.save()
        while (reason := self._gradients(batch_size)) is not None:
            self._forget_step()
            self.passes.shrink(batch_size, reason)
        self.meter.join()
        self.meter.observe(self.update.unscale())
        updated = self.update.step()
        self.meter.end_step(batch_size, updated=updated)
        self.step += 1
        self.updates += updated
        self.examples_seen += batch_size

    def _gradients(self, batch_size: int) -> str | None:
        """Set the gradients of a step; return how memory ran out, if it did."""
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
            if self.world > 1:  # others wait in the reduction: the attempt ends, on all of them
                self.passes.shrink(batch_size, str(error))
                self.passes.remember()
                raise PassTooLarge(self.passes.device_batch, str(error)) from error
            return str(error)
        self.passes.fitted(math.ceil(batch_size / (self.world * passes)))
        return None

    def _pass(self, images: Tensor, labels: Tensor, batch_size: int) -> Tensor:
        """Add a chunk's part of a step's gradient; return its sum of losses."""
        loss = self._loss(self.parallel or self.local, images, labels)
        # DDP averages over workers: with this weight the average is the mean over the global batch.
        self.update.scaled(loss).backward(torch.full_like(loss, self.world / batch_size))
        return loss.detach()

    def _loss(
        self, forward: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor | None = None
    ) -> Tensor:
        """Return a chunk's sum of losses; without labels all images are of class 0."""
        if labels is None:
            labels = torch.zeros(len(images), dtype=torch.int64, device=self.device)
        new = len(labels) > self.passes.proven
        watch = watched(self.room) if new else nullcontext()
        with watch, autocast(self.config.precision, self.device):
            output = forward(images)
            return nn.functional.cross_entropy(output, labels, reduction="sum")

    def _timed_pass(self) -> AbstractContextManager[None]:
        """Tell halved steps from whole ones, where there are both, for what the halves cost."""
        if self.meter.form != "halves":
            return nullcontext()
        return self.clock.section("halves" if self.meter.sampling else "whole")

    def _try_size(self, batch_size: int) -> None:
        """Before passes of a new size are first used, try one on every worker; all go by the least.

        Nothing of the run changes: neither weights nor buffers nor the random numbers to come. The time is
        charged to "compile" where the network is compiled (as it is then, for this size), else to "resize".
        """
        with self.clock.section("compile" if self.config.compile else "resize"):
            while self.passes.largest(batch_size) > self.passes.proven:
                reason = self._tried(self.passes.largest(batch_size))
                if reason is None:
                    self.passes.fitted(self.passes.largest(batch_size))
                else:
                    self.passes.shrink(batch_size, reason)

    def _compile_passes(self, batch_size: int) -> None:
        """Make a pass of every size that the steps take, so that none is compiled in the training's time."""
        parts = [self.world * self.passes.count(batch_size)]
        parts += [2 * self.world] if self.meter.form == "halves" else []
        sizes = {size for part in parts for size in (batch_size // part, math.ceil(batch_size / part))}
        with self.clock.section("compile"):
            for size in sorted(sizes - self._compiled):
                if 1 < size <= self.passes.proven:
                    self._tried(size)

    def _tried(self, examples: int) -> str | None:
        """Return why some worker cannot make a pass of so many examples; None if all can."""
        reason = None
        shape = (examples, 3, self.data.image_size, self.data.image_size)
        self._compiled.add(examples)
        self.buffers.save()
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            try:
                # Without DDP, whose reduction would leave the other workers waiting if this one fails.
                images = torch.empty(shape, device=self.device, memory_format=LAYOUT)
                self._loss(self.local, images.zero_()).backward()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error)
        self._forget_step()
        fits = torch.tensor(float(reason is None), device=self.device)
        if self.world > 1:
            dist.all_reduce(fits, op=dist.ReduceOp.MIN)
        return None if fits else reason or "another worker ran out of memory"

    def _forget_step(self) -> None:
        """Undo what passes did since the buffers were saved, and free what they left."""
        self.update.clear()
        self.buffers.restore()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

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
