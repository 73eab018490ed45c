"""One training run as a generator of interval records.

Tune, the store, a notebook and a test consume the same records; stopping early is stopping to iterate.
Runs on one process, or on several that joined a torch.distributed group before: each then takes its part of
every global batch.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from adasearch.data import Batches, Dataset, Split
from adasearch.measure import GradientMeter, GradientSignals
from adasearch.models import build_model
from adasearch.noise import GradBucket, NoiseMeter, NoiseSignals
from adasearch.per_example import mixes_examples
from adasearch.records import Decision, IntervalRecord, Limits, Precision, Signals, StudyRecord, TrialRecord
from adasearch.schedulers import BatchSizeScheduler, decide
from adasearch.schedulers.base import LR_SCHEDULES, hold, require
from adasearch.timing import Stopwatch

__all__ = ["DivergedError", "Hyperparameters", "TrainConfig", "lr_factor", "train"]

_T = TypeVar("_T")

EVAL_BATCH = 1024  # examples; evaluation keeps no activations, so it takes larger batches than training


class DivergedError(ArithmeticError):
    """A loss became NaN or infinite; the message says which and when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """What an architecture's search space may contain: everything about training but the scheduler.

    Args:
        batch_size: initial batch size, global examples per optimiser step, at least 1.
        lr: learning rate at factor 1, greater than 0.
        lr_schedule: "constant", "cosine", "one_cycle" or "step"; see :func:`lr_factor`.
        warmup: share of the budget over which the learning rate rises linearly from 0, in [0, 1).
        weight_decay: at least 0; decoupled for AdamW.
        optimizer: "sgd" (with momentum) or "adamw".
        momentum: of SGD, in [0, 1).
        nesterov: Nesterov's form of momentum; needs momentum greater than 0.
    """

    batch_size: int = 64
    lr: float = 0.1
    lr_schedule: str = "cosine"
    warmup: float = 0.0
    weight_decay: float = 5e-4
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside the domain."""
        require(self.batch_size >= 1, "batch_size must be at least 1", batch_size=self.batch_size)
        require(0 < self.lr < math.inf, "lr must be greater than 0", lr=self.lr)
        known = self.lr_schedule in LR_SCHEDULES
        require(known, f"lr_schedule must be one of {sorted(LR_SCHEDULES)}", lr_schedule=self.lr_schedule)
        require(0 <= self.warmup < 1, "warmup must lie in [0, 1)", warmup=self.warmup)
        require(
            0 <= self.weight_decay < math.inf,
            "weight_decay must be at least 0",
            weight_decay=self.weight_decay,
        )
        require(
            self.optimizer in ("sgd", "adamw"), "optimizer must be 'sgd' or 'adamw'", optimizer=self.optimizer
        )
        require(0 <= self.momentum < 1, "momentum must lie in [0, 1)", momentum=self.momentum)
        require(
            not self.nesterov or self.momentum > 0,
            "nesterov needs momentum greater than 0",
            nesterov=self.nesterov,
            momentum=self.momentum,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One run: the network, its hyperparameters, and spans in training examples.

    Args:
        architecture: a name of ``ARCHITECTURES``.
        scale: "nano" or "full".
        seed: of the weights, the order of the examples and the augmentation.
        hyperparameters: see :class:`Hyperparameters`.
        budget: examples to train on, at least 1.
        interval: examples between two decisions, at least 1.
        evaluate_every: examples between two evaluations, at least 1.
        evaluate_at: further marks, in examples seen, at which to evaluate.
        device_batch: greatest number of examples per forward pass and device, at least 4 (so that no pass
            has fewer than two, which BatchNorm needs).
        precision: "float32", or "bfloat16" for automatic mixed precision.
        per_example: whether noise signals are estimated from each example's own gradient, which costs more
            and which networks with BatchNorm or dropout do not allow; see :mod:`adasearch.noise`.
    """

    architecture: str
    scale: str
    seed: int
    hyperparameters: Hyperparameters
    budget: int
    interval: int
    evaluate_every: int
    evaluate_at: tuple[int, ...] = ()
    device_batch: int = 512
    precision: Precision = "float32"
    per_example: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside the domain."""
        for name in ("budget", "interval", "evaluate_every"):
            value = getattr(self, name)
            require(value >= 1, f"{name} must be at least 1 example", **{name: value})
        require(self.device_batch >= 4, "device_batch must be at least 4", device_batch=self.device_batch)
        known = self.precision in ("float32", "bfloat16")
        require(known, "precision must be 'float32' or 'bfloat16'", precision=self.precision)

    @classmethod
    def of(cls, study: StudyRecord, trial: TrialRecord, evaluate_at: tuple[int, ...] = ()) -> "TrainConfig":
        """Return the run that a trial of a study stands for."""
        return cls(
            architecture=study.architecture,
            scale=study.scale,
            seed=trial.seed,
            hyperparameters=Hyperparameters(**trial.fields_of("train")),  # type: ignore[arg-type]
            budget=study.budget,
            interval=study.interval,
            evaluate_every=study.evaluate_every,
            evaluate_at=evaluate_at,
            precision=study.precision,
        )


def lr_factor(schedule: str, warmup: float, progress: float) -> float:
    """Return the factor on the learning rate at ``progress`` = examples seen / budget, in [0, 1].

    After a linear warm-up, p being the share of the rest: "constant" 1; "cosine" ``(1 + cos(pi p)) / 2``;
    "step" 1, 0.1, 0.01 with drops at one half and three quarters of the budget; "one_cycle" a linear rise
    from 0.04 over the first 30 % and a cosine fall to 0.

    >>> [round(lr_factor("cosine", 0.0, p), 2) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    >>> [lr_factor("step", 0.1, p) for p in (0.05, 0.4, 0.6, 0.8)]
    [0.5, 1.0, 0.1, 0.01]
    """
    if progress < warmup:
        return progress / warmup
    p = (min(progress, 1.0) - warmup) / (1 - warmup)
    if schedule == "cosine":
        return (1 + math.cos(math.pi * p)) / 2
    if schedule == "step":
        return 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01
    if schedule == "one_cycle":
        rise = 0.3
        return 0.04 + 0.96 * p / rise if p < rise else (1 + math.cos(math.pi * (p - rise) / (1 - rise))) / 2
    return 1.0


def train(
    config: TrainConfig,
    scheduler: BatchSizeScheduler,
    limits: Limits,
    data: Dataset,
    *,
    device: torch.device | str = "cpu",
) -> Iterator[IntervalRecord]:
    """Train and yield one record per interval, until the budget is used.

    An interval ends at the first step at or after its mark of examples and has at least one step. The last
    interval decides nothing. With several processes every rank yields equal signals and decisions.

    Raises:
        DivergedError: after yielding the interval whose training or validation loss is NaN or infinite.
        ValueError: the initial batch size lies outside the limits, the network has no gradients per example
            although they were asked for, or the scheduler broke its contract.
    """
    hyper = config.hyperparameters
    if not limits.admit(hyper.batch_size):
        raise ValueError(f"the initial batch_size={hyper.batch_size} lies outside {limits}")
    run = _Run(config, scheduler.needs, data.to(torch.device(device)), torch.device(device))
    history: list[Signals] = []
    decision = Decision(batch_size=hyper.batch_size, lr_scale=1.0, action="hold", reason="initial batch size")
    evaluated = 0
    while run.examples_seen < config.budget:
        batch_size, lr_scale = decision.batch_size, decision.lr_scale
        mark = min((run.examples_seen // config.interval + 1) * config.interval, config.budget)
        train_loss, gradient, noise = run.steps_until(mark, batch_size, lr_scale)
        over = run.examples_seen >= config.budget
        val_loss = val_error = None
        wanted = "val_loss" in scheduler.needs
        if over or wanted or _crossed(config, evaluated, run.examples_seen):
            evaluated = run.examples_seen
            with run.clock.section("eval"):
                val_loss, val_error = run.evaluate(run.data.val)
        signals = Signals(
            interval=len(history),
            epoch=run.examples_seen / len(data.train),
            step=run.step,
            examples_seen=run.examples_seen,
            initial_batch_size=hyper.batch_size,
            batch_size=batch_size,
            lr=run.lr,
            lr_scale=lr_scale,
            train_loss=train_loss,
            val_loss=val_loss,
            **asdict(gradient),
            **asdict(noise),
        )
        steps = signals.step - (history[-1].step if history else 0)
        history.append(signals)
        losses = {"train_loss": signals.train_loss, "val_loss": val_loss}
        broken = [f"{name} is {loss}" for name, loss in losses.items() if loss and not math.isfinite(loss)]
        with run.clock.section("resize"):
            if over or broken:
                decision = hold(signals, broken[0] if broken else "end of the budget")
            else:
                decision = decide(scheduler, history, limits)
                run.assert_agreed(decision)
        seconds = run.clock.read()
        yield IntervalRecord(
            signals=signals,
            decision=decision,
            device_batch=config.device_batch,
            passes=run.passes(batch_size),
            val_error=val_error,
            train_seconds=seconds["train"] + seconds["resize"],
            measure_seconds=seconds.get("measure", 0.0) + _extra_seconds(seconds, noise.noise_count, steps),
            resize_seconds=seconds["resize"],
            eval_seconds=seconds.get("eval", 0.0),
            noise_form=run.noise.form if noise.noise_count else None,
        )
        if broken:
            raise DivergedError(f"{broken[0]} in interval {signals.interval} (step {signals.step})")


def _extra_seconds(seconds: Mapping[str, float], halved: int, steps: int) -> float:
    """Return how much longer the steps took that ran as two halves, beside the interval's other steps.

    Where there are no others it is the time of their second halves, which is no less.
    """
    halves = seconds.get("halves", 0.0)
    whole = seconds["whole"] / (steps - halved) * halved if "whole" in seconds else halves / 2
    return max(0.0, halves - whole)


def _crossed(config: TrainConfig, before: int, now: int) -> bool:
    """Tell whether an evaluation is due: a multiple of the cadence, or a further mark, was passed."""
    if now // config.evaluate_every > before // config.evaluate_every:
        return True
    return any(before < mark <= now for mark in config.evaluate_at)


class _Run:
    """The state of a run: network, optimiser, position in the data, clocks."""

    def __init__(
        self, config: TrainConfig, needs: frozenset[str], data: Dataset, device: torch.device
    ) -> None:
        self.config = config
        self.data = data
        self.device = device
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        torch.manual_seed(config.seed)
        network = build_model(
            config.architecture, config.scale, classes=data.classes, image_size=data.image_size
        )
        self.network = network.to(device)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self.parallel: DistributedDataParallel | None = None
        if self.world > 1:
            # Buffers are averaged before each evaluation instead of sent before each forward pass.
            # (torch 2.14 renames the argument; the former name works with every version that we admit.)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                self.parallel = DistributedDataParallel(
                    self.network, broadcast_buffers=False, gradient_as_bucket_view=True
                )
        torch.manual_seed(config.seed + self.rank)  # dropout differs between workers, the weights do not
        self.optimizer = _optimizer(config.hyperparameters, self.parameters)
        self.batches = Batches(data, config.seed)
        self.clock = Stopwatch(device)
        self.meter = GradientMeter(self.parameters, needs)
        self.noise = NoiseMeter(
            self.parameters,
            needs,
            world=self.world,
            rank=self.rank,
            network=self.network if config.per_example else None,
            least=2 if mixes_examples(self.network) else 1,
        )
        if self.parallel is not None and self.noise.hooked:
            self.parallel.register_comm_hook(dist.group.WORLD, _reduce_and_show(self.noise, self.clock))
        self.step = 0
        self.examples_seen = 0
        self.lr = config.hyperparameters.lr

    def passes(self, batch_size: int) -> int:
        """Return how many forward passes each worker makes per step."""
        return math.ceil(batch_size / (self.world * self.config.device_batch))

    def steps_until(
        self, mark: int, batch_size: int, lr_scale: float
    ) -> tuple[float, GradientSignals, NoiseSignals]:
        """Take steps until ``mark`` examples are seen; return the interval's training loss and signals."""
        start = self.examples_seen
        loss_sum = torch.zeros((), dtype=self.meter.dtype, device=self.device)
        self.network.train()
        steps = math.ceil((mark - start) / batch_size)
        self.meter.begin(steps)
        self.noise.begin(steps, batch_size, self.passes(batch_size))
        with self.clock.section("train"):
            while self.examples_seen < mark:
                loss_sum += self._step(batch_size, lr_scale)
            if self.world > 1:
                dist.all_reduce(loss_sum)
            gradient = self._measured(self.meter.finish) if self.meter.active else GradientSignals()
            noise = self._measured(self.noise.finish) if self.noise.active else NoiseSignals()
            return loss_sum.item() / (self.examples_seen - start), gradient, noise

    def _step(self, batch_size: int, lr_scale: float) -> Tensor:
        """Take one optimiser step on the next global batch; return this worker's sum of losses."""
        hyper = self.config.hyperparameters
        progress = self.examples_seen / self.config.budget
        self.lr = hyper.lr * lr_factor(hyper.lr_schedule, hyper.warmup, progress) * lr_scale
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        self.optimizer.zero_grad(set_to_none=True)
        passes = self.noise.passes
        mine = range(self.rank * passes, (self.rank + 1) * passes)
        total = torch.zeros((), device=self.device)
        chunks = partial(
            self.batches.chunks, self.examples_seen, self.step, batch_size, self.world * passes, mine
        )
        forward = self.parallel or self.network
        for number, (images, labels) in enumerate(chunks(), start=1):
            last = number == passes
            with (
                self._timed_pass(),
                nullcontext() if last or self.parallel is None else self.parallel.no_sync(),
            ):
                with self._autocast():
                    loss = nn.functional.cross_entropy(forward(images), labels, reduction="sum")
                # DDP averages over workers: with this weight the average is the mean over the global batch.
                (loss * (self.world / batch_size)).backward()
            total += loss.detach()
            if self.noise.sampling and self.noise.form in ("passes", "halves"):
                self._measured(partial(self.noise.take, len(labels)))
        if self.noise.sampling and self.noise.form == "per_example":
            self._measured(lambda: self._take_examples(chunks()))  # the same examples once more
        if self.noise.active:
            self._measured(self.noise.observe)
        if self.meter.active:
            self._measured(self.meter.observe)
        self.optimizer.step()
        self.step += 1
        self.examples_seen += batch_size
        return total

    def _take_examples(self, chunks: Iterator[tuple[Tensor, Tensor]]) -> None:
        for images, labels in chunks:
            with self._autocast():
                self.noise.take_examples(images, labels)

    def _timed_pass(self) -> AbstractContextManager[None]:
        """Tell halved steps from whole ones, where there are both, for what the halves cost."""
        if self.noise.form != "halves":
            return nullcontext()
        return self.clock.section("halves" if self.noise.sampling else "whole")

    def _autocast(self) -> torch.autocast:
        mixed = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=mixed)

    def _measured(self, work: Callable[[], _T]) -> _T:
        with self.clock.section("measure"):
            return work()

    @torch.no_grad()
    def evaluate(self, split: Split) -> tuple[float, float]:
        """Return mean loss and error fraction on a split, which the workers share out."""
        self._average_buffers()
        self.network.eval()
        sums = torch.zeros(2, dtype=self.meter.dtype, device=self.device)
        for start in range(self.rank * EVAL_BATCH, len(split), self.world * EVAL_BATCH):
            images = self.data.normalise(split.images[start : start + EVAL_BATCH])
            labels = split.labels[start : start + EVAL_BATCH]
            with self._autocast():
                output = self.network(images)
            output = output.to(torch.get_default_dtype())
            sums[0] += nn.functional.cross_entropy(output, labels, reduction="sum")
            sums[1] += (output.argmax(dim=1) != labels).sum()
        if self.world > 1:
            dist.all_reduce(sums)
        loss, wrong = (sums / len(split)).tolist()
        return loss, wrong

    def _average_buffers(self) -> None:
        """Give all workers the mean of their BatchNorm statistics."""
        if self.world > 1:
            for buffer in self.network.buffers():
                if buffer.is_floating_point():
                    dist.all_reduce(buffer)
                    buffer /= self.world

    def assert_agreed(self, decision: Decision) -> None:
        """Check that all workers decided alike; they saw the same signals, so anything else is a bug."""
        if self.world > 1:
            wish = (float(decision.batch_size), decision.lr_scale)
            both = torch.tensor([*wish, *(-x for x in wish)], device=self.device, dtype=self.meter.dtype)
            dist.all_reduce(both, op=dist.ReduceOp.MAX)
            if not torch.equal(both[:2], -both[2:]):
                raise RuntimeError(f"workers disagree on batch size and learning rate: {both.tolist()}")


def _reduce_and_show(
    noise: NoiseMeter, clock: Stopwatch
) -> Callable[[dist.ProcessGroup, GradBucket], torch.futures.Future[Tensor]]:
    """Return a hook that does what DDP does without one, and before shows this worker's own gradient.

    It holds neither the run nor DDP: a cycle through DDP would never be freed.
    """

    def hook(group: dist.ProcessGroup, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        if noise.sampling:
            with clock.section("measure"):
                noise.take_bucket(bucket)
        return allreduce_hook(group, bucket)

    return hook


def _optimizer(hyper: Hyperparameters, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if hyper.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=hyper.lr, weight_decay=hyper.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=hyper.lr,
        momentum=hyper.momentum,
        nesterov=hyper.nesterov,
        weight_decay=hyper.weight_decay,
    )
